import re

import numpy as np
import pytest
from PIL import Image

from cyclesiam.errors import DatasetError, SourceError
from cyclesiam.evaluation.results.files import (
    ResultFolder,
    read_boxes,
    read_times,
    read_trajectory,
    write_boxes,
    write_regions,
    write_times,
)
from cyclesiam.evaluation.results.label_maps import read_labels, write_labels
from support.benchmark_folders import save_gray

REGIONS = [np.array([1.0]), np.array([1.5, 2, 3, 4.00004]), np.array([2.0]), np.arange(8.0)]


@pytest.mark.parametrize(
    ("layout", "run", "times"),
    [
        ("flat", "Bolt.txt", "times/Bolt_time.txt"),
        ("nested", "Bolt/Bolt_001.txt", "Bolt/Bolt_time.txt"),
        ("vot", "baseline/Bolt/Bolt_001.txt", "baseline/Bolt/Bolt_time.txt"),
        ("masks", "Bolt", "times/Bolt_time.txt"),
    ],
)
def test_layouts(tmp_path, layout, run, times):
    folder = ResultFolder(tmp_path, layout)
    assert folder.run_file("Bolt") == tmp_path / run
    assert folder.time_file("Bolt") == tmp_path / times


def test_boxes_come_back(tmp_path):
    path = tmp_path / "new" / "Bolt.txt"
    write_boxes(path, np.array([[1, 2, 3, 4.25], [np.nan] * 4]))
    assert path.read_text() == "1.0000,2.0000,3.0000,4.2500\n0.0000,0.0000,0.0000,0.0000\n"
    np.testing.assert_array_equal(read_boxes(path, 2), [[1, 2, 3, 4.25], [0] * 4])


def test_a_trajectory_comes_back(tmp_path):
    path = tmp_path / "run.txt"
    write_regions(path, REGIONS)
    assert path.read_text().splitlines()[:3] == ["1", "1.5000,2.0000,3.0000,4.0000", "2"]
    read = read_trajectory(path, 4)
    assert [len(region) for region in read] == [1, 4, 1, 8]
    assert read[3].tolist() == list(range(8))


def test_times_come_back(tmp_path):
    path = tmp_path / "times.txt"
    assert read_times(path, 2) is None
    write_times(path, np.array([[0.5, 0.25], [0.125, 0.0]]))
    np.testing.assert_array_equal(read_times(path, 2), [[0.5, 0.25], [0.125, 0.0]])
    path.write_text("0.5 NaN\n0.25 NaN\n")
    np.testing.assert_array_equal(read_times(path, 2)[:, 0], [0.5, 0.25])


@pytest.mark.parametrize(
    ("read", "content", "complaint"),
    [
        (read_boxes, "1,2,3,4\n", "line 2: 1 rows, but the sequence has 2 frames"),
        (read_boxes, "1,2,3,4\n" * 3, "line 3: 3 rows, but the sequence has 2 frames"),
        (read_boxes, "1,2,3,4\n1,2,3,nan\n", "line 2: .*finite"),
        (read_boxes, "1,2,3,4\n1,2,3\n", "line 2: expected 4 numbers"),
        (read_trajectory, "1\n3\n", "line 2: 3 is no code"),
        (read_trajectory, "1,2,3,4\n1,2,3,4\n", "line 1: a run begins with the code 1"),
        (read_trajectory, "1\n1,2,3,4,5\n", "line 2: expected 1 or 4 or 6 or 8"),
        (read_trajectory, "1\n1,2,3,inf\n", "line 2: .*finite"),
        (read_times, "0.5\n", "line 2: 1 rows"),
        (read_times, "0.5\n0.5,0.5\n", "some lines have more numbers"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path, read, content, complaint):
    path = tmp_path / "Bolt.txt"
    path.write_text(content)
    with pytest.raises(DatasetError, match=re.escape(str(path)) + ".*" + complaint):
        read(path, 2)


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"Bolt\.txt: there is no result of the sequence Bolt"):
        ResultFolder(tmp_path, "flat").runs("Bolt")


def test_names_with_two_targets_of_other_programs(tmp_path):
    (tmp_path / "Jogging-1.txt").touch()
    folder = ResultFolder(tmp_path, "flat")
    assert folder.runs("Jogging.1") == [tmp_path / "Jogging-1.txt"]
    assert folder.has_any(["Bolt", "Jogging.1"])
    assert not folder.has_any(["Bolt", "Jogging.2"])


def test_repetitions_and_later_starts_are_found(tmp_path):
    folder = ResultFolder(tmp_path, "vot")
    for run in (0, 1, 3):
        write_regions(folder.run_file("book", run), REGIONS)
    with pytest.raises(DatasetError, match="not numbered 001 to 003"):
        folder.runs("book")
    write_regions(folder.run_file("book", 2), REGIONS)
    assert [path.name for path in folder.runs("book")] == [f"book_00{n}.txt" for n in range(1, 5)]
    flat = ResultFolder(tmp_path, "flat")
    assert flat.starts("book") == {}
    write_boxes(flat.start_file("book", 120), np.ones((1, 4)))
    assert flat.starts("book") == {120: tmp_path / "starts" / "book_000120.txt"}


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="choose another --results"):
        write_boxes(tmp_path / "file" / "a.txt", np.ones((1, 4)))


# Label maps


def test_label_maps_have_the_palette_of_davis(tmp_path):
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    write_labels(tmp_path / "a.png", labels)
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "P"
    colours = np.asarray(image.convert("RGB"))
    assert colours.reshape(-1, 3).tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    read = read_labels(tmp_path / "a.png", (2, 2), objects=3)
    np.testing.assert_array_equal(read, labels)
    whole = read_labels(tmp_path / "a.png", (2, 2), objects=1, one_object=True)
    np.testing.assert_array_equal(whole, [[0, 1], [1, 1]])


def test_wrong_label_maps_are_named(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(DatasetError, match=r"a\.png: this label map is missing"):
        read_labels(path, (2, 2), objects=1)
    write_labels(path, np.array([[0, 1], [2, 255]], np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: this label map has 2 x 2 pixels, .* 3 x 2"):
        read_labels(path, (2, 3), objects=2)
    with pytest.raises(DatasetError, match=r"a\.png: .*label 255 \(void"):
        read_labels(path, (2, 2), objects=2)
    write_labels(path, np.array([[0, 1], [2, 3]], np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: .*label 3, but there are 2"):
        read_labels(path, (2, 2), objects=2)
    save_gray(path, np.array([[0, 38], [75, 0]], np.uint8))  # a palette turned to brightness
    with pytest.raises(DatasetError, match=r"a\.png: .*no palette"):
        read_labels(path, (2, 2), objects=2)
    save_gray(path, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.png: .*palette"):
        read_labels(path, (2, 2), objects=2)
