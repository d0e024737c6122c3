import numpy as np
import pytest

from cyclesiam.datasets.annotation_files import (
    find_files,
    make_sequence,
    match_frames,
    pad_with_nan,
    read_attributes,
    read_boxes,
    read_names,
    read_values,
)
from cyclesiam.datasets.sequences import image_files
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, write


def test_boxes_are_as_in_the_file_and_nan_where_the_target_is_absent(tmp_path):
    path = write(tmp_path / "truth.txt", "1\t-2\t1e1\t0.5\r\nNaN,NaN,NaN,NaN\r\n\r\n")
    np.testing.assert_array_equal(read_boxes(path), [[1, -2, 10, 0.5], [np.nan] * 4])


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,4,5", "1,2,three,4", "", "1,,2,3"])
def test_a_line_that_is_no_box_is_named(tmp_path, line):
    path = write(tmp_path / "truth.txt", f"1,1,2,2\n{line}\n1,1,2,2\n")
    with pytest.raises(DatasetError, match=r"truth\.txt, line 2: expected 4 numbers, got"):
        read_boxes(path)


@pytest.mark.parametrize("line", ["nan,2,3,4", "1,2,3,NaN", "1,2,inf,4", "-inf,-inf,inf,inf"])
def test_a_line_that_is_partly_finite_is_named(tmp_path, line):
    path = write(tmp_path / "truth.txt", f"1,1,2,2\n{line}\n")
    with pytest.raises(DatasetError, match=r"truth\.txt, line 2: .*finite, or all of them NaN"):
        read_boxes(path)


def test_latin1_in_a_list_is_named(tmp_path):
    path = write(tmp_path / "list.txt", "vélo\n".encode() + "zèbre\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.txt, line 2: this is not UTF-8"):
        read_names(path)


def test_names_skip_blank_lines_and_may_not_repeat(tmp_path):
    assert read_names(write(tmp_path / "list.txt", "b \n\na\n")) == ("b", "a")
    with pytest.raises(DatasetError, match=r"list\.txt, line 3: b is named twice"):
        read_names(write(tmp_path / "list.txt", "b\na\nb\n"))


@pytest.mark.parametrize("text", ["0\n1\n0\n", "0,1,0", "0 1.0 0\n\n"])
def test_values_stand_on_lines_or_on_one_line(tmp_path, text):
    np.testing.assert_array_equal(read_values(write(tmp_path / "a.tag", text), 3), [0, 1, 0])


@pytest.mark.parametrize("word", ["2", "nan", "-1"])
def test_a_value_that_is_not_allowed_is_named(tmp_path, word):
    path = write(tmp_path / "a.tag", f"0\n{word}\n")
    with pytest.raises(DatasetError, match=rf"a\.tag, line 2: expected one of 0, 1, got {word}"):
        read_values(path, 2)


def test_a_value_that_is_no_number_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.tag, line 2: expected 1 or 3 numbers, got 'yes'"):
        read_values(write(tmp_path / "a.tag", "0\nyes\n1\n"), 3)


def test_a_short_file_may_be_filled_up(tmp_path):
    path = write(tmp_path / "a.tag", "1\n1\n")
    np.testing.assert_array_equal(read_values(path, 4, short=True), [1, 1, 0, 0])
    with pytest.raises(DatasetError, match=r"a\.tag: expected 1 numbers, got 2"):
        read_values(path, 1, short=True)


def test_values_must_be_as_many_as_frames(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.tag: expected 3 numbers, got 2"):
        read_values(write(tmp_path / "a.tag", "0\n1\n"), 3)


def test_attributes_hold_in_every_frame(tmp_path):
    path = write(tmp_path / "att.txt", "0,1")
    tags = read_attributes(path, ("IV", "SV"), 3)
    assert {name: flags.tolist() for name, flags in tags.items()} == {
        "IV": [False] * 3,
        "SV": [True] * 3,
    }
    assert read_attributes(tmp_path / "none.txt", ("IV", "SV"), 3) == {}


def test_hidden_files_are_no_annotations(tmp_path):
    for name in ("b.txt", "a.txt", "._a.txt", "c.png"):
        write(tmp_path / name, "")
    assert [path.name for path in find_files(tmp_path, "*.txt", "*.tag")] == ["a.txt", "b.txt"]


def sequence_of(tmp_path, lines, numbers, **rest):
    make_frames(tmp_path / "img", numbers)
    truth = write(tmp_path / "truth.txt", "\n".join(lines))
    return make_sequence("ant", image_files(tmp_path / "img"), read_boxes(truth), truth, **rest)


@pytest.mark.parametrize("require", ["all", "some"])
def test_frames_without_a_box_are_an_error(tmp_path, require):
    with pytest.raises(DatasetError, match=r"ant: 3 frames, but 2 boxes in .*truth\.txt"):
        sequence_of(tmp_path, ["1,1,2,2"] * 2, [1, 2, 3], require=require)


def test_boxes_without_a_frame_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"ant: 1 frames, but 2 boxes in .*truth\.txt"):
        sequence_of(tmp_path, ["1,1,2,2"] * 2, [1])


@pytest.mark.parametrize(
    ("stem", "stems"),
    [
        ("0009", ["0009", "0010", "0011"]),
        ("a7_0b", ["a7_0b", "a7_1b", "a7_2b"]),
        ("9", ["9", "10", "11"]),
    ],
)
def test_one_picture_will_do_for_the_truth(tmp_path, stem, stems):
    image = tmp_path / f"{stem}.jpg"
    frames = match_frames("ant", (image,), 3, tmp_path / "truth.txt", "some")
    assert frames == tuple(tmp_path / f"{stem}.jpg" for stem in stems)
    with pytest.raises(DatasetError, match="ant: 1 frames, but 3 boxes"):
        match_frames("ant", (tmp_path / "cover.jpg",), 3, tmp_path / "truth.txt", "some")


@pytest.mark.parametrize("line", ["nan,nan,nan,nan", "1,1,0,2"])
def test_the_first_frame_needs_a_box(tmp_path, line):
    with pytest.raises(DatasetError, match=r"truth\.txt, line 1: ant has no box in its first fr"):
        sequence_of(tmp_path, [line, "1,1,2,2"], [1, 2])


def test_a_truth_that_is_kept_back_is_nan():
    first, nowhere = [1, 1, 2, 2], [np.nan] * 4
    np.testing.assert_array_equal(pad_with_nan(np.array([first]), 3), [first, nowhere, nowhere])
    np.testing.assert_array_equal(pad_with_nan(np.array([first] * 2), 3), [first] * 2)
