import re

import numpy as np
import pytest

from cyclesiam.datasets.number_tables import read_number_table
from cyclesiam.errors import DatasetError


@pytest.fixture
def write(tmp_path):
    def make(content):
        path = tmp_path / "rows.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.mark.parametrize(
    "content",
    [
        "1,2,3.5,4\n5,6,7,-8e1\n",
        "1\t2\t3.5\t4\r\n5\t6\t7\t-80\r\n\r\n",
        "1 2  3.5 4\n5, 6, 7, -80",
        " 1;2;3.5;4 \n5;6;7;-80;",
        b"\xef\xbb\xbf1,2,3.5,4\n5,6,7,-80\n",
    ],
)
def test_rows_in_any_dress(write, content):
    rows = read_number_table(write(content), {4})
    np.testing.assert_array_equal(rows.table(), [[1, 2, 3.5, 4], [5, 6, 7, -80]])


def test_rows_of_several_kinds(write):
    rows = read_number_table(write("1\n1,2,3,4\n2\n5,6,7,8\n"), {1, 4})
    assert rows.length == 4
    assert rows.by_length[1][0].tolist() == [0, 2]
    assert rows.by_length[1][1].tolist() == [[1], [2]]
    assert rows.by_length[4][0].tolist() == [1, 3]
    assert rows.by_length[4][1].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("1,2,3,4\n1,2,x,4\n", "line 2: expected 4 numbers, got '1,2,x,4'"),
        ("1,2,3,4\n\n1,2,3,4\n", "line 2: expected 4 numbers, got ''"),
        ("1,2,3,4\n1,2,3\n", "line 2: expected 4 numbers"),
        ("1,2,3,4\n1,2,3,4\n1,nan,3,4\n", "line 3: .* must be finite"),
        ("1,2,3,4\n1,2,3,inf\n", "line 2: .* must be finite"),
        ("nan,nan,nan,nan\n", "line 1: .* must be finite"),
        ("1_0,2,3,4\n", "line 1: expected 4 numbers, got '1_0,2,3,4'"),
        ("1,2,3,4\n1,2,3,\uff14\n", "line 2: expected 4 numbers"),
        ("1,2,0x10,4\n", "line 1: expected 4 numbers"),
        ("1,2,3,4\n1,2,3,1e308\n", "line 2: .* numbers must lie within 1e.09"),
        ("1,,3,4\n", "line 1: expected 4 numbers"),
        ("\n \n", "is empty"),
        (b"1,2,3,4\n1,2,3,4 \xe9\n", "line 2: this is not UTF-8"),
        ("1,2,3,4\n".encode("utf-16"), "UTF-16"),
        ("1,2,3,4 \u00b5\n", "line 1: expected 4 numbers"),
    ],
)
def test_a_mistake_is_reported_with_its_line(write, content, complaint):
    path = write(content)
    with pytest.raises(DatasetError, match=complaint) as caught:
        read_number_table(path, {4})
    assert str(path) in str(caught.value)


def test_rows_of_nan_where_they_are_allowed(write):
    rows = read_number_table(write("1,2,3,4\nNaN,NaN,NaN,NaN\n"), {4}, nan="whole rows")
    assert np.isnan(rows.table()[1]).all()
    with pytest.raises(DatasetError, match=r"line 1: .* or all of them NaN"):
        read_number_table(write("1,NaN,3,4\n"), {4}, nan="whole rows")


def test_nan_anywhere_where_it_is_allowed(write):
    rows = read_number_table(write("1,NaN\n2,3\n"), {2}, nan="anywhere")
    np.testing.assert_array_equal(rows.table(), [[1, np.nan], [2, 3]])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=re.escape(str(tmp_path / "no.txt"))):
        read_number_table(tmp_path / "no.txt", {4})
