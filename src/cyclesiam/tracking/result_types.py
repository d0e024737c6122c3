"""Results of a tracker for a frame, and how they are written as JSON: one object a frame.

Example of a line:

    {"frame": 0, "time": 0.0,
     "targets": [{"id": 1, "box": [x, y, w, h], "score": 0.97, "state": "tracking"}]}

A target with a name also has `"name"`. A target with a mask also has:

- `"mask": {"size": [h, w], "counts": "..."}`, COCO run lengths;
- `"mask_source"`, `"network"`, or `"box"` where the network's mask was implausible;
- `"rotated_box": [x1, y1, ... x4, y4]`, the rectangle of minimal area around the mask.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, Self, cast, get_args

import numpy as np

from cyclesiam.geometry.masks import Mask, RotatedBox

State = Literal["tracking", "uncertain", "lost", "recovered"]
MaskSource = Literal["network", "box"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackResult:
    """One target in one frame.

    Args:
        id: id of the target, from 1.
        box: xyxy in image pixels; with masks, a mean of the tracker's box and the mask's.
        score: probability that `box` has an IoU above 0.5 with the target, 0..1.
        state: `tracking`; `uncertain` where the confidence is low; `lost` where it is very low for
            several frames, and the target is searched in the whole frame; `recovered` in the first
            frames after a redetection.
        mask: pixels of the target; None without masks.
        mask_source: `network`, or `box` where an implausible mask was replaced by the filled box.
        rotated_box: x1, y1, ... x4, y4 in image pixels, the rectangle of minimal area around the
            mask; None without a mask, or of an empty one.
        name: given when the target was added; None without.
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
    """The results of all targets in one frame.

    Args:
        frame: number of the frame, from 0.
        time: in the video, in seconds.
        targets: one result for each.
    """

    frame: int
    time: float
    targets: tuple[TrackResult, ...]

    @property
    def boxes(self) -> np.ndarray:
        """The targets' boxes: (targets, 4) float64 xyxy."""
        return np.array([target.box for target in self.targets], np.float64).reshape(-1, 4)

    def to_json(self) -> str:
        """Return the result as one line; boxes are x, y, w, h rounded to 0.01 pixels."""
        targets = [_write_target(target) for target in self.targets]
        return json.dumps({"frame": self.frame, "time": round(self.time, 6), "targets": targets})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Make a result from a line, the output of `to_json`.

        Raises:
            ValueError: a value is missing or wrong.
        """
        content = _as_object(json.loads(line), "a line")
        targets = _as_list(content.get("targets"), "`targets` must be a list")
        return cls(
            frame=_read_count(content, "frame", minimum=0),
            time=_as_number(content.get("time"), "`time`"),
            targets=tuple(_read_target(_as_object(target, "a target")) for target in targets),
        )


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
    box = _as_list(content.get("box"), "`box` must be x, y, w, h", 4)
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
    if rotated is not None:
        rotated = _as_list(rotated, "`rotated_box` must be x1, y1, ... x4, y4", 8)
    return TrackResult(
        id=_read_count(content, "id", minimum=1),
        box=(x, y, x + w, y + h),
        score=_as_number(content.get("score"), "`score`"),
        state=state,
        mask=None if mask is None else Mask.from_rle(_as_object(mask, "`mask`")),
        mask_source=source,
        rotated_box=None if rotated is None else _as_corners(rotated),
        name=name,
    )


def _as_list(value: Any, complaint: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(complaint)
    items = cast("list[Any]", value)
    if length not in (None, len(items)):
        raise ValueError(complaint)
    return items


def _as_object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object")
    return cast("dict[str, Any]", value)


def _as_number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} must hold finite numbers, got {value!r}")
    return float(value)


def _as_corners(values: list[Any]) -> RotatedBox:
    x1, y1, x2, y2, x3, y3, x4, y4 = (_as_number(value, "`rotated_box`") for value in values)
    return x1, y1, x2, y2, x3, y3, x4, y4


def _read_count(content: dict[str, Any], name: str, *, minimum: int) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"`{name}` must be a whole number from {minimum}, got {value!r}")
    return value
