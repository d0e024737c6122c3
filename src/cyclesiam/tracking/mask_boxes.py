"""Boxes from masks: the pixels of a target bound it more exactly than a proposal.

Boxes of users differ in what they include: some hold the shadow, some leave out the tail. The
first frame shows how the initial box lies around the initial mask, and later boxes keep that fit.
The reported box is mostly that of the mask. The tracker itself continues from its own box: a mask
may fail in any frame and would take the target along. Only the size of that box is corrected, and
only after masks have disagreed with it clearly for several frames.

Shapes: B targets, (H, W) the frame.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, lerp
from cyclesiam.geometry.boxes import box_iou, clip_boxes_to_frame, cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.masks import Mask

TRIM = 0.01  # ratio of a mask's pixels cut off on each side: they are often outliers
MAX_SCALE = 2.0  # of the initial box over its mask's box, and of a mask's box over the tracker's
MAX_SHIFT = 0.5  # of a center, over the size of the mask's box


@dataclass(frozen=True, slots=True)
class MaskBoxFit:
    """How the initial boxes of B targets lie around their masks, and how masks agree with boxes.

    Args:
        shifts: (B, 2) from the center of the mask's box to that of the initial box, over the size
            of the mask's box. NaN where the initial mask is unknown.
        scales: (B, 2) width and height of the initial box over those of the mask's box. NaN where
            the initial mask is unknown.
        size_drift: (B, 2) running mean of the logarithm of sizes by masks over the tracker's sizes.
        iou: (B,) IoU of the last box by the mask with the tracker's box; NaN without a mask.
    """

    shifts: AnyArray
    scales: AnyArray
    size_drift: AnyArray
    iou: AnyArray

    @property
    def known(self) -> AnyArray:
        """(B,) bool, where the initial mask is known."""
        return array_namespace(self.scales).isfinite(self.scales).all(axis=1)


def unknown_fit(boxes: AnyArray) -> MaskBoxFit:
    """Return the fit of (B, 4) boxes whose initial masks are unknown."""
    xp = array_namespace(boxes)
    unknown = xp.full_like(boxes[:, :2], math.nan)
    return MaskBoxFit(unknown, unknown, xp.zeros_like(unknown), unknown[:, 0])


def trimmed_boxes(masks: Sequence[Mask | None]) -> np.ndarray:
    """Return the (B, 4) xyxy boxes of masks without outliers; NaN for None and empty masks.

    On each side, `TRIM` of the pixels lie outside.
    """
    boxes = np.full((len(masks), 4), np.nan, np.float32)
    for row, mask in enumerate(masks):
        if mask is not None and mask.area:
            (x0, x1), (y0, y1) = (_trimmed_range(mask.pixels.sum(axis=axis)) for axis in (0, 1))
            boxes[row] = mask.left + x0, mask.top + y0, mask.left + x1, mask.top + y1
    return boxes


def _trimmed_range(counts: np.ndarray) -> tuple[float, float]:
    """Return where the `TRIM` and 1 - `TRIM` quantiles of counts lie, between integers."""
    below = np.concatenate(([0.0], counts.cumsum() / counts.sum()))
    first, last = np.interp((TRIM, 1 - TRIM), below, np.arange(len(below)))
    return float(first), float(last)


def fit_boxes_to_masks(boxes: AnyArray, mask_boxes: AnyArray) -> MaskBoxFit:
    """Return how (B, 4) initial boxes lie around the (B, 4) boxes of their masks, both xyxy."""
    xp = array_namespace(boxes)
    initial, of_mask = xyxy_to_cxcywh(boxes), xyxy_to_cxcywh(mask_boxes)
    shifts = (initial[:, :2] - of_mask[:, :2]) / of_mask[:, 2:]
    scales = initial[:, 2:] / of_mask[:, 2:]
    return MaskBoxFit(
        shifts.clip(-MAX_SHIFT, MAX_SHIFT),
        scales.clip(1 / MAX_SCALE, MAX_SCALE),
        xp.zeros_like(scales),
        xp.ones_like(scales[:, 0]),
    )


def boxes_from_masks(mask_boxes: AnyArray, fit: MaskBoxFit) -> AnyArray:
    """Return the boxes that lie around masks as the initial boxes did.

    Args:
        mask_boxes: (B, 4) xyxy output of `trimmed_boxes`.
        fit: of the targets.

    Returns:
        (B, 4) xyxy; NaN without a mask, or where the initial mask is unknown.
    """
    of_mask = xyxy_to_cxcywh(mask_boxes)
    sizes = of_mask[:, 2:]
    parts = (of_mask[:, :2] + fit.shifts * sizes, fit.scales * sizes)
    return cxcywh_to_xyxy(array_namespace(of_mask).concat(parts, axis=1))


def blend_boxes(boxes: AnyArray, from_masks: AnyArray, weight: float) -> AnyArray:
    """Return weighted means of the tracker's boxes and those by masks.

    Args:
        boxes: (B, 4) xyxy, the tracker's.
        from_masks: (B, 4) xyxy output of `boxes_from_masks`.
        weight: of the masks, 0..1.

    Returns:
        (B, 4) xyxy; the tracker's box where there is none by a mask.
    """
    xp = array_namespace(boxes)
    return xp.where(xp.isnan(from_masks), boxes, lerp(boxes, from_masks, weight))


def update_fit(
    fit: MaskBoxFit, boxes: AnyArray, from_masks: AnyArray, momentum: float
) -> MaskBoxFit:
    """Return the fit with the drift of sizes and the IoU of a new frame.

    Args:
        fit: of the frame before.
        boxes: (B, 4) xyxy, the tracker's.
        from_masks: (B, 4) xyxy output of `boxes_from_masks`.
        momentum: weight of this frame in the running mean of the drift, 0..1.
    """
    ratios = (from_masks[:, 2:] - from_masks[:, :2]) / (boxes[:, 2:] - boxes[:, :2])
    xp = array_namespace(boxes)
    change = xp.log(ratios.clip(1 / MAX_SCALE, MAX_SCALE)) - fit.size_drift
    size_drift = fit.size_drift + momentum * xp.nan_to_num(change)
    return replace(fit, size_drift=size_drift, iou=box_iou(from_masks, boxes))


def correct_sizes(
    boxes: AnyArray,
    fit: MaskBoxFit,
    confident: AnyArray,
    tolerance: float,
    correction: float,
    frame_size: tuple[int, int],
) -> AnyArray:
    """Return boxes whose sizes move towards those by masks, where these drifted far away.

    Args:
        boxes: (B, 4) xyxy, the tracker's.
        fit: holds the drift.
        confident: (B,) bool; the boxes of the other targets stay.
        tolerance: ratio of sizes, 1 or more, up to which a box stays.
        correction: ratio of the excess over the tolerance, as a logarithm, corrected in a frame.
        frame_size: H, W.

    Returns:
        (B, 4) xyxy with the same centers.
    """
    excess = abs(fit.size_drift) - math.log(tolerance)
    corrected = confident & (excess > 0).any(axis=1)
    if not corrected.any():  # the usual case
        return boxes
    xp, before = array_namespace(boxes), xyxy_to_cxcywh(boxes)
    excess = xp.sign(fit.size_drift) * excess.clip(min=0)
    changed = xp.concat((before[:, :2], before[:, 2:] * xp.exp(correction * excess)), axis=1)
    changed = clip_boxes_to_frame(cxcywh_to_xyxy(changed), frame_size)
    return xp.where(corrected[:, None], changed, boxes)
