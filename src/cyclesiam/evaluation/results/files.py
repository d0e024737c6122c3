"""Raw results on disk, in the formats of the benchmarks' own programs.

T: frames of a sequence. In one tracker's folder lie:

| layout | results | seconds for each frame |
|---|---|---|
| `flat` (OTB, UAV123, LaSOT ...) | `NAME.txt`: x,y,w,h a frame | `times/NAME_time.txt` |
| `nested` (GOT-10k) | `NAME/NAME_001.txt`, `_002` ...: x,y,w,h a frame | `NAME/NAME_time.txt` |
| `vot` | `baseline/NAME/NAME_001.txt`: a code or a region a frame | `baseline/NAME/NAME_time.txt` |
| `masks` (DAVIS) | `NAME/00000.png`: named as the frames | `times/NAME_time.txt` |

Of one pass with several starts, `starts/NAME_000120.txt` has the rows from frame 120 on. A time
file has a column for each run. Every file appears whole or not at all.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.number_tables import read_number_table
from cyclesiam.errors import DatasetError, SourceError
from cyclesiam.evaluation.benchmarks import Layout
from cyclesiam.evaluation.metrics.regions import RegionArray
from cyclesiam.evaluation.metrics.vot import FAILED, INITIALIZED, SKIPPED
from cyclesiam.files import atomic_path

BOX_NUMBERS = frozenset({4})
REGION_NUMBERS = frozenset({1, 4, *range(6, 1000, 2)})
MAX_RUNS = 1000


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """Where the raw results of one tracker on one benchmark lie.

    Args:
        path: the folder.
        layout: of the files in it.
    """

    path: Path
    layout: Layout

    def run_file(self, name: str, run: int = 0) -> Path:
        """Return the file of a sequence's run, counted from 0; in `masks` the sequence's folder."""
        match self.layout:
            case "flat":
                return self.path / f"{name}.txt"
            case "masks":
                return self.path / name
            case "nested":
                return self.path / name / f"{_last(name)}_{run + 1:03}.txt"
            case "vot":
                return self.path / "baseline" / name / f"{_last(name)}_{run + 1:03}.txt"

    def has_any(self, names: Iterable[str]) -> bool:
        """Check whether there is a result of one of the sequences."""
        return any(self._first_run(name).exists() for name in names)

    def _first_run(self, name: str) -> Path:
        """Return the file of the first run; other programs write Jogging-1 or Jogging_1."""
        path = self.run_file(name)
        if self.layout == "flat" and not path.exists():
            others = (self.run_file(name.replace(".", mark)) for mark in "-_")
            return next((other for other in others if other.exists()), path)
        return path

    def start_file(self, name: str, first: int) -> Path:
        """Return the file of a run that started in frame `first`, later than 0."""
        return self.path / "starts" / f"{name}_{first:06}.txt"

    def time_file(self, name: str) -> Path:
        """Return the file with the seconds of a sequence's frames."""
        if self.layout in ("flat", "masks"):
            return self.path / "times" / f"{name}_time.txt"
        return self.run_file(name).parent / f"{_last(name)}_time.txt"

    def runs(self, name: str) -> list[Path]:
        """Return the files of a sequence's repetitions, at least one.

        Raises:
            DatasetError: there is none, or one is missing between others.
        """
        first = self._first_run(name)
        if not first.exists():
            raise DatasetError(
                f"{first}: there is no result of the sequence {name}. Run the tracker on it, or "
                "leave it out with --sequences."
            )
        if self.layout in ("flat", "masks"):
            return [first]
        files = [path for n in range(MAX_RUNS) if (path := self.run_file(name, n)).exists()]
        if files[-1] != self.run_file(name, len(files) - 1):
            raise DatasetError(
                f"{self.run_file(name).parent}: the runs are not numbered 001 to "
                f"{len(files):03}. Restore the missing one."
            )
        return files

    def starts(self, name: str) -> dict[int, Path]:
        """Return the files of the runs that started in later frames, by those frames."""
        pattern = f"{_last(name)}_[0-9][0-9][0-9][0-9][0-9][0-9].txt"
        files = sorted(self.start_file(name, 0).parent.glob(pattern))
        return {int(path.stem[-6:]): path for path in files}


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


# Writing


@contextmanager
def result_path(path: Path) -> Iterator[Path]:
    """Yield where to write a result, a file or folder; it is moved to `path` if nothing fails.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        with atomic_path(path) as part:
            yield part
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror or error}); choose another --results"
        ) from error


def write_boxes(path: Path, xywh: np.ndarray) -> None:
    """Write (T, 4) xywh with four decimals; a NaN row as zeros, a miss in every program."""
    rows = np.where(np.isnan(xywh).any(axis=1, keepdims=True), 0.0, xywh)
    with result_path(path) as part:
        np.savetxt(part, rows, fmt="%.4f", delimiter=",")


def write_regions(path: Path, regions: Iterable[np.ndarray]) -> None:
    """Write a VOT trajectory: codes as integers, regions with four decimals."""
    lines = (
        f"{region[0]:.0f}" if len(region) == 1 else ",".join(f"{n:.4f}" for n in region)
        for region in regions
    )
    with result_path(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def write_times(path: Path, seconds: np.ndarray) -> None:
    """Write (T, runs) seconds, a row for each frame."""
    with result_path(path) as part:
        np.savetxt(part, seconds, fmt="%.6f", delimiter=",")


# Reading


def read_boxes(path: Path, frames: int) -> np.ndarray:
    """Read boxes, one for each frame.

    Args:
        path: the file.
        frames: T, the number of rows that there must be.

    Returns:
        (T, 4) xywh in the coordinates of the file.

    Raises:
        DatasetError: a line is wrong, which the message names.
    """
    rows = read_number_table(path, BOX_NUMBERS)
    _check_rows(path, rows.length, frames)
    return rows.table()


def read_trajectory(path: Path, frames: int) -> RegionArray:
    """Read a VOT trajectory: for each of T frames, a region or a code.

    Raises:
        DatasetError: a line is wrong, which the message names.
    """
    rows = read_number_table(path, REGION_NUMBERS)
    _check_rows(path, rows.length, frames)
    if 1 in rows.by_length:
        lines, codes = rows.by_length[1]
        unknown = ~np.isin(codes[:, 0], (SKIPPED, INITIALIZED, FAILED))
        if unknown.any():
            n = int(unknown.argmax())
            raise DatasetError(
                f"{path}, line {lines[n] + 1}: {codes[n, 0]:g} is no code; there are 0 (skipped), "
                "1 (initialized) and 2 (failed). Mend this line."
            )
    table = RegionArray(rows.length, rows.by_length)
    if 0 not in table.frames_with(INITIALIZED):
        raise DatasetError(
            f"{path}, line 1: a run begins with the code 1 (initialized). Was it made by the "
            "protocol `reset`?"
        )
    return table


def read_times(path: Path, frames: int) -> np.ndarray | None:
    """Read seconds (T, runs), NaN where unknown; None where there is no such file.

    Raises:
        DatasetError: a line is wrong, which the message names.
    """
    if not path.is_file():
        return None
    rows = read_number_table(path, range(1, MAX_RUNS), nan="anywhere")
    _check_rows(path, rows.length, frames)
    if len(rows.by_length) > 1:
        raise DatasetError(f"{path}: some lines have more numbers than others. Remove this file.")
    return rows.table()


def _check_rows(path: Path, rows: int, frames: int) -> None:
    if rows != frames:
        raise DatasetError(
            f"{path}, line {min(rows, frames) + 1}: {rows} rows, but the sequence has {frames} "
            "frames. Run the tracker on this sequence again."
        )
