"""Files of results: JSON lines, JSON and tables; and boxes as arrays."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self, TextIO

import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.files import (
    atomic_path,
    check_output,
    is_standard_output,
    open_alone,
    output_error,
)
from cyclesiam.tracking.result_tables import HEADER, read_table, to_rows
from cyclesiam.tracking.result_types import FrameResult, MaskSource, State, TrackResult

__all__ = [
    "FrameResult",
    "MaskSource",
    "ResultWriter",
    "State",
    "TrackResult",
    "read_results",
    "to_array",
    "to_csv",
]


@dataclass(frozen=True, slots=True)
class Format:
    """How the results of frames make up a file: text before, between and after them."""

    text: Callable[[FrameResult], str]
    head: str = ""
    between: str = ""
    tail: str = ""


JSON_LINES = Format(lambda result: result.to_json() + "\n")
FORMATS = {
    ".csv": Format(to_rows, head=HEADER),
    ".json": Format(FrameResult.to_json, head="[\n", between=",\n", tail="\n]\n"),
}


class ResultWriter:
    """Write results to a file, frame by frame, each on disk before the next.

    The name decides the format. `.csv` is a table, one row for each target and frame, without
    masks. `.json` is one array. All others are JSON lines; `-` is standard output.

    The first result creates the file or replaces an older one. No other process can write the file
    until it is closed.

    Args:
        path: of the file, in an existing folder.
        overwrite: whether a file that holds something may be replaced.

    Raises:
        SourceError: the path cannot be written.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = True) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        self._format = FORMATS.get(self.path.suffix.lower(), JSON_LINES)
        self._file: TextIO | None = None
        check_output(self.path, overwrite=overwrite)

    def write(self, result: FrameResult) -> None:
        """Append the result of one frame."""
        try:
            if self._file is None:
                self._file = self._open()
                text = self._format.head
            else:
                text = self._format.between
            self._file.write(text + self._format.text(result))
            self._file.flush()
        except OSError as error:
            self._abandon()
            self._fail(error, f"frame {result.frame} ")

    def _open(self) -> TextIO:
        if is_standard_output(self.path):
            return os.fdopen(os.dup(1), "w", encoding="utf-8", newline="")
        descriptor = open_alone(self.path, overwrite=self._overwrite)
        if self.path.is_file():
            os.ftruncate(descriptor, 0)
        return os.fdopen(descriptor, "w", encoding="utf-8", newline="")

    def close(self) -> None:
        """Close the file. Without a result there is no file. Further calls do nothing."""
        if self._file is None:
            return
        try:
            self._file.write(self._format.tail)
            self._file.flush()
        except OSError as error:
            self._fail(error, "the end ")
        finally:
            self._abandon()

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # each frame was flushed, or its error was raised
                file.close()

    def _fail(self, error: OSError, what: str) -> NoReturn:
        if isinstance(error, BrokenPipeError):  # the reader closed the pipe
            raise error
        if isinstance(error, BlockingIOError | FileExistsError):
            raise output_error(self.path, error) from error
        raise SourceError(
            f"{self.path}: {what}cannot be written ({error.strerror}); "
            "check that the folder is writable and the disk not full"
        ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_results(path: str | Path) -> Iterator[FrameResult]:
    """Yield the results in a file of `ResultWriter`, frame by frame.

        for result in read_results("street.jsonl"):
            print(result.frame, result.boxes)

    Of a table (`.csv`), frames without targets and masks are missing.

    Raises:
        SourceError: while iterating: the file cannot be read, or a line is damaged.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            if path.suffix.lower() == ".csv":
                yield from read_table(lines, str(path))
            else:
                yield from _read_lines(path, lines)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is not text; give a file that `track` wrote") from error


def _read_lines(path: Path, lines: Iterable[str]) -> Iterator[FrameResult]:
    in_array = path.suffix.lower() == ".json"
    for number, line in enumerate(lines, start=1):
        if in_array:  # which has a frame a line, too
            line = line.strip(" \r\n,[]")
            if not line:
                continue
        try:
            result = FrameResult.from_json(line)
        except ValueError as error:
            raise SourceError(
                f"{path}, line {number}: is no result of a frame ({error}); "
                "use the lines before it, or track again"
            ) from error
        yield result


def to_csv(results: Iterable[FrameResult], path: str | Path) -> None:
    """Write results as a table, one row for each target and frame; an older file is replaced.

        to_csv(read_results("street.jsonl"), "street.csv")

    Raises:
        SourceError: the file cannot be written.
    """
    file = Path(path)
    try:
        with atomic_path(file) as part, part.open("w", encoding="utf-8", newline="") as table:
            table.write(HEADER)
            table.writelines(map(to_rows, results))
    except OSError as error:
        raise output_error(file, error) from error


def to_array(results: Iterable[FrameResult], id: int = 1) -> np.ndarray:
    """Return the boxes of one target.

    Returns:
        (frames, 4) float64 xyxy, in the order of the results; NaN where the target is not.
    """
    boxes = [
        next((target.box for target in result.targets if target.id == id), (math.nan,) * 4)
        for result in results
    ]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
