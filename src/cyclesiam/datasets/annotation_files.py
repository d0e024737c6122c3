"""Annotations as text: boxes, flags and names in files. Errors name the line.

T: frames of a sequence.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from cyclesiam.datasets.number_tables import read_lines, read_number_table
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingSequence,
    boxes_from_xywh,
    frame_number,
)
from cyclesiam.errors import DatasetError

BOX = frozenset({4})
FLAGS = frozenset({0.0, 1.0})


def find_files(folder: Path, *patterns: str) -> list[Path]:
    """List the files in a folder that match one of the patterns, sorted.

    Names that begin with a dot are left out: macOS writes "._NAME" beside each file that it copies.
    """
    matches = (path for pattern in patterns for path in folder.glob(pattern))
    return sorted(path for path in matches if not path.name.startswith("."))


def read_names(path: Path) -> tuple[str, ...]:
    """Read a list of names, one a line.

    Raises:
        DatasetError: the file cannot be read, or holds a name twice.
    """
    names = [line.strip() for line in read_lines(path, labels=False)]
    for number, name in enumerate(names, 1):
        if name and name in names[: number - 1]:
            raise DatasetError(f"{path}, line {number}: {name} is named twice. Remove this line.")
    return tuple(name for name in names if name)


def read_boxes(path: Path) -> np.ndarray:
    """Read one `x,y,w,h` a line, separated by commas, semicolons, tabs or spaces.

    Returns:
        (T, 4) numbers of the file; rows of NaN where the target is absent.

    Raises:
        DatasetError: the file is missing or empty, or a line is not such a row.
    """
    return read_number_table(path, BOX, nan="whole rows").table()


def read_values(
    path: Path, count: int, allowed: Collection[float] = FLAGS, *, short: bool = False
) -> np.ndarray:
    """Read one number for each frame or attribute, one a line or all on one line.

    Args:
        path: the file.
        count: how many numbers there must be.
        allowed: values that are allowed.
        short: whether fewer numbers are allowed; the others are 0.

    Returns:
        (count,) float.

    Raises:
        DatasetError: the file is missing, or does not hold `count` such numbers.
    """
    rows = read_number_table(path, {1, count}, nan="anywhere")
    numbers = []
    for lines, values in rows.by_length.values():
        strange = np.argwhere(~np.isin(values, list(allowed)))
        if len(strange):
            row, column = strange[0]
            expected = ", ".join(f"{value:g}" for value in sorted(allowed))
            raise DatasetError(
                f"{path}, line {lines[row] + 1}: expected one of {expected}, got "
                f"{values[row, column]:g}. Mend this line."
            )
        numbers.append(values.ravel())
    values = np.concatenate(numbers)
    if len(values) > count or (len(values) < count and not short):
        raise DatasetError(
            f"{path}: expected {count} numbers, got {len(values)}. Unpack the sequence again."
        )
    return np.pad(values, (0, count - len(values)))


def read_attributes(path: Path, names: tuple[str, ...], length: int) -> dict[str, np.ndarray]:
    """Read the attributes of a sequence, as tags that hold in every frame or in none.

    Args:
        path: file with a 0 or 1 for each of the names; without it there are no tags.
        names: the attributes, in the order of the file.
        length: T.

    Raises:
        DatasetError: the file does not hold one 0 or 1 for each name.
    """
    if not path.is_file():
        return {}
    flags = read_values(path, len(names))
    return {name: np.full(length, flag == 1) for name, flag in zip(names, flags, strict=True)}


def match_frames(
    name: str, frames: tuple[Path, ...], count: int, truth: Path, require: RequiredFrames
) -> tuple[Path, ...]:
    """Check whether every annotated frame has its image.

    Args:
        name: of the target.
        frames: images on disk, at least one.
        count: T, the number of annotated frames.
        truth: annotation file, for messages.
        require: which images must be on disk. With `some`, missing images get names that count on
            from the first one on disk, which must have a number.

    Returns:
        T paths.

    Raises:
        DatasetError: there are more images, or fewer although all are required.
    """
    if require == "some" and len(frames) < count and frame_number(frames[0]) >= 0:
        head, digits, tail = re.findall(r"(.*?)(\d+)(\D*)$", frames[0].stem)[0]
        tail += frames[0].suffix
        numbers = range(int(digits), int(digits) + count)
        return tuple(frames[0].parent / f"{head}{n:0{len(digits)}}{tail}" for n in numbers)
    if len(frames) != count:
        raise DatasetError(
            f"{name}: {len(frames)} frames, but {count} boxes in {truth}. "
            f"Compare with {frames[0].parent}, and unpack the sequence again."
        )
    return frames


def make_sequence(
    name: str,
    frames: tuple[Path, ...],
    xywh: np.ndarray,
    truth: Path,
    *,
    require: RequiredFrames = "all",
    origin: float = 0.0,
    tags: dict[str, np.ndarray] | None = None,
    visibility: np.ndarray | None = None,
) -> TrackingSequence:
    """Return a sequence of frames with annotated boxes.

    Args:
        name: of the target.
        frames: its images on disk.
        xywh: (T, 4) numbers of the annotation.
        truth: annotation file, for messages.
        require: which images must be on disk.
        origin: coordinate of the first pixel's left and top edge.
        tags: name of an attribute to (T,) bool.
        visibility: (T,) how much of the target is visible; None where it is not annotated.

    Raises:
        DatasetError: frames and boxes disagree, or the first frame has no box.
    """
    frames = match_frames(name, frames, len(xywh), truth, require)
    boxes = boxes_from_xywh(xywh, origin=origin)
    if np.isnan(boxes[0]).any():
        raise DatasetError(
            f"{truth}, line 1: {name} has no box in its first frame, so tracking cannot start "
            "there. Unpack the sequence again."
        )
    return TrackingSequence(
        name=name, frames=frames, boxes=boxes, tags=tags or {}, visibility=visibility
    )


def pad_with_nan(xywh: np.ndarray, count: int) -> np.ndarray:
    """Pad (1, 4), the only box that a benchmark publishes, to (count, 4) with NaN."""
    return np.concatenate((xywh, np.full((count - 1, 4), np.nan))) if len(xywh) == 1 else xywh
