"""Labels of anchors: which should say object, which background, and which stay silent.

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
    """Which anchors teach.

    Source: thresholds from CycleSiam (Yuan et al., IROS 2020), section IV.B; numbers from the
    published SiamMask configurations.
    """

    positive_iou: float = 0.6
    """Overlap with the target above which an anchor is the object."""
    negative_iou: float = 0.3
    """Overlap below which it is background; between the two it stays silent."""
    low_quality_ratio: float = 1.0
    """An anchor is the object, too, if it overlaps by more than this share of what the best anchor
    does: a target much larger or smaller than all anchors is to teach as well. 1 for the paper."""
    max_positives: int = 16
    """Most object anchors of an image that teach."""
    max_negatives: int = 48
    """Background anchors of an image that teach."""
    hard_negative_ratio: float = 0.0
    """Share of the background anchors that are those most mistaken for the object."""

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
            raise ValueError(f"there must be object and background anchors, got {self}")


def label_anchors(anchors: Tensor, targets: Tensor, config: AnchorLabelConfig) -> Tensor:
    """Label anchors by their overlap with the target.

    Args:
        anchors: (N, 4) cxcywh in crop pixels.
        targets: (B, 4) xyxy in crop pixels.
        config: thresholds.

    Returns:
        (B, N) int64 of `OBJECT`, `BACKGROUND` and `IGNORED`.
    """
    iou = box_iou(cxcywh_to_xyxy(anchors), targets[:, None])
    labels = torch.full(iou.shape, IGNORE, device=iou.device)
    labels[iou < config.negative_iou] = NEGATIVE
    best = iou.amax(dim=1, keepdim=True)
    labels[iou > (config.low_quality_ratio * best).clamp(max=config.positive_iou)] = POSITIVE
    return labels


def subsample_labels(
    labels: Tensor, object_scores: Tensor, config: AnchorLabelConfig, generator: Rng
) -> Tensor:
    """Silence all but a few anchors of each image.

    Args:
        labels: (B, N) as `label_anchors` gives them.
        object_scores: (B, N) what the network believes, for the hard share.
        config: how many of each kind.
        generator: source of chance, on the labels' device.

    Returns:
        (B, N) int64 with at most `objects` and `backgrounds` labels in a row.
    """
    chance = rand_rows(generator, *labels.shape)
    kept = torch.full_like(labels, IGNORE)
    hard = round(config.max_negatives * config.hard_negative_ratio)
    for label, count, rank in (
        (POSITIVE, config.max_positives, chance),
        (NEGATIVE, config.max_negatives - hard, chance),
        (NEGATIVE, hard, object_scores.detach()),
    ):
        if count:
            rank = rank.masked_fill(labels != label, -1.0)
            best, index = rank.topk(min(count, labels.shape[1]), dim=1)
            found = torch.where(best >= 0, label, kept.gather(1, index))
            kept.scatter_(1, index, found)
    return kept
