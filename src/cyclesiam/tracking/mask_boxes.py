"""Boxes that heed masks: how far a target reaches, its pixels tell better than a proposal.

What a box holds of its target differs from one to the next: a shadow, no tail. How the given box
lies about the mask of the first frame says so, and is kept from then on. The box that is told is
mostly that of the mask. The box that is followed is the tracker's own: a mask may flood or fail in
any frame, and would take the target along. Only where masks have said for long that the target is
much larger or smaller, its size is pulled there.

Shapes: B targets, (H, W) the frame.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, lerp
from cyclesiam.geometry.boxes import box_iou, clip_boxes_to_frame, cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.masks import Mask

TRIM = 0.01  # share of a mask's pixels left out on each side: few are often not the target's
MOST_CHANGE = 2.0  # factor of a size from a mask's extent to its box, and to the tracker's own
MOST_SHIFT = 0.5  # of a middle, over the extent's size


@dataclass(frozen=True, slots=True)
class MaskBoxFit:
    """How the given boxes of B targets lie about the extents of their masks.

    Args:
        shifts: (B, 2) from the extent's middle to the box's, over the extent's size.
        scales: (B, 2) width and height of the box over the extent's. Both are NaN of a target
            whose first mask is not known.
        excess: (B, 2) by how much masks have said of late that it is larger: the logarithm of the
            sizes that they say over the tracker's own.
        agreement: (B,) overlap of the box that the last mask said with the tracker's own; NaN where
            there was no such mask.
    """

    shifts: AnyArray
    scales: AnyArray
    size_drift: AnyArray
    iou: AnyArray

    @property
    def known(self) -> AnyArray:
        """(B,) bool, whose first mask is known."""
        return array_namespace(self.scales).isfinite(self.scales).all(axis=1)


def unknown_fit(boxes: AnyArray) -> MaskBoxFit:
    """Give what is known without masks of (B, 4) boxes: nothing."""
    xp = array_namespace(boxes)
    unknown = xp.full_like(boxes[:, :2], math.nan)
    return MaskBoxFit(unknown, unknown, xp.zeros_like(unknown), unknown[:, 0])


def trimmed_boxes(masks: Sequence[Mask | None]) -> np.ndarray:
    """Give the (B, 4) xyxy that hold masks but for few pixels; NaN of none and of empty ones."""
    found = np.full((len(masks), 4), np.nan, np.float32)
    for row, mask in enumerate(masks):
        if mask is not None and mask.area:
            (x0, x1), (y0, y1) = (_middle(mask.pixels.sum(axis=axis)) for axis in (0, 1))
            found[row] = mask.left + x0, mask.top + y0, mask.left + x1, mask.top + y1
    return found


def _middle(counts: np.ndarray) -> tuple[float, float]:
    """Give where all but `BEYOND` of what is counted begins and ends, between whole numbers."""
    below = np.concatenate(([0.0], counts.cumsum() / counts.sum()))
    first, last = np.interp((TRIM, 1 - TRIM), below, np.arange(len(below)))
    return float(first), float(last)


def fit_boxes_to_masks(boxes: AnyArray, extents: AnyArray) -> MaskBoxFit:
    """Learn how (B, 4) given boxes lie about the (B, 4) extents of their masks, both xyxy."""
    xp = array_namespace(boxes)
    given, seen = xyxy_to_cxcywh(boxes), xyxy_to_cxcywh(extents)
    shifts = (given[:, :2] - seen[:, :2]) / seen[:, 2:]
    scales = given[:, 2:] / seen[:, 2:]
    return MaskBoxFit(
        shifts.clip(-MOST_SHIFT, MOST_SHIFT),
        scales.clip(1 / MOST_CHANGE, MOST_CHANGE),
        xp.zeros_like(scales),
        xp.ones_like(scales[:, 0]),
    )


def boxes_from_masks(extents: AnyArray, fit: MaskBoxFit) -> AnyArray:
    """Give the (B, 4) xyxy boxes that the (B, 4) extents of masks say; NaN where they do not."""
    seen = xyxy_to_cxcywh(extents)
    sizes = seen[:, 2:]
    parts = (seen[:, :2] + fit.shifts * sizes, fit.scales * sizes)
    return cxcywh_to_xyxy(array_namespace(seen).concat(parts, axis=1))


def blend_boxes(boxes: AnyArray, said: AnyArray, share: float) -> AnyArray:
    """Let masks have a say in boxes.

    Args:
        boxes: (B, 4) xyxy, the tracker's own.
        said: (B, 4) xyxy by their masks, as `say_boxes`.
        share: weight of the masks, 0..1.

    Returns:
        (B, 4) xyxy; the tracker's own where a mask says nothing.
    """
    xp = array_namespace(boxes)
    return xp.where(xp.isnan(said), boxes, lerp(boxes, said, share))


def update_fit(fit: MaskBoxFit, boxes: AnyArray, said: AnyArray, rate: float) -> MaskBoxFit:
    """Remember what masks say of boxes: whether they agree, and how much larger targets are.

    Args:
        fit: of the frame before.
        boxes: (B, 4) xyxy, the tracker's own.
        said: (B, 4) xyxy by their masks, as `say_boxes`.
        rate: weight of this frame among those of late, 0..1.
    """
    factors = (said[:, 2:] - said[:, :2]) / (boxes[:, 2:] - boxes[:, :2])
    xp = array_namespace(boxes)
    news = xp.log(factors.clip(1 / MOST_CHANGE, MOST_CHANGE)) - fit.size_drift
    excess = fit.size_drift + rate * xp.nan_to_num(news)
    return replace(fit, size_drift=excess, iou=box_iou(said, boxes))


def correct_sizes(
    boxes: AnyArray,
    fit: MaskBoxFit,
    sure: AnyArray,
    slack: float,
    pull: float,
    frame_size: tuple[int, int],
) -> AnyArray:
    """Pull the sizes of boxes towards what masks have said of late, where that is far off.

    Args:
        boxes: (B, 4) xyxy, the tracker's own.
        fit: what they said.
        sure: (B,) bool; the others' boxes stay.
        slack: factor of a size, 1 or more, up to which it stays.
        pull: share of what is beyond, as a logarithm, that it changes in a frame.
        frame_size: H, W.

    Returns:
        (B, 4) xyxy of the same middles.
    """
    beyond = abs(fit.size_drift) - math.log(slack)
    pulled = sure & (beyond > 0).any(axis=1)
    if not pulled.any():  # as a rule
        return boxes
    xp, own = array_namespace(boxes), xyxy_to_cxcywh(boxes)
    beyond = xp.sign(fit.size_drift) * beyond.clip(min=0)
    changed = xp.concat((own[:, :2], own[:, 2:] * xp.exp(pull * beyond)), axis=1)
    changed = clip_boxes_to_frame(cxcywh_to_xyxy(changed), frame_size)
    return xp.where(pulled[:, None], changed, boxes)
