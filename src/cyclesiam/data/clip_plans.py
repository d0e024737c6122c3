"""Plans of clips: all that is drawn at random, without pixels; and how OpenCV renders them.

Shapes: T frames of a clip, each of the canvas's (H, W).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cyclesiam.synthetic.compositing import Layer, paste_layers
from cyclesiam.synthetic.panning import View

MASK_ON, MASK_OFF, MASK_UNKNOWN = 255, 0, 127  # pixels of a mask


class Clip(NamedTuple):
    """One row of a batch.

    Args:
        frames: (T, H, W, 3) uint8.
        boxes: (T, 4) xyxy in pixels, NaN where the box is unknown.
        masks: (H, W) bool of the first and the last frame, on the target; None where unknown.
        name: of the file that the clip comes from.
    """

    frames: np.ndarray
    boxes: np.ndarray
    masks: tuple[np.ndarray, np.ndarray] | None
    name: str

    def backward(self) -> "Clip":
        """Return the clip back in time, or itself where the last box is unknown."""
        if np.isnan(self.boxes[-1]).any():
            return self
        masks = None if self.masks is None else (self.masks[1], self.masks[0])
        return Clip(self.frames[::-1], self.boxes[::-1], masks, self.name)

    @property
    def mask(self) -> np.ndarray:
        """The (H, W) uint8 mask of the first frame, as in `Batch.masks`."""
        if self.masks is None:
            return np.full(self.frames.shape[1:3], MASK_UNKNOWN, np.uint8)
        return np.where(self.masks[0], np.uint8(MASK_ON), np.uint8(MASK_OFF))


@dataclass(frozen=True, slots=True, eq=False)
class ClipPlan:
    """What a clip shows.

    Args:
        name: of the file that the clip comes from.
        views: what the T frames show, before anything is pasted.
        boxes: (T, 4) xyxy in pixels, NaN where the box is unknown; None for a pasted target's.
        layers: sprites to paste, the hindmost first; with a target where `boxes` is None.
        masks: views of the target's mask in the first and the last frame; None where unknown, and
            for a pasted target's.
    """

    name: str
    views: Sequence[View]
    boxes: np.ndarray | None = None
    layers: Sequence[Layer] = ()
    masks: tuple[View, View] | None = None

    def render(self, frames: np.ndarray) -> Clip:
        """Return the clip; its pixels are written to `frames`, (T, H, W, 3) uint8."""
        for view, frame in zip(self.views, frames, strict=True):
            view.render(frame)
        if self.boxes is None:
            _, boxes, masks = paste_layers(frames, self.layers)
            return Clip(frames, boxes, (masks[0], masks[-1]), self.name)
        if self.masks is None:
            return Clip(frames, self.boxes, None, self.name)
        first, last = (view.pixels > 127 for view in self.masks)
        return Clip(frames, self.boxes, (first, last), self.name)
