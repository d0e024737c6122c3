"""Results as a table: one row for each target and frame, without masks."""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import cast, get_args

from cyclesiam.errors import SourceError
from cyclesiam.tracking.result_types import FrameResult, State, TrackResult

COLUMNS = "frame time id name left top width height score state".split()
HEADER = ",".join(COLUMNS) + "\n"


def to_rows(result: FrameResult) -> str:
    """Return the rows of a frame, one for each target; numbers are rounded as in JSON."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for target in result.targets:
        box = (round(number, 2) for number in target.box_xywh)
        where = (result.frame, round(result.time, 6), target.id, target.name or "")
        rows.writerow([*where, *box, round(target.score, 4), target.state])
    return text.getvalue()


def read_table(lines: Iterable[str], name: str) -> Iterator[FrameResult]:
    """Yield the results of each frame that has a row.

    Args:
        lines: of the table, with its header.
        name: of its file, for errors.

    Raises:
        SourceError: while iterating: a row is damaged.
    """
    rows = csv.DictReader(lines)
    for (frame, time), some in groupby(_read_rows(rows, name), key=lambda row: row[:2]):
        yield FrameResult(frame=frame, time=time, targets=tuple(row[2] for row in some))


def _read_rows(rows: "csv.DictReader[str]", name: str) -> Iterator[tuple[int, float, TrackResult]]:
    try:
        if rows.fieldnames is not None and [*rows.fieldnames] != COLUMNS:
            raise ValueError(f"its columns must be {HEADER.strip()}")
        for row in rows:
            yield int(row["frame"]), _number(row["time"]), _read_target(row)
    except (ValueError, TypeError, csv.Error) as error:
        raise SourceError(
            f"{name}, line {rows.line_num}: is no row of results ({error}); "
            "use the lines before it, or track again"
        ) from error


def _read_target(row: dict[str, str]) -> TrackResult:
    left, top, width, height, score = (
        _number(row[name]) for name in ("left", "top", "width", "height", "score")
    )
    if row["state"] not in get_args(State):
        raise ValueError(f"the state must be {' or '.join(get_args(State))}")
    return TrackResult(
        id=int(row["id"]),
        box=(left, top, left + width, top + height),
        score=score,
        state=cast(State, row["state"]),
        name=row["name"] or None,
    )


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"numbers must be finite, got {text}")
    return number
