"""Losses of the cycle, as the paper states them.

Shapes: B targets, N anchors.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from cyclesiam.training.labels import IGNORED, OBJECT

BOX_WEIGHT = 1.0  # lambda 1 of equation 7


class Losses(NamedTuple):
    """The total and its parts, each a scalar."""

    total: Tensor
    score: Tensor
    box: Tensor


class WeightedSum(NamedTuple):
    """A sum and the weight that it is a mean over; those of a batch's parts add up."""

    sum: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The weighted mean; 0 of nothing."""
        return self.sum / self.weight.clamp(min=1e-6)


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
    entropy = F.cross_entropy(
        logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    counted = (labels != IGNORED) * weights[:, None]
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
    counted = (labels == OBJECT) * weights[:, None]
    return WeightedSum((distance * counted).sum(), counted.sum())


def cycle_loss(score: WeightedSum, box: WeightedSum, box_weight: float = BOX_WEIGHT) -> Losses:
    """L = L_score + lambda 1 * L_box, of the sums of a whole batch.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 7.
    """
    return Losses(score.mean + box_weight * box.mean, score.mean, box.mean)
