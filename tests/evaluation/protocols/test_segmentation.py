import numpy as np
import pytest

from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.protocols.segmentation import run_segmentation
from cyclesiam.evaluation.results.label_maps import write_labels
from cyclesiam.evaluation.trackers.interface import BoxesAsMasks, MaskTracker
from support.benchmark_folders import labels, write_images
from support.trackers import Drift, Masks, Still

FIRST = labels((10, 10, 20, 20), (14, 14, 30, 18))


@pytest.fixture
def sequence(tmp_path):
    """Object 1 has lost some pixels to object 2, object 3 comes in the third frame of four."""
    write_images(tmp_path / "frames", 4, first=0, digits=5)
    for number, content in enumerate((FIRST, FIRST, FIRST + 0)):
        if number == 2:
            content[30:36, 100:110] = 3
        write_labels(tmp_path / f"{number}.png", content)
    return SegmentationSequence(
        name="three",
        frames=tuple(sorted((tmp_path / "frames").iterdir())),
        annotations=(*(tmp_path / f"{number}.png" for number in range(3)), None),
        first_frames={1: 0, 2: 0, 3: 2},
    )


def label_maps(make, sequence, **options):
    return [frame.labels for frame in run_segmentation(make, sequence, **options)]


def test_a_mask_tracker_starts_from_masks(sequence):
    maps = label_maps(Masks, sequence, initial_input="mask")
    np.testing.assert_array_equal(maps[0], FIRST)
    np.testing.assert_array_equal(maps[1], FIRST)
    assert set(np.unique(maps[3])) == {0, 1, 2, 3}
    np.testing.assert_array_equal(maps[3] == 3, labels((100, 30, 110, 36)) == 1)


def test_boxes_are_filled_and_the_small_one_lies_on_top(sequence):
    maps = label_maps(Still, sequence)
    for found in maps[:2]:
        assert (found[10:14, 10:20] == 1).all()
        assert (found[14:18, 10:14] == 1).all()
        assert (found[14:18, 14:30] == 2).all()  # 64 pixels against 100
    assert (found != 0).sum() == 100 + 16 * 4 - 6 * 4


def test_a_box_tracker_starts_from_the_box_around_a_mask(sequence):
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            label_maps(Still, sequence)[1:],
            label_maps(Still, sequence, initial_input="mask")[1:],
            strict=True,
        )
    )
    moved = label_maps(Drift, sequence)[1]
    assert (moved[10:14, 13:23] == 1).all()
    assert not moved[10:14, 10:13].any()


def test_pixels_with_centers_in_the_box_are_filled():
    class Fixed(Still):
        def update(self, image):
            return self.output

    fixed, image = Fixed(), np.zeros((4, 6, 3), np.uint8)
    tracker = BoxesAsMasks(fixed)
    tracker.init(image, (0, 0, 2, 2))
    fixed.output = (1.0, 0.6, 2.5, 2.0)  # centers 1.5, 2.5 and rows 1.5, 2.5
    assert np.argwhere(tracker.update(image)).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    fixed.output = (np.nan,) * 4
    assert not tracker.update(image).any()
    assert isinstance(tracker, MaskTracker)
    assert not isinstance(fixed, MaskTracker)


def test_an_output_of_another_size_is_named(sequence):
    class Small(Masks):
        def update(self, image):
            return np.ones((3, 3), bool)

    with pytest.raises(TargetError, match="three, frame 1: the tracker must return a mask"):
        label_maps(Small, sequence)


def test_an_object_that_is_not_there_is_named(sequence, tmp_path):
    write_labels(tmp_path / "0.png", labels((10, 10, 20, 20)))
    with pytest.raises(DatasetError, match=r"0\.png: object 2 has no pixel in its first frame"):
        label_maps(Still, sequence)


def test_a_mask_of_another_size_is_named(sequence, tmp_path):
    write_labels(tmp_path / "0.png", np.ones((8, 9), np.uint8))
    with pytest.raises(DatasetError, match=r"0\.png: this mask has 9 x 8 pixels"):
        label_maps(Still, sequence)
