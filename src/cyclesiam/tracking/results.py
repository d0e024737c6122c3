"""What a tracker says of a frame, and its form on disk: one JSON object a line."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from cyclesiam.errors import SourceError

State = Literal["tracking", "lost"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackResult:
    """One target in one frame.

    Args:
        id: its number, from 1.
        box: xyxy in image pixels.
        score: the network's belief, 0..1.
        state: `tracking`, or `lost` when the tracker doubts its own box.
    """

    id: int
    box: tuple[float, float, float, float]
    score: float
    state: State

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
        targets = [
            {
                "id": target.id,
                "box": [round(number, 2) for number in target.box_xywh],
                "score": round(target.score, 4),
                "state": target.state,
            }
            for target in self.targets
        ]
        return json.dumps({"frame": self.frame, "time": round(self.time, 6), "targets": targets})
