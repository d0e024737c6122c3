"""Where a box's content went from one frame to the next, by points followed forward and back.

The shortest cycle there is: a point that does not come back to where it began is not believed. It
knows no target, only what lay in a box a frame ago, and so it drifts; but it needs no look that is
known, and carries a box over frames in which nothing else is believed: while a target turns,
opens, or is blurred.

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
    """How points carry the boxes of doubted targets."""

    points_per_side: int = 5
    """Points on a side of the grid in a box. Larger values are slower and steadier; 0 switches
    median flow off: boxes then go where they are expected."""
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
    last: AnyArray,
    doubted: AnyArray,
    before: AnyArray,
    now: AnyArray,
    config: MedianFlowConfig,
) -> AnyArray:
    """Let doubted boxes be where the points in their last ones went, if these are believed.

    Args:
        boxes: (B, 4) xyxy in image pixels, in this frame.
        last: (B, 4) in the frame before.
        doubted: (B,) bool.
        before: (1, 3, H, W) uint8, the frame before.
        now: this frame.
        config: how; without a grid nothing is carried.
    """
    rows = np.flatnonzero(to_numpy(doubted)).tolist()
    # A picture that was written over, or is of another size, is no frame before.
    comparable = before.shape == now.shape and not shares_memory(before, now)
    if not rows or not config.points_per_side or not comparable:
        return boxes
    carried = copy(boxes)
    for row in rows:
        move = median_displacement(before, now, last[row].tolist(), config)
        if move is not None:
            moved = last[row] + new_array(last, [*move, *move])
            carried[row] = clip_boxes_to_frame(moved, frame_size(now))
    return carried


def median_displacement(
    before: AnyArray, now: AnyArray, box: Sequence[float], config: MedianFlowConfig
) -> np.ndarray | None:
    """Say how far what lay in a box has moved.

    Args:
        before: (1, 3, H, W) uint8, the frame that the box is of.
        now: the next, of the same size.
        box: xyxy in image pixels.
        config: how.

    Returns:
        (2,) pixels to the right and down, the median of the points that are believed; None where
        these are too few.
    """
    x0, y0, x1, y1 = box
    reach = max(x1 - x0, y1 - y0) + config.patch_size
    left, top = max(int(x0 - reach), 0), max(int(y0 - reach), 0)
    right, bottom = int(x1 + reach) + 1, int(y1 + reach) + 1
    first, second = (_grey(frame[0, :, top:bottom, left:right]) for frame in (before, now))
    centre = np.array([(x0 + x1) / 2 - left, (y0 + y1) / 2 - top])
    half = BOX_SCALE * np.array([x1 - x0, y1 - y0]) / 2
    steps = (
        np.linspace(-1, 1, config.points_per_side) if config.points_per_side > 1 else np.zeros(1)
    )
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)
    points = (centre + half * grid).astype(np.float32)
    how = {"winSize": (config.patch_size, config.patch_size), "maxLevel": PYRAMID_LEVELS}
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, points, None, **how)  # pyright: ignore
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, there, None, **how)  # pyright: ignore
    misses = np.linalg.norm((back - points)[:, 0], axis=1)
    believed = (found & returned)[:, 0].astype(bool) & (misses < config.max_round_trip_error)
    if not believed.any() or believed.mean() < config.min_inlier_ratio:
        return None
    return np.median((there - points)[believed, 0], axis=0)


def _grey(part: AnyArray) -> np.ndarray:
    """Give (3, h, w) uint8 of a frame as (h, w) grey."""
    image = np.ascontiguousarray(to_numpy(part).transpose(1, 2, 0))
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
