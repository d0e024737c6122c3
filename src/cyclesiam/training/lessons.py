"""What a batch teaches: the last step of its cycles, their labels and losses.

Shapes: B clips, N anchors.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from cyclesiam.data.augmentation import (
    AugmentationConfig,
    jitter_windows,
    occlude,
    recolour,
)
from cyclesiam.geometry.boxes import box_iou, encode_boxes, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import ChoiceConfig
from cyclesiam.models.fusion import for_inference
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.cycle import HomeChange, TemplateFrom, find_last, go_home
from cyclesiam.training.labels import BACKGROUND, LabelConfig, label_anchors, sample_labels
from cyclesiam.training.losses import BOX_WEIGHT, Losses, cycle_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class LessonConfig:
    """How a batch is walked, changed, labelled and weighed."""

    negatives: float = 0.2
    """Share of pairs whose template shows another clip's target."""
    trust: float = 0.3
    """A walk on which the network believed less than this is taken for lost, and left out."""
    template_from: TemplateFrom = "last"
    """What is searched for at home: the target as the last step of a walk found it, as the paper
    does, or as it looked at the walk's turning point, farther away."""
    share_features: bool = False
    """Look on a walk's way back at the features of its way out, where the target is still well
    inside them. Saves a search of every frame but the turning point, from turn 2 on."""
    fold_norms: bool = False
    """Walk with a copy of the network in which norms are folded into convolutions. It is made anew
    every step: that pays where most targets of a batch are walked."""
    box_weight: float = BOX_WEIGHT
    """Weight of the box loss beside the score loss."""
    labels: LabelConfig = field(default_factory=LabelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)

    def __post_init__(self) -> None:
        for name in ("negatives", "trust"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")


class Lesson(NamedTuple):
    """What a batch taught.

    Args:
        losses: of the last step.
        found: share of targets whose best proposal overlaps them by more than half.
        dropped: share of cycles left out because they drifted off.
    """

    losses: Losses
    found: Tensor
    dropped: Tensor


def learn_from(
    network: SiamRPN,
    guide: SiamRPN,
    frames: Tensor,
    boxes: Tensor,
    turn: int,
    config: LessonConfig,
    chance: Generator,
) -> Lesson:
    """Walk the cycles of a batch and compare what is seen at home with where they began.

    Args:
        network: learns; only the last step is its.
        guide: walks, without gradients.
        frames: (B, T, 3, H, W) uint8, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward walk.
        config: how.
        chance: of augmentation and sampling, on the frames' device.
    """
    if config.fold_norms and turn:
        guide = for_inference(guide)
    walked = find_last(
        guide, frames, boxes, turn, config.choice, share_features=config.share_features
    )
    home = boxes[:, 0]
    B = len(home)
    negative = torch.rand(B, generator=chance, device=boxes.device) < config.negatives
    negative &= B > 1  # alone, a clip has no other's template
    rows = torch.arange(B, device=boxes.device)
    partners = torch.where(negative, rows.roll(1), rows)
    change = draw_change(network, B, config.augmentation, chance)
    observation = go_home(network, frames, walked, change, partners, config.template_from)
    targets = boxes_to_crop(home, observation.windows, network.search_size)
    proposals = observation.proposals
    labels = label_anchors(network.anchors, targets, config.labels)
    labels[negative] = BACKGROUND
    labels = sample_labels(labels, proposals.scores, config.labels, chance)
    kept = (walked.scores >= config.trust) & _inside(targets, network.search_size)
    weights = torch.where(kept, walked.scores, 0.0)
    logits, offsets, _ = proposals.response
    wanted = encode_boxes(xyxy_to_cxcywh(targets)[:, None], network.anchors)
    losses = cycle_loss(
        logits.float(), offsets.float(), wanted, labels, weights, box_weight=config.box_weight
    )
    best = proposals.scores.argmax(dim=1)
    hits = (box_iou(proposals.boxes[rows, best], targets) > 0.5) & ~negative
    found = hits.float().sum() / (~negative).float().sum().clamp(min=1)
    return Lesson(losses, found, 1 - kept.float().mean())


def _inside(boxes: Tensor, size: int) -> Tensor:
    """Say whose middle lies in its crop."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((middle > 0) & (middle < size)).all(dim=1)


def draw_change(
    network: SiamRPN, count: int, config: AugmentationConfig, chance: Generator
) -> HomeChange:
    """Draw the augmentation of one step of `count` clips."""
    grey = torch.rand(count, generator=chance, device=chance.device) < config.grey

    def recoloured(crops: Tensor) -> Tensor:
        return recolour(crops, config, chance, grey=grey)

    return HomeChange(
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
            stretch=config.stretch,
            generator=chance,
        ),
        search_crops=lambda crops: recoloured(occlude(crops, config.occlusion, chance)),
    )
