"""Labels of anchors: positive, negative, or ignored.

Shapes: B targets, N anchors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.row_rng import Rng, rand_rows
from cyclesiam.geometry.boxes import box_iou, cxcywh_to_xyxy

POSITIVE, NEGATIVE, IGNORE = 1, 0, -1


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorLabelConfig:
    """How anchors are labeled, and how many of them are used.

    Source: thresholds from CycleSiam (Yuan et al., IROS 2020), section IV.B; numbers from the
    published SiamMask configurations.
    """

    positive_iou: float = 0.6
    """IoU with the target above which an anchor is positive; a larger value leaves fewer."""
    negative_iou: float = 0.3
    """IoU below which an anchor is negative; between the two it is ignored."""
    low_quality_ratio: float = 1.0
    """An anchor is positive, too, if its IoU exceeds this ratio of the best anchor's, so that a
    target much larger or smaller than all anchors has some. A smaller value makes more positive;
    1 as in the paper."""
    max_positives: int = 16
    """Largest number of positive anchors of an image."""
    max_negatives: int = 48
    """Largest number of negative anchors of an image."""
    hard_negative_ratio: float = 0.0
    """Ratio of the negative anchors that are those with the highest scores; the rest is random."""

    def __post_init__(self) -> None:
        if not 0 <= self.negative_iou <= self.positive_iou <= 1:
            raise ValueError(f"0 <= negative_iou <= positive_iou <= 1 must hold, got {self}")
        if not 0 < self.low_quality_ratio <= 1:
            raise ValueError(f"low_quality_ratio must lie in 0..1, got {self.low_quality_ratio}")
        if (
            self.max_positives < 1
            or self.max_negatives < 1
            or not 0 <= self.hard_negative_ratio <= 1
        ):
            raise ValueError(
                "max_positives and max_negatives must be 1 or more, "
                f"hard_negative_ratio must lie in 0..1, got {self}"
            )


def label_anchors(anchors: Tensor, targets: Tensor, config: AnchorLabelConfig) -> Tensor:
    """Label anchors by their IoU with the target.

    Args:
        anchors: (N, 4) cxcywh in crop pixels.
        targets: (B, 4) xyxy in crop pixels.
        config: thresholds.

    Returns:
        (B, N) int64 of `POSITIVE`, `NEGATIVE` and `IGNORE`.
    """
    iou = box_iou(cxcywh_to_xyxy(anchors), targets[:, None])
    labels = torch.full(iou.shape, IGNORE, device=iou.device)
    labels[iou < config.negative_iou] = NEGATIVE
    best = iou.amax(dim=1, keepdim=True)
    labels[iou > (config.low_quality_ratio * best).clamp(max=config.positive_iou)] = POSITIVE
    return labels


def subsample_labels(labels: Tensor, scores: Tensor, config: AnchorLabelConfig, rng: Rng) -> Tensor:
    """Ignore all but a few anchors of each image.

    Args:
        labels: (B, N) of `label_anchors`.
        scores: (B, N) of the network, 0..1, to choose hard negatives.
        config: how many of each kind.
        rng: on the labels' device.

    Returns:
        (B, N) int64 with at most `max_positives` and `max_negatives` labels in a row.
    """
    draw = rand_rows(rng, *labels.shape)
    kept = torch.full_like(labels, IGNORE)
    hard = round(config.max_negatives * config.hard_negative_ratio)
    for label, count, rank in (
        (POSITIVE, config.max_positives, draw),
        (NEGATIVE, config.max_negatives - hard, draw),
        (NEGATIVE, hard, scores.detach()),
    ):
        if count:
            rank = rank.masked_fill(labels != label, -1.0)
            best, index = rank.topk(min(count, labels.shape[1]), dim=1)
            chosen = torch.where(best >= 0, label, kept.gather(1, index))
            kept.scatter_(1, index, chosen)
    return kept
