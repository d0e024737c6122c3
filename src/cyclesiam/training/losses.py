"""The losses of the paper, and two that may replace parts of them.

Shapes: B targets, N anchors.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from cyclesiam.geometry.boxes import generalized_box_iou
from cyclesiam.training.anchor_labels import IGNORE, POSITIVE

BOX_WEIGHT = 1.0  # lambda 1 of equation 7
MIN_WEIGHT = 1e-6  # keeps an empty mean finite
MASK_WEIGHT = 30.0  # lambda 2 of equation 9


class Losses(NamedTuple):
    """The total and its parts, each a scalar."""

    total: Tensor
    score: Tensor
    box: Tensor
    mask: Tensor


class WeightedSum(NamedTuple):
    """Numerator and denominator of a weighted mean; those of microbatches add up."""

    sum: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The weighted mean; 0 if the weight is 0."""
        return self.sum / self.weight.clamp(min=MIN_WEIGHT)


def score_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> WeightedSum:
    """Return the cross-entropy of two classes, background and object.

    Args:
        logits: (B, N, 2).
        labels: (B, N) of `POSITIVE`, `NEGATIVE` and `IGNORE`.
        weights: (B,) weight of each image.

    Returns:
        The weighted mean over all labels that are not ignored, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 6.
    """
    entropy = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE, reduction="none")
    counted = (labels != IGNORE) * weights[:, None]
    return WeightedSum((entropy * counted).sum(), counted.sum())


def box_loss(offsets: Tensor, expected: Tensor, labels: Tensor, weights: Tensor) -> WeightedSum:
    """Return the smooth L1 distance (beta 1) of offsets, summed over the four coordinates.

    Args:
        offsets: (B, N, 4) predicted.
        expected: (B, N, 4) from the anchors to the target.
        labels: (B, N); only `POSITIVE` anchors count.
        weights: (B,) weight of each image.

    Returns:
        The weighted mean over positive anchors, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 5.
    """
    distance = F.smooth_l1_loss(offsets, expected, reduction="none", beta=1.0).sum(dim=-1)
    counted = (labels == POSITIVE) * weights[:, None]
    return WeightedSum((distance * counted).sum(), counted.sum())


def giou_loss(boxes: Tensor, targets: Tensor, labels: Tensor, weights: Tensor) -> WeightedSum:
    """Return 1 less the generalized IoU of boxes with the target.

    It weighs what evaluation measures, and all sizes alike, where `box_loss` takes four coordinates
    apart.

    Args:
        boxes: (B, N, 4) predicted, xyxy.
        targets: (B, 4) xyxy.
        labels: (B, N); only `POSITIVE` anchors count.
        weights: (B,) weight of each image.

    Returns:
        The weighted mean over positive anchors, as its sum and weight.

    Source: Generalized IoU (Rezatofighi et al., CVPR 2019), algorithm 2.
    """
    distance = 1 - generalized_box_iou(boxes, targets[:, None])
    counted = (labels == POSITIVE) * weights[:, None]
    return WeightedSum((distance * counted).sum(), counted.sum())


def mask_loss(logits: Tensor, expected: Tensor, weights: Tensor) -> WeightedSum:
    """Return the logistic loss of masks, averaged over their pixels.

    Args:
        logits: (M, H, W) at positive anchors.
        expected: (M, H, W) of 0 and 1.
        weights: (M,) weight of each mask.

    Returns:
        The weighted mean over masks, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 8.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, expected, reduction="none")
    return WeightedSum((entropy.mean(dim=(1, 2)) * weights).sum(), weights.sum())


def total_loss(
    score: WeightedSum,
    box: WeightedSum,
    mask: WeightedSum | None = None,
    *,
    box_weight: float = BOX_WEIGHT,
    mask_weight: float = MASK_WEIGHT,
) -> Losses:
    """Return L = L_score + lambda 1 * L_box + lambda 2 * L_mask, from sums over a whole batch.

    Source: CycleSiam (Yuan et al., IROS 2020), equations 7 and 9.
    """
    mask_mean = score.mean.new_zeros(()) if mask is None else mask.mean
    total = score.mean + box_weight * box.mean
    if mask is not None:
        total = total + mask_weight * mask_mean
    return Losses(total, score.mean, box.mean, mask_mean)
