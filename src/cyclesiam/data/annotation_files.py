"""Annotations as text: boxes, flags and names in files, each mistake told with its line.

T: frames of a sequence.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from cyclesiam.data.sequences import Sequence, boxes_from_xywh
from cyclesiam.errors import DatasetError

BOX = frozenset({4})
FLAGS = frozenset({0.0, 1.0})


def read_lines(path: Path) -> list[str]:
    """Read lines of UTF-8 text, with or without a byte order mark; blank lines at the end go.

    Raises:
        DatasetError: the file cannot be read, or is not UTF-8 text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: the file cannot be read ({error.strerror}). Unpack the sequence there."
        ) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise DatasetError(f"{path}, line 1: this is UTF-16 or no text at all. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path}, line {line}: this is not UTF-8. Save it as UTF-8.") from error


def text_files(folder: Path, *patterns: str) -> list[Path]:
    """List the files of a folder that match one of the patterns by name.

    What begins with a dot is left out: a copy made on a Mac has "._NAME" beside each file.
    """
    matches = (path for pattern in patterns for path in folder.glob(pattern))
    return sorted(path for path in matches if not path.name.startswith("."))


def read_names(path: Path) -> tuple[str, ...]:
    """Read a list of names, one a line.

    Raises:
        DatasetError: the file cannot be read, or names something twice.
    """
    names = [line.strip() for line in read_lines(path)]
    for number, name in enumerate(names, 1):
        if name and name in names[: number - 1]:
            raise DatasetError(f"{path}, line {number}: {name} is named twice. Remove this line.")
    return tuple(name for name in names if name)


def read_rows(path: Path, *, columns: Collection[int] = BOX) -> list[np.ndarray]:
    """Read one row of numbers a line, separated by commas, semicolons, tabs or spaces.

    Args:
        path: the annotation.
        columns: how many numbers a row may have.

    Returns:
        A row for each line: finite numbers, or NaN in all its places where the target is absent.

    Raises:
        DatasetError: the file is missing or empty, or a line is not such a row.
    """
    lines = read_lines(path)
    if not lines:
        raise DatasetError(f"{path}: this annotation is empty. Unpack the sequence again.")
    return [_parse_row(line, columns, f"{path}, line {n}") for n, line in enumerate(lines, 1)]


def read_values(path: Path, count: int, allowed: Collection[float] = FLAGS) -> np.ndarray:
    """Read one number for each frame (or attribute), on lines of their own or on one line.

    Args:
        path: the file.
        count: how many there must be.
        allowed: what each may be.

    Returns:
        (count,) float.

    Raises:
        DatasetError: the file is missing, or does not hold `count` such numbers.
    """
    values: list[float] = []
    for number, line in enumerate(read_lines(path), 1):
        for word in _words(line):
            value = _number(word)
            if value is None or value not in allowed:
                wanted = ", ".join(f"{value:g}" for value in sorted(allowed))
                raise DatasetError(
                    f"{path}, line {number}: expected one of {wanted}, got {word[:20]!r}. "
                    "Mend this line."
                )
            values.append(value)
    if len(values) != count:
        raise DatasetError(
            f"{path}: {len(values)} numbers where {count} are wanted. Unpack the sequence again."
        )
    return np.array(values)


def read_attributes(path: Path, names: tuple[str, ...], length: int) -> dict[str, np.ndarray]:
    """Read which attributes a sequence has, as tags that hold in every frame or in none.

    Args:
        path: a 0 or 1 for each of the names; without this file there are no tags.
        names: the attributes, in the order of the file.
        length: T.

    Raises:
        DatasetError: the file does not hold one 0 or 1 for each name.
    """
    if not path.is_file():
        return {}
    flags = read_values(path, len(names))
    return {name: np.full(length, flag == 1) for name, flag in zip(names, flags, strict=True)}


def check_counts(name: str, frames: tuple[Path, ...], rows: list[np.ndarray], truth: Path) -> None:
    """See that every frame has its row.

    Raises:
        DatasetError: it is not so.
    """
    if len(frames) != len(rows):
        raise DatasetError(
            f"{name}: {len(frames)} frames, but {len(rows)} boxes in {truth}. "
            f"Compare with {frames[0].parent}, and unpack the sequence again."
        )


def make_sequence(
    name: str,
    frames: tuple[Path, ...],
    rows: list[np.ndarray],
    truth: Path,
    *,
    origin: float = 0.0,
    first_only: bool = False,
    tags: dict[str, np.ndarray] | None = None,
    cover: np.ndarray | None = None,
) -> Sequence:
    """Put frames and annotated x, y, w, h together.

    Args:
        name: of the target.
        frames: T pictures.
        rows: T times (4,) xywh as annotated.
        truth: the file that they are from, for messages.
        origin: coordinate of the first pixel's left and top edge.
        first_only: whether the benchmark keeps the truth to itself after the first frame; then
            there may be one row only.
        tags: as in `Sequence`.
        cover: as in `Sequence`.

    Raises:
        DatasetError: not a row for each frame, or the first frame has no box.
    """
    if first_only and len(rows) == 1:
        rows = rows + [np.full(4, np.nan)] * (len(frames) - 1)
    check_counts(name, frames, rows, truth)
    boxes = boxes_from_xywh(np.stack(rows), origin=origin)
    if np.isnan(boxes[0]).any():
        raise DatasetError(
            f"{truth}, line 1: {name} has no box in its first frame, so nothing can be followed "
            "from there. Unpack the sequence again."
        )
    return Sequence(name=name, frames=frames, boxes=boxes, tags=tags or {}, cover=cover)


def _parse_row(line: str, columns: Collection[int], place: str) -> np.ndarray:
    numbers = [_number(word) for word in _words(line)]
    if None in numbers or len(numbers) not in columns:
        wanted = " or ".join(map(str, sorted(columns)[:3]))
        more = " ..." if len(columns) > 3 else ""
        raise DatasetError(
            f"{place}: expected {wanted}{more} numbers, got {line.strip()[:60]!r}. Mend this line."
        )
    row = np.array(numbers, dtype=np.float64)
    if not np.isfinite(row).all() and not np.isnan(row).all():
        raise DatasetError(
            f"{place}: got {line.strip()[:60]!r}, but numbers must be finite, or all NaN where the "
            "target is absent. Mend this line."
        )
    return row


def _words(line: str) -> list[str]:
    line = line.strip(" \t\r,;")
    return re.split(r"[,;\s]+", line) if line else []


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
