"""Move boxes with what lies in them, by points that are tracked forward and back.

A point that does not return to where it began is left out. The rest say how far the content of a
box moved between two frames. They know no target, so such boxes drift. But they need no template
either, and hold a box while a target turns, deforms or is blurred, and its confidence is low.

Shapes: B targets, (H, W) the frame, (h, w) a part of it.

Source: median flow (Kalal et al., ICPR 2010).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cyclesiam.arrays import AnyArray, copy, new_array, shares_memory, to_numpy
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.boxes import clip_boxes_to_frame
from cyclesiam.geometry.crops import frame_size

BOX_SCALE = 0.8  # sides of the grid over the box's: the rim of a box is mostly background
PYRAMID_LEVELS = 3  # halvings: a patch of 31 pixels then finds motions of about 120


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class MedianFlowConfig:
    """How points move the boxes of uncertain targets."""

    points_per_side: int = 5
    """Points on a side of the grid in a box. Larger values are slower and steadier; 0 switches
    median flow off."""
    patch_size: int = 31
    """Side in pixels of the patch compared around a point. Larger values bridge larger motions."""
    max_round_trip_error: float = 1.0
    """Distance in pixels, after tracking forward and back, at which a point is rejected. Larger
    values accept more points."""
    min_inlier_ratio: float = 0.3
    """Ratio of points that must be accepted; else the box stays. Larger values move fewer boxes."""

    def __post_init__(self) -> None:
        if self.points_per_side < 0 or self.patch_size < 3:
            raise ValueError(f"points_per_side >= 0 and patch_size >= 3 must hold, got {self}")
        if not 0 <= self.min_inlier_ratio <= 1 or self.max_round_trip_error <= 0:
            raise ValueError(
                f"0 <= min_inlier_ratio <= 1 and max_round_trip_error > 0 must hold, got {self}"
            )


def propagate_boxes(
    boxes: AnyArray,
    last_boxes: AnyArray,
    frames: tuple[AnyArray, AnyArray],
    uncertain: AnyArray,
    config: MedianFlowConfig,
) -> AnyArray:
    """Return boxes, those of uncertain targets moved from the last frame by median flow.

    Args:
        boxes: (B, 4) xyxy in image pixels, in this frame; kept where too few points are.
        last_boxes: (B, 4) xyxy in image pixels, in the last frame.
        frames: the last frame and this one, (1, 3, H, W) uint8 each.
        uncertain: (B,) bool.
        config: of the points.
    """
    last, this = frames
    rows = np.flatnonzero(to_numpy(uncertain)).tolist()
    # An image that was written over, or has another size, cannot be compared with.
    comparable = last.shape == this.shape and not shares_memory(last, this)
    if not rows or not config.points_per_side or not comparable:
        return boxes
    moved = copy(boxes)
    for row in rows:
        shift = median_displacement(last, this, last_boxes[row].tolist(), config)
        if shift is not None:
            box = last_boxes[row] + new_array(last_boxes, [*shift, *shift])
            moved[row] = clip_boxes_to_frame(box, frame_size(this))
    return moved


def median_displacement(
    last: AnyArray, this: AnyArray, box: Sequence[float], config: MedianFlowConfig
) -> np.ndarray | None:
    """Return how far the content of a box moved.

    Args:
        last: (1, 3, H, W) uint8, the frame of the box.
        this: (1, 3, H, W) uint8, the next frame.
        box: xyxy in image pixels.
        config: of the points.

    Returns:
        (2,) pixels to the right and down, the median of the points that returned; None where
        these are too few.
    """
    x0, y0, x1, y1 = box
    reach = max(x1 - x0, y1 - y0) + config.patch_size
    left, top = max(int(x0 - reach), 0), max(int(y0 - reach), 0)
    right, bottom = int(x1 + reach) + 1, int(y1 + reach) + 1
    first, second = (_gray(frame[0, :, top:bottom, left:right]) for frame in (last, this))
    center = np.array([(x0 + x1) / 2 - left, (y0 + y1) / 2 - top])
    half = BOX_SCALE * np.array([x1 - x0, y1 - y0]) / 2
    points = (center + half * _unit_grid(config.points_per_side)).astype(np.float32)
    options = {"winSize": (config.patch_size,) * 2, "maxLevel": PYRAMID_LEVELS}
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, points, None, **options)  # pyright: ignore
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, there, None, **options)  # pyright: ignore
    errors = np.linalg.norm((back - points)[:, 0], axis=1)
    inliers = (found & returned)[:, 0].astype(bool) & (errors < config.max_round_trip_error)
    if not inliers.any() or inliers.mean() < config.min_inlier_ratio:
        return None
    return np.median((there - points)[inliers, 0], axis=0)


def _unit_grid(count: int) -> np.ndarray:
    """Return (count * count, 1, 2) points from -1 to 1; a single one is 0."""
    steps = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)


def _gray(part: AnyArray) -> np.ndarray:
    """Return (3, h, w) uint8 of a frame as (h, w) gray."""
    image = np.ascontiguousarray(to_numpy(part).transpose(1, 2, 0))
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
