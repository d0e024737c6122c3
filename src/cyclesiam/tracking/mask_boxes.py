"""Boxes that heed masks: how far a target reaches, its pixels tell better than a proposal.

What a box holds of its target differs from one to the next: a shadow, no tail. How the given box
lies about the mask of the first frame says so, and is kept from then on.

Shapes: B targets, (H, W) the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cyclesiam.geometry.boxes import cxcywh_to_xyxy, keep_in_frame, xyxy_to_cxcywh
from cyclesiam.geometry.masks import Mask

BEYOND = 0.01  # share of a mask's pixels left out on each side: few are often not the target's
MOST_CHANGE = 2.0  # factor of a size from a mask's extent to its box
MOST_SHIFT = 0.5  # of a middle, over the extent's size


@dataclass(frozen=True, slots=True)
class MaskFit:
    """How the given boxes of B targets lie about the extents of their masks.

    Args:
        shifts: (B, 2) from the extent's middle to the box's, over the extent's size.
        scales: (B, 2) width and height of the box over the extent's. Both are NaN of a target
            whose first mask is not known.
    """

    shifts: Tensor
    scales: Tensor


def no_fit(boxes: Tensor) -> MaskFit:
    """Give what is known without masks of (B, 4) boxes: nothing."""
    unknown = torch.full_like(boxes[:, :2], torch.nan)
    return MaskFit(unknown, unknown)


def bulk_extents(masks: Sequence[Mask | None]) -> np.ndarray:
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
    first, last = np.interp((BEYOND, 1 - BEYOND), below, np.arange(len(below)))
    return float(first), float(last)


def fit_boxes(boxes: Tensor, extents: Tensor) -> MaskFit:
    """Learn how (B, 4) given boxes lie about the (B, 4) extents of their masks, both xyxy."""
    given, seen = xyxy_to_cxcywh(boxes), xyxy_to_cxcywh(extents)
    shifts = (given[:, :2] - seen[:, :2]) / seen[:, 2:]
    scales = given[:, 2:] / seen[:, 2:]
    return MaskFit(
        shifts.clamp(-MOST_SHIFT, MOST_SHIFT), scales.clamp(1 / MOST_CHANGE, MOST_CHANGE)
    )


def heed_masks(
    boxes: Tensor, extents: Tensor, fit: MaskFit, share: float, frame_size: tuple[int, int]
) -> Tensor:
    """Let masks have a say in boxes.

    Args:
        boxes: (B, 4) xyxy, the tracker's own.
        extents: (B, 4) xyxy of the masks; NaN where there is none.
        fit: how boxes lie about these.
        share: weight of the masks, 0..1.
        frame_size: H, W.

    Returns:
        (B, 4) xyxy within the frame; the tracker's own where a mask says nothing.
    """
    seen = xyxy_to_cxcywh(extents)
    middles = seen[:, :2] + fit.shifts * seen[:, 2:]
    fitted = cxcywh_to_xyxy(torch.cat((middles, fit.scales * seen[:, 2:]), dim=1))
    heard = keep_in_frame((1 - share) * boxes + share * fitted, frame_size)
    return torch.where(fitted.isfinite().all(dim=1, keepdim=True), heard, boxes)
