"""Rows of numbers in text files, parsed all at once. Errors name the line.

T: lines of a file. K: numbers in a line.
"""

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.datasets.label_policy import check_label_access
from cyclesiam.errors import DatasetError
from cyclesiam.geometry.boxes import MAX_COORDINATE, parse_number

NaNRule = Literal["refused", "whole rows", "anywhere"]
SEPARATORS = bytes.maketrans(b"\t;", b",,")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SPACES = re.compile(rb"(?<=[^\s,]) +(?=[^\s,])")  # that separate two numbers


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NumberTable:
    """Numbers of a file, with all lines of equal length in one array.

    Args:
        length: T.
        by_length: K to the lines (N,) that have K numbers, counted from 0, and the numbers (N, K).
    """

    length: int
    by_length: Mapping[int, tuple[np.ndarray, np.ndarray]]

    def table(self) -> np.ndarray:
        """Return all rows as (T, K); all must have the same K."""
        ((_, values),) = self.by_length.values()
        return values


def read_number_table(
    path: Path, columns: Collection[int], *, nan: NaNRule = "refused"
) -> NumberTable:
    """Read one row of numbers a line, separated by commas, semicolons, tabs or spaces.

    Args:
        path: UTF-8 text, with or without a byte order mark; blank lines at the end do not count.
        columns: how many numbers a row may have, each from -1e9 to 1e9.
        nan: whether a number may be NaN: never, in rows that are NaN as a whole, or anywhere.

    Raises:
        DatasetError: the file is missing, empty or not UTF-8, or a line is not such a row.
        LabelPolicyError: the label policy does not allow boxes to be read.
    """
    check_label_access(path, "boxes")
    data = _read_bytes(path)
    if not data.removeprefix(BYTE_ORDER_MARK).strip():
        raise DatasetError(f"{path}: this file is empty. Write a row for each frame.")
    table = _parse_fast(data, columns)
    if table is None or not _all_usual(table):
        return _parse_by_line(path, data, columns, nan)
    return table


def read_lines(path: Path, *, labels: bool = True) -> list[str]:
    """Read lines of UTF-8 text, with or without a byte order mark, without blank lines at the end.

    Args:
        path: the file.
        labels: whether the file holds labels; a list of names does not.

    Raises:
        DatasetError: the file cannot be read, or is not UTF-8 text.
        LabelPolicyError: it holds labels, and the label policy does not allow boxes to be read.
    """
    if labels:
        check_label_access(path, "boxes")
    return _decode_lines(path, _read_bytes(path))


def _parse_fast(data: bytes, columns: Collection[int]) -> NumberTable | None:
    """Parse all lines with equally many commas together; return None if anything is unusual."""
    if b"\t" in data or b";" in data:
        data = data.translate(SEPARATORS)
    if b" " in data:
        data = SPACES.sub(b",", data)
    lines = data.rstrip().splitlines()
    commas = np.array([line.count(b",") for line in lines])
    by_length = {}
    for count in np.unique(commas).tolist():
        if count + 1 not in columns:
            return None
        some = np.flatnonzero(commas == count)
        text = b",".join(lines if len(some) == len(lines) else [lines[n] for n in some])
        values = _parse(text)
        if values is None or len(values) != len(some) * (count + 1):
            return None
        by_length[count + 1] = some, values.reshape(-1, count + 1)
    return NumberTable(length=len(lines), by_length=by_length)


def _parse(text: bytes) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns where it meets text
        try:
            return np.fromstring(text.decode("ascii"), sep=",")
        except (DeprecationWarning, ValueError):
            return None


def _all_usual(table: NumberTable) -> bool:
    return all((abs(values) <= MAX_COORDINATE).all() for _, values in table.by_length.values())


def _parse_by_line(path: Path, data: bytes, columns: Collection[int], nan: NaNRule) -> NumberTable:
    """Parse line by line, to read unusual files and to name the line of a mistake."""
    frames: dict[int, list[int]] = {}
    values: dict[int, list[list[float]]] = {}
    lines = _decode_lines(path, data)
    for number, line in enumerate(lines):
        row = _parse_line(line, columns, f"{path}, line {number + 1}", nan)
        frames.setdefault(len(row), []).append(number)
        values.setdefault(len(row), []).append(row)
    by_length = {size: (np.array(frames[size]), np.array(values[size])) for size in frames}
    return NumberTable(length=len(lines), by_length=by_length)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: the file cannot be read ({error.strerror}). Put it there."
        ) from error


def _decode_lines(path: Path, data: bytes) -> list[str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise DatasetError(f"{path}, line 1: this is UTF-16 or not text. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: this is not UTF-8. Save it as UTF-8.") from error


def _parse_line(line: str, columns: Collection[int], place: str, nan: NaNRule) -> list[float]:
    words = re.split(r"[,;\s]+", line.strip(" \t\r,;"))
    try:
        row = [parse_number(word) for word in words]
    except ValueError:
        row = []
    if len(row) not in columns:
        expected = " or ".join(map(str, sorted(columns)[:4])) + (" ..." if len(columns) > 4 else "")
        raise DatasetError(
            f"{place}: expected {expected} numbers, got {line.strip()[:60]!r}. Mend this line."
        )
    known = np.isfinite(row)
    if nan == "anywhere" or (nan == "whole rows" and np.isnan(row).all()):
        known |= np.isnan(row)
    if not known.all():
        raise DatasetError(
            f"{place}: got {line.strip()[:60]!r}, but every number must be finite"
            f"{', or all of them NaN' if nan == 'whole rows' else ''}. Mend this line."
        )
    if any(abs(number) > MAX_COORDINATE for number in row):
        raise DatasetError(
            f"{place}: got {line.strip()[:60]!r}, but numbers must lie within "
            f"{MAX_COORDINATE:g}. Mend this line."
        )
    return row
