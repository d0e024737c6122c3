import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from cyclesiam.datasets.sequences import (
    TrackingDataset,
    TrackingSequence,
    boxes_from_xywh,
    frame_number,
    image_files,
    subfolders,
)
from cyclesiam.errors import DatasetError, SourceError

NAN = float("nan")


def test_images_are_the_frames_in_rgb(tmp_path):
    path = tmp_path / "1.png"
    cv2.imwrite(str(path), np.full((4, 6, 3), (0, 0, 255), np.uint8))  # red, as OpenCV writes it
    (image,) = TrackingSequence(name="red", frames=(path,), boxes=np.zeros((1, 4))).images()
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert (image == (255, 0, 0)).all()


def test_missing_frame_is_an_error_when_it_is_read(tmp_path):
    sequence = TrackingSequence(name="gone", frames=(tmp_path / "1.png",), boxes=np.zeros((1, 4)))
    with pytest.raises(SourceError, match=r"1\.png"):
        next(sequence.images())


@pytest.mark.parametrize("boxes", [np.zeros((1, 4)), np.zeros((2, 3)), np.zeros(8)])
def test_every_frame_needs_one_box(tmp_path, boxes):
    with pytest.raises(DatasetError, match="Bolt: 2 frames"):
        TrackingSequence(name="Bolt", frames=(tmp_path / "1.jpg", tmp_path / "2.jpg"), boxes=boxes)


def test_sequence_without_frames_is_refused():
    with pytest.raises(DatasetError, match="Bolt: 0 frames"):
        TrackingSequence(name="Bolt", frames=(), boxes=np.zeros((0, 4)))


def test_boxes_are_a_copy_that_cannot_be_changed(tmp_path):
    boxes = np.zeros((1, 4))
    sequence = TrackingSequence(name="Bolt", frames=(tmp_path / "1.jpg",), boxes=boxes)
    boxes[:] = 1
    assert (sequence.boxes == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        sequence.boxes[:] = 1


def test_boxes_from_xywh_subtracts_the_origin_from_the_corner_only():
    row = np.array([[1.0, 1.0, 10.0, 5.0]])  # MATLAB's first pixel: the image's corner
    np.testing.assert_array_equal(boxes_from_xywh(row, origin=1), [[0, 0, 10, 5]])
    np.testing.assert_array_equal(boxes_from_xywh(row), [[1, 1, 11, 6]])


@pytest.mark.parametrize(
    "row", [[0, 0, 0, 0], [5, 5, 0, 3], [5, 5, 3, -1], [NAN] * 4, [1, NAN, 3, 3], [1, 1, np.inf, 3]]
)
def test_rows_that_are_no_box_become_nan(row):
    boxes = boxes_from_xywh(np.array([row, [1, 2, 3, 4]], dtype=float))
    assert np.isnan(boxes[0]).all()
    np.testing.assert_array_equal(boxes[1], [1, 2, 4, 6])


def test_images_are_listed_by_number_and_nothing_else_is(tmp_path):
    for name in ("10.jpg", "9.JPG", "11.png", "._9.jpg", "notes.txt", "Thumbs.db"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == ["9.JPG", "10.jpg", "11.png"]


def test_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no image"):
        image_files(tmp_path)
    with pytest.raises(DatasetError, match=r"nowhere.*missing"):
        image_files(tmp_path / "nowhere")


def test_frame_number_of_a_name_without_digits(tmp_path):
    assert frame_number(tmp_path / "cover.jpg") == -1


def frames_of(count):
    return tuple(Path(f"{number}.jpg") for number in range(count))


def test_tags_and_cover_are_copies_that_cannot_be_written_to():
    shade, cover = np.array([0, 1]), np.array([8, 0])
    sequence = TrackingSequence(
        name="a",
        frames=frames_of(2),
        boxes=np.ones((2, 4)),
        tags={"shade": shade},
        visibility=cover,
    )
    shade[0] = cover[1] = 1
    assert sequence.tags["shade"].tolist() == [False, True]
    assert sequence.visibility.tolist() == [8, 0]
    for values in (sequence.tags["shade"], sequence.visibility):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ({"regions": ((1.0, 2.0, 3.0, 4.0),)}, "a: 2 frames, but 1 regions"),
        ({"tags": {"shade": np.zeros(3, bool)}}, r"a: 2 frames, but shade of shape \(3,\)"),
        ({"visibility": np.zeros((2, 1))}, r"a: 2 frames, but visibility of shape \(2, 1\)"),
    ],
)
def test_every_frame_needs_all_that_is_annotated(rest, problem):
    with pytest.raises(DatasetError, match=problem):
        TrackingSequence(name="a", frames=frames_of(2), boxes=np.ones((2, 4)), **rest)


def test_a_sequence_survives_the_way_to_another_process():
    sequence = TrackingSequence(
        name="a",
        frames=frames_of(1),
        boxes=np.ones((1, 4)),
        regions=((1.0, 2.0, 3.0, 4.0),),
        tags={"shade": np.ones(1, bool)},
    )
    copy = pickle.loads(pickle.dumps(sequence))
    assert (copy.name, copy.frames, copy.regions) == ("a", sequence.frames, sequence.regions)
    assert copy.tags["shade"].tolist() == [True]


def test_hidden_folders_are_no_sequences(tmp_path):
    for name in ("b", "a", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    assert [path.name for path in subfolders(tmp_path, "VOT")] == ["a", "b"]


def test_reader_reads_in_the_order_of_its_names(tmp_path):
    class Two(TrackingDataset):
        names = ("b", "a")

        def read(self, name):
            return TrackingSequence(name=name, frames=(tmp_path / "1.jpg",), boxes=np.zeros((1, 4)))

    assert [sequence.name for sequence in Two().sequences()] == ["b", "a"]
