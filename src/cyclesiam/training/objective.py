"""What a batch teaches: the last step of its cycles, their labels and losses.

Shapes: B clips, N anchors.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.augmentation import (
    AugmentationConfig,
    jitter_colors,
    jitter_windows,
    occlude,
)
from cyclesiam.data.row_rng import Rng, rand_rows
from cyclesiam.geometry.boxes import box_iou, encode_boxes, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.siamese import SearchResult
from cyclesiam.training.anchor_labels import (
    NEGATIVE,
    AnchorLabelConfig,
    label_anchors,
    subsample_labels,
)
from cyclesiam.training.cycle import (
    CycleTrack,
    CycleTransform,
    TemplateFrom,
    last_positions,
    search_first_frame,
)
from cyclesiam.training.losses import (
    BOX_WEIGHT,
    MASK_WEIGHT,
    Losses,
    WeightedSum,
    box_loss,
    score_loss,
    total_loss,
)
from cyclesiam.training.mask_objective import mask_objective


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """How a batch is walked, changed, labelled and weighed."""

    negative_probability: float = 0.2
    """Share of pairs whose template shows another clip's target."""
    min_cycle_score: float = 0.3
    """A walk on which the network believed less than this is taken for lost, and left out."""
    template_from: TemplateFrom = "last"
    """What is searched for at home: the target as the last step of a walk found it, as the paper
    does, or as it looked at the walk's turning point, farther away."""
    middle: float = 0.0
    """How much a pair in the middle of a cycle counts beside the one at home, of turn 2 or more:
    where the way back is to find what the way out found in frame 1. 0 for no such pair."""
    reuse_features: bool = False
    """Look on a walk's way back at the features of its way out, where the target is still well
    inside them. Saves a search of every frame but the turning point, from turn 2 on."""
    fold_norms: bool = False
    """Walk with a copy of the network in which norms are folded into convolutions. It is made anew
    every step: that pays where most targets of a batch are walked."""
    box_weight: float = BOX_WEIGHT
    """Weight of the box loss beside the score loss."""
    mask_weight: float = MASK_WEIGHT
    """Weight of the mask loss, of a network with masks; 0 where masks are not to be taught."""
    max_mask_positions: int = 2
    """Most object anchors of a clip at which a mask is taught."""
    labels: AnchorLabelConfig = field(default_factory=AnchorLabelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        for name in ("negative_probability", "min_cycle_score"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 <= self.middle < float("inf"):
            raise ValueError(f"middle must be 0 or more, got {self.middle}")


class LossSums(NamedTuple):
    """What a batch, or a part of one, taught: means that add up over parts.

    Args:
        score: the score loss of the last step.
        box: the box loss of the last step.
        found: share of targets whose best proposal overlaps them by more than half.
        dropped: share of cycles left out because they drifted off.
        mask: the mask loss of the last step; a sum of nothing without masks.
    """

    score: WeightedSum
    box: WeightedSum
    matched: WeightedSum
    dropped: WeightedSum
    mask: WeightedSum

    def losses(self, config: ObjectiveConfig) -> Losses:
        """Give the loss that this lesson alone would have."""
        return total_loss(
            self.score,
            self.box,
            self.mask,
            box_weight=config.box_weight,
            mask_weight=config.mask_weight,
        )

    def beside(self, other: "LossSums", share: float) -> "LossSums":
        """Add the losses of another lesson, of which each part counts by a share."""

        def add(own: WeightedSum, more: WeightedSum) -> WeightedSum:
            return WeightedSum(own.sum + share * more.sum, own.weight + share * more.weight)

        return self._replace(score=add(self.score, other.score), box=add(self.box, other.box))


def cycle_objective(
    network: SiamRPN,
    guide: SiamRPN,
    frames: Tensor,
    boxes: Tensor,
    turn: int,
    config: ObjectiveConfig,
    chance: Rng,
    *,
    masks: Tensor | None = None,
    guests: int = 0,
) -> LossSums:
    """Walk the cycles of a batch and compare what is seen at home with where they began.

    Args:
        network: learns; only the last step is its, and that in the middle if there is one.
        guide: walks, without gradients.
        frames: (B, T, 3, H, W) uint8, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward walk.
        config: how.
        chance: of augmentation and sampling, on the frames' device.
        masks: (B, H, W) uint8 of frame 0, as `Batch.masks`; None where all are unknown.
        guests: rows at the beginning that another part of the batch counts; here they only lend
            the row after them a template and pixels.
    """
    if config.fold_norms and turn:
        guide = fuse_for_inference(guide)
    walked = last_positions(
        guide, frames, boxes, turn, config.selection, share_features=config.reuse_features
    )
    lesson = _teach(network, frames, masks, boxes[:, 0], walked, config, chance, guests)
    if not config.middle or walked.middle is None:
        return lesson
    began, inner = walked.middle
    more = _teach(network, frames[:, 1:], None, began, inner, config, chance, guests)
    return lesson.beside(more, config.middle)


def _teach(
    network: SiamRPN,
    frames: Tensor,
    masks: Tensor | None,
    home: Tensor,
    walked: CycleTrack,
    config: ObjectiveConfig,
    chance: Rng,
    guests: int,
) -> LossSums:
    """Search frame 0 once more for targets that are at home, (B, 4); else as `learn_from`."""
    observation, negative = _come_home(network, frames, walked, config, chance)
    rows = torch.arange(len(home), device=home.device)
    targets = boxes_to_crop(home, observation.windows, network.search_size)
    proposals = observation.proposals
    labels = label_anchors(network.anchors, targets, config.labels)
    labels[negative] = NEGATIVE
    kept = (walked.scores >= config.min_cycle_score) & _inside(targets, network.search_size)
    counted = rows >= guests
    weights = torch.where(kept & counted, walked.scores, 0.0)
    count = config.max_mask_positions if config.mask_weight else 0
    seen_masks = mask_objective(
        network, frames, masks, walked, observation, labels, weights, count, chance
    )
    labels = subsample_labels(labels, proposals.scores, config.labels, chance)
    logits, offsets, *_ = proposals.response
    wanted = encode_boxes(xyxy_to_cxcywh(targets)[:, None], network.anchors)
    best = proposals.scores.argmax(dim=1)
    hits = box_iou(proposals.boxes[rows, best], targets) > 0.5
    shown = ~negative & counted
    return LossSums(
        score=score_loss(logits.float(), labels, weights),
        box=box_loss(offsets.float(), wanted, labels, weights),
        matched=_count(hits & shown, shown),
        dropped=_count(~kept & counted, counted),
        mask=seen_masks,
    )


def _come_home(
    network: SiamRPN, frames: Tensor, walked: CycleTrack, config: ObjectiveConfig, chance: Rng
) -> tuple[SearchResult, Tensor]:
    """Search frame 0, see `learn_from`; and say of (B,) clips which are negative pairs."""
    B = len(frames)
    negative = rand_rows(chance, B) < config.negative_probability
    negative &= B > 1  # alone, a clip has no other's template
    rows = torch.arange(B, device=frames.device)
    partners = torch.where(negative, rows.roll(1), rows)
    change = sample_transform(network, B, config.augmentation, chance)
    observation = search_first_frame(
        network, frames, walked, change, partners, config.template_from
    )
    return observation, negative


def _count(those: Tensor, among: Tensor) -> WeightedSum:
    return WeightedSum(those.float().sum(), among.float().sum())


def _inside(boxes: Tensor, size: int) -> Tensor:
    """Say whose middle lies in its crop."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((middle > 0) & (middle < size)).all(dim=1)


def sample_transform(
    network: SiamRPN, count: int, config: AugmentationConfig, chance: Rng
) -> CycleTransform:
    """Draw the augmentation of one step of `count` clips."""
    grey = rand_rows(chance, count) < config.gray

    def recoloured(crops: Tensor) -> Tensor:
        return jitter_colors(crops, config, chance, gray=grey)

    return CycleTransform(
        template_windows=lambda windows: jitter_windows(
            windows,
            network.template_size,
            shift=config.template_shift,
            scale=config.template_scale,
            generator=chance,
        ),
        template_crops=recoloured,
        search_windows=lambda windows: jitter_windows(
            windows,
            network.search_size,
            shift=config.search_shift,
            scale=config.search_scale,
            aspect=config.search_aspect,
            generator=chance,
        ),
        search_crops=lambda crops: recoloured(occlude(crops, config.occlusion_probability, chance)),
    )
