"""What a tracker says of a frame, and its form on disk: one JSON object a line.

A line:

    {"frame": 0, "time": 0.0,
     "targets": [{"id": 1, "box": [x, y, w, h], "score": 0.97, "state": "tracking"}]}

Of a target that was given a name there is `"name"`. Of a target with a mask there are, too:
`"mask": {"size": [h, w], "counts": "..."}`, COCO's run lengths; `"mask_source": "network"`, or
`"box"` where the mask was not believed; and `"rotated_box": [x1, y1, ... x4, y4]`, the rectangle
of least area around it.
"""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TextIO, get_args

from cyclesiam.errors import SourceError
from cyclesiam.geometry.masks import Mask, RotatedBox

State = Literal["tracking", "uncertain", "lost", "recovered"]
MaskSource = Literal["network", "box"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackResult:
    """One target in one frame.

    Args:
        id: its number, from 1.
        box: xyxy in image pixels; where there is a mask, that has a say in it.
        score: the probability that `box` overlaps the truth by more than half, 0..1.
        state: `tracking`; `uncertain` where the tracker is not sure of that; `lost` when it doubts
            its own box for longer, and looks for the target all over the frame; `recovered` in the
            first frames after.
        mask: its pixels; None of a network without masks.
        mask_source: where the mask comes from: the network, or the box, filled, where the
            network's had nothing to do with it.
        rotated_box: x1, y1, ... x4, y4 in image pixels, the least rectangle around the mask; None
            without a mask, or of an empty one.
        name: what the target was called as it was added; None without.
    """

    id: int
    box: tuple[float, float, float, float]
    score: float
    state: State
    mask: Mask | None = None
    mask_source: MaskSource | None = None
    rotated_box: RotatedBox | None = None
    name: str | None = None

    @property
    def box_xywh(self) -> tuple[float, float, float, float]:
        """The box as left, top, width, height."""
        left, top, right, bottom = self.box
        return left, top, right - left, bottom - top


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameResult:
    """All targets in one frame.

    Args:
        frame: its number, from 0.
        time: its time in the video, in seconds.
        targets: their results.
    """

    frame: int
    time: float
    targets: tuple[TrackResult, ...]

    def to_json(self) -> str:
        """Give the result as one line; boxes are x, y, w, h to a hundredth of a pixel."""
        targets = [_write_target(target) for target in self.targets]
        return json.dumps({"frame": self.frame, "time": round(self.time, 6), "targets": targets})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` gave.

        Raises:
            ValueError: what the line lacks.
        """
        content = _as_object(json.loads(line), "a line")
        targets = content.get("targets")
        if not isinstance(targets, list):
            raise ValueError("`targets` must be a list")
        return cls(
            frame=_read_count(content, "frame", least=0),
            time=_as_number(content.get("time"), "`time`"),
            targets=tuple(_read_target(_as_object(target, "a target")) for target in targets),
        )


class ResultWriter:
    """Write results to a file, a line for each frame, each on disk before the next frame.

    The file appears with the first result, and replaces an older one.

    Args:
        path: where to; the folder exists.

    Raises:
        SourceError: the path cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None
        if self.path.is_dir():
            raise SourceError(f"{path}: cannot be written, it is a folder; give a file name")
        if not self.path.parent.is_dir():
            raise SourceError(f"{path}: cannot be written, its folder is missing; make it first")

    def write(self, result: FrameResult) -> None:
        """Append the result of one frame."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8")
            self._file.write(result.to_json() + "\n")
            self._file.flush()
        except OSError as error:
            self.close()
            if isinstance(error, BrokenPipeError):  # a reader that had enough: not the path's fault
                raise
            raise SourceError(
                f"{self.path}: frame {result.frame} cannot be written ({error.strerror}); "
                "check that the folder is writable and the disk not full"
            ) from error

    def close(self) -> None:
        """Finish the file; without a result there is none. Twice is once."""
        if self._file is not None:
            with suppress(OSError):  # each line was flushed, or its error was told
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_results(path: str | Path) -> Iterator[FrameResult]:
    """Read what `ResultWriter` wrote, frame by frame; boxes are true to a hundredth of a pixel.

    Raises:
        SourceError: while iterating: the file cannot be read, or a line is damaged.
    """
    try:
        with Path(path).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    result = FrameResult.from_json(line)
                except ValueError as error:
                    raise SourceError(
                        f"{path}, line {number}: is no result of a frame ({error}); "
                        "use the lines before it, or track again"
                    ) from error
                yield result
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is not text; give a file that `track` wrote") from error


def _write_target(target: TrackResult) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": target.id,
        "box": [round(number, 2) for number in target.box_xywh],
        "score": round(target.score, 4),
        "state": target.state,
    }
    if target.name is not None:
        content["name"] = target.name
    if target.mask is not None:
        content["mask"] = target.mask.to_rle()
        content["mask_source"] = target.mask_source
    if target.rotated_box is not None:
        content["rotated_box"] = [round(number, 2) for number in target.rotated_box]
    return content


def _read_target(content: dict[str, Any]) -> TrackResult:
    box = content.get("box")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("`box` must be x, y, w, h")
    x, y, w, h = (_as_number(value, "`box`") for value in box)
    state: Any = content.get("state")
    if state not in get_args(State):
        raise ValueError(f"`state` must be {' or '.join(get_args(State))}, got {state!r}")
    mask, source, rotated = (content.get(n) for n in ("mask", "mask_source", "rotated_box"))
    if mask is not None and source not in get_args(MaskSource):
        raise ValueError(f"`mask_source` must be {' or '.join(get_args(MaskSource))}")
    name = content.get("name")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"`name` must be text, got {name!r}")
    if rotated is not None and (not isinstance(rotated, list) or len(rotated) != 8):
        raise ValueError("`rotated_box` must be x1, y1, ... x4, y4")
    return TrackResult(
        id=_read_count(content, "id", least=1),
        box=(x, y, x + w, y + h),
        score=_as_number(content.get("score"), "`score`"),
        state=state,
        mask=None if mask is None else Mask.from_rle(_as_object(mask, "`mask`")),
        mask_source=source,
        rotated_box=None if rotated is None else _as_corners(rotated),
        name=name,
    )


def _as_object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object")
    return value


def _as_number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} must hold finite numbers, got {value!r}")
    return float(value)


def _as_corners(values: list[Any]) -> RotatedBox:
    x1, y1, x2, y2, x3, y3, x4, y4 = (_as_number(value, "`rotated_box`") for value in values)
    return x1, y1, x2, y2, x3, y3, x4, y4


def _read_count(content: dict[str, Any], name: str, *, least: int) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` must be a whole number from {least}, got {value!r}")
    return value
