"""Losses of the cycle, as the paper states them.

Shapes: B targets, N anchors.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from cyclesiam.training.anchor_labels import IGNORE, POSITIVE

BOX_WEIGHT = 1.0  # lambda 1 of equation 7
MIN_WEIGHT = 1e-6  # keeps the mean of nothing finite
MASK_WEIGHT = 30.0  # lambda 2 of equation 9


class Losses(NamedTuple):
    """The total and its parts, each a scalar."""

    total: Tensor
    score: Tensor
    box: Tensor
    mask: Tensor


class WeightedSum(NamedTuple):
    """A sum and the weight that it is a mean over; those of a batch's parts add up."""

    sum: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The weighted mean; 0 of nothing."""
        return self.sum / self.weight.clamp(min=MIN_WEIGHT)


def score_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> WeightedSum:
    """Cross-entropy between background and object.

    Args:
        logits: (B, N, 2).
        labels: (B, N) of `OBJECT`, `BACKGROUND`, `IGNORED`.
        weights: (B,) how much each image counts.

    Returns:
        The weighted mean over all labels that are not ignored, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 6.
    """
    entropy = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE, reduction="none")
    counted = (labels != IGNORE) * weights[:, None]
    return WeightedSum((entropy * counted).sum(), counted.sum())


def box_loss(offsets: Tensor, wanted: Tensor, labels: Tensor, weights: Tensor) -> WeightedSum:
    """Smooth L1 (beta 1) between offsets, summed over the four coordinates.

    Args:
        offsets: (B, N, 4) predicted.
        wanted: (B, N, 4) that lead from the anchors to the target.
        labels: (B, N); only `OBJECT` anchors count.
        weights: (B,) how much each image counts.

    Returns:
        The weighted mean over object anchors, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 5.
    """
    distance = F.smooth_l1_loss(offsets, wanted, reduction="none", beta=1.0).sum(dim=-1)
    counted = (labels == POSITIVE) * weights[:, None]
    return WeightedSum((distance * counted).sum(), counted.sum())


def mask_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> WeightedSum:
    """Logistic loss of masks, averaged over their pixels.

    Args:
        logits: (M, H, W) at positions whose anchors are the object.
        wanted: (M, H, W) of 0 and 1.
        weights: (M,) how much each position counts.

    Returns:
        The weighted mean over positions, as its sum and weight.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 8.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return WeightedSum((entropy.mean(dim=(1, 2)) * weights).sum(), weights.sum())


def total_loss(
    score: WeightedSum,
    box: WeightedSum,
    mask: WeightedSum | None = None,
    *,
    box_weight: float = BOX_WEIGHT,
    mask_weight: float = MASK_WEIGHT,
) -> Losses:
    """L = L_score + lambda 1 * L_box + lambda 2 * L_mask, of the sums of a whole batch.

    Source: CycleSiam (Yuan et al., IROS 2020), equations 7 and 9.
    """
    of_masks = score.mean.new_zeros(()) if mask is None else mask.mean
    total = score.mean + box_weight * box.mean
    if mask is not None:
        total = total + mask_weight * of_masks
    return Losses(total, score.mean, box.mean, of_masks)
