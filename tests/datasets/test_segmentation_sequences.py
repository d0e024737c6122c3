import pickle

import numpy as np
import pytest

from cyclesiam.datasets.segmentation_sequences import (
    BoxesFromMasks,
    SegmentationDataset,
    SegmentationSequence,
)
from cyclesiam.datasets.sequences import image_files
from cyclesiam.errors import DatasetError
from support.annotations import labels_of, make_segmentation, write_labels

MAPS = {
    "0": labels_of((3, 4, 10, 15)),
    "1": None,
    "2": labels_of((4, 4, 11, 15), None, (20, 0, 30, 5)),
    "3": labels_of(None, None, (20, 0, 29, 6)),
}


def sequence_of(folder, first_frames, one_object=False):
    make_segmentation(folder / "img", folder / "map", MAPS)
    return SegmentationSequence(
        name="cows",
        frames=image_files(folder / "img"),
        annotations=tuple(
            None if labels is None else folder / "map" / f"{stem}.png"
            for stem, labels in MAPS.items()
        ),
        first_frames=first_frames,
        single_object=one_object,
    )


class Reader(SegmentationDataset):
    """Sequences by name; an error in place of one is raised."""

    def __init__(self, **sequences):
        self._sequences = sequences
        self.names = tuple(sequences)

    def read(self, name, *, require="all"):
        if isinstance(self._sequences[name], Exception):
            raise self._sequences[name]
        return self._sequences[name]


def test_labels_and_objects(tmp_path):
    sequence = sequence_of(tmp_path, {3: 2, 1: 0})
    assert len(sequence) == 4
    assert sequence.objects == (1, 3)
    np.testing.assert_array_equal(sequence.labels(2), MAPS["2"])
    assert [image.shape for image in sequence.images()] == [(20, 30, 3)] * 4
    with pytest.raises(ValueError, match="cows: frame 1 has no annotation"):
        sequence.labels(1)


def test_void_is_background(tmp_path):
    sequence = sequence_of(tmp_path, {1: 0})
    write_labels(tmp_path / "map/0.png", np.where(MAPS["0"] == 0, 255, MAPS["0"]).astype(np.uint8))
    np.testing.assert_array_equal(sequence.labels(0), MAPS["0"])


def test_one_object_is_all_that_is_not_zero(tmp_path):
    sequence = sequence_of(tmp_path, {1: 0}, one_object=True)
    np.testing.assert_array_equal(sequence.labels(2), MAPS["2"] > 0)
    assert sequence.labels(2).dtype == np.uint8


def test_a_sequence_survives_the_way_to_another_process(tmp_path):
    sequence = pickle.loads(pickle.dumps(sequence_of(tmp_path, {1: 0})))
    np.testing.assert_array_equal(sequence.labels(0), MAPS["0"])


@pytest.mark.parametrize(
    ("first_frames", "problem"),
    [
        ({}, "no object is annotated"),
        ({1: 1}, "object 1 begins in frame 1, which has no annotation"),
        ({1: 4}, "object 1 begins in frame 4, which has no annotation"),
    ],
)
def test_objects_must_begin_in_an_annotated_frame(tmp_path, first_frames, problem):
    with pytest.raises(DatasetError, match=f"cows: {problem}"):
        sequence_of(tmp_path, first_frames)


def test_frames_and_annotations_must_agree(tmp_path):
    with pytest.raises(DatasetError, match="cows: 1 frames, but 0 places"):
        SegmentationSequence(
            name="cows", frames=(tmp_path / "0.jpg",), annotations=(), first_frames={1: 0}
        )


def test_every_object_is_a_target_from_its_first_frame_on(tmp_path):
    reader = BoxesFromMasks(Reader(cows=sequence_of(tmp_path, {1: 0, 3: 2})))
    assert reader.names == ("cows_1", "cows_3")
    early, late = reader.sequences()
    nowhere = [np.nan] * 4  # not annotated, or not to be seen
    np.testing.assert_array_equal(early.boxes, [[3, 4, 10, 15], nowhere, [4, 4, 11, 15], nowhere])
    np.testing.assert_array_equal(late.boxes, [[20, 0, 30, 5], [20, 0, 29, 6]])
    assert [path.stem for path in late.frames] == ["2", "3"]


def test_one_object_has_the_name_of_its_sequence(tmp_path):
    reader = BoxesFromMasks(Reader(cows=sequence_of(tmp_path, {1: 0}, one_object=True)))
    (sequence,) = reader.sequences()
    assert sequence.name == "cows"
    np.testing.assert_array_equal(sequence.boxes[2], [4, 0, 30, 15])


def test_a_broken_sequence_loses_no_other(tmp_path):
    broken = DatasetError("bear: no mask")
    reader = BoxesFromMasks(Reader(bear=broken, cows=sequence_of(tmp_path, {1: 0})))
    assert reader.names == ("bear", "cows_1")
    with pytest.raises(DatasetError, match="bear: no mask"):
        reader.read("bear")
    assert len(reader.read("cows_1")) == 4
