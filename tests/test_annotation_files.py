import numpy as np
import pytest

from cyclesiam.data.annotation_files import (
    make_sequence,
    read_attributes,
    read_lines,
    read_names,
    read_rows,
    read_values,
    text_files,
)
from cyclesiam.data.sequences import picture_files
from cyclesiam.errors import DatasetError
from made_benchmarks import make_frames, write


@pytest.mark.parametrize("separator", [",", "\t", " ", "  ", ", ", ";", " ;\t"])
def test_rows_take_every_separator(tmp_path, separator):
    path = write(tmp_path / "truth.txt", separator.join(("1", "-2", "1e1", "0.5")))
    np.testing.assert_array_equal(read_rows(path), [[1, -2, 10, 0.5]])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ",\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_rows_take_every_end_of_line_and_a_byte_order_mark(tmp_path, end, mark):
    path = write(tmp_path / "truth.txt", mark + f"1,2,3,4{end}5,6,7,8{end}\n \n".encode())
    np.testing.assert_array_equal(read_rows(path), [[1, 2, 3, 4], [5, 6, 7, 8]])


@pytest.mark.parametrize("line", ["NaN,NaN,NaN,NaN", "nan nan nan nan"])
def test_absent_rows_are_nan(tmp_path, line):
    assert np.isnan(read_rows(write(tmp_path / "truth.txt", line))).all()


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,4,5", "1,2,three,4", "", "m1,2,3,4", "1,,2,3"])
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    path = write(tmp_path / "truth.txt", f"1,1,2,2\n{line}\n1,1,2,2\n")
    with pytest.raises(DatasetError, match=r"truth\.txt, line 2: expected 4 numbers, got"):
        read_rows(path)


@pytest.mark.parametrize("line", ["nan,2,3,4", "1,2,3,NaN", "1,2,inf,4", "-inf,-inf,inf,inf"])
def test_a_line_that_is_partly_finite_is_named(tmp_path, line):
    path = write(tmp_path / "truth.txt", f"1,1,2,2\n{line}\n")
    with pytest.raises(DatasetError, match=r"truth\.txt, line 2: .*must be finite, or all NaN"):
        read_rows(path)


def test_an_empty_annotation_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"truth\.txt: this annotation is empty"):
        read_rows(write(tmp_path / "truth.txt", "\n \n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named(tmp_path, encoding):
    path = write(tmp_path / "truth.txt", "1,1,2,2\n".encode(encoding))
    with pytest.raises(DatasetError, match=r"truth\.txt, line 1: this is UTF-16"):
        read_lines(path)


def test_the_line_of_latin1_is_named(tmp_path):
    path = write(tmp_path / "list.txt", "vélo\nzèbre\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.txt, line 1: this is not UTF-8"):
        read_names(path)
    path.write_bytes("vélo\n".encode() + "zèbre\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.txt, line 2: this is not UTF-8"):
        read_names(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"truth\.txt: the file cannot be read \(No such file"):
        read_lines(tmp_path / "truth.txt")


def test_names_skip_blank_lines_and_may_not_repeat(tmp_path):
    assert read_names(write(tmp_path / "list.txt", "b \n\na\n")) == ("b", "a")
    with pytest.raises(DatasetError, match=r"list\.txt, line 3: b is named twice"):
        read_names(write(tmp_path / "list.txt", "b\na\nb\n"))


@pytest.mark.parametrize("text", ["0\n1\n0\n", "0,1,0", "0 1.0 0\n\n"])
def test_values_stand_on_lines_or_on_one_line(tmp_path, text):
    np.testing.assert_array_equal(read_values(write(tmp_path / "a.tag", text), 3), [0, 1, 0])


@pytest.mark.parametrize("word", ["2", "yes", "nan", "-1"])
def test_a_value_that_is_not_allowed_is_named(tmp_path, word):
    path = write(tmp_path / "a.tag", f"0\n{word}\n")
    with pytest.raises(DatasetError, match=rf"a\.tag, line 2: expected one of 0, 1, got '{word}'"):
        read_values(path, 2)


def test_values_must_be_as_many_as_frames(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.tag: 2 numbers where 3 are wanted"):
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
    assert [path.name for path in text_files(tmp_path, "*.txt", "*.tag")] == ["a.txt", "b.txt"]


def sequence_of(tmp_path, lines, count, **rest):
    make_frames(tmp_path / "img", range(1, count + 1))
    truth = write(tmp_path / "truth.txt", "\n".join(lines))
    frames = picture_files(tmp_path / "img")
    return make_sequence("ant", frames, read_rows(truth), truth, **rest)


def test_rows_and_frames_must_agree(tmp_path):
    with pytest.raises(DatasetError, match=r"ant: 3 frames, but 2 boxes in .*truth\.txt"):
        sequence_of(tmp_path, ["1,1,2,2"] * 2, 3)


@pytest.mark.parametrize("line", ["nan,nan,nan,nan", "1,1,0,2"])
def test_the_first_frame_needs_a_box(tmp_path, line):
    with pytest.raises(DatasetError, match=r"truth\.txt, line 1: ant has no box in its first fr"):
        sequence_of(tmp_path, [line, "1,1,2,2"], 2)


def test_a_truth_that_is_kept_back_is_nan(tmp_path):
    sequence = sequence_of(tmp_path, ["1,1,2,2"], 3, first_only=True)
    np.testing.assert_array_equal(sequence.boxes, [[1, 1, 3, 3], [np.nan] * 4, [np.nan] * 4])
    with pytest.raises(DatasetError, match="ant: 3 frames, but 2 boxes"):
        sequence_of(tmp_path, ["1,1,2,2"] * 2, 3, first_only=True)
