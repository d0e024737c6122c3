"""The training objective: the loss of the first frame, at the end of each cycle of a batch.

Shapes: B clips of T frames, N anchors.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.augmentation import (
    AugmentationConfig,
    jitter_colors,
    jitter_windows,
    occlude,
)
from cyclesiam.data.degradation import degrade, draw_degradations
from cyclesiam.data.row_rng import Rng, rand_rows
from cyclesiam.geometry.boxes import box_iou, encode_boxes, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.search import SearchResult
from cyclesiam.training.anchor_labels import (
    NEGATIVE,
    AnchorLabelConfig,
    label_anchors,
    subsample_labels,
)
from cyclesiam.training.cycle import CycleTrack, CycleTransform, run_cycle, search_first_frame
from cyclesiam.training.losses import (
    BOX_WEIGHT,
    MASK_WEIGHT,
    Losses,
    WeightedSum,
    box_loss,
    giou_loss,
    score_loss,
    total_loss,
)
from cyclesiam.training.mask_objective import mask_objective


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """How a batch is tracked, augmented, labeled and weighted."""

    negative_probability: float = 0.2
    """Probability that a pair takes its template from another clip, as a negative pair."""
    min_cycle_score: float = 0.3
    """Cycles whose lowest tracking score is below this are left out as drifted; a larger value
    leaves out more."""
    middle: float = 0.0
    """Weight of the pair in the middle of a cycle of turn 2 or more, which searches frame 1 for
    the box that the forward half found there; 0 leaves it out."""
    box_loss: Literal["smooth_l1", "giou"] = "smooth_l1"
    """`smooth_l1` compares offsets, as in the paper; `giou` compares boxes by their overlap, and
    wants a `box_weight` of about 2."""
    box_weight: float = BOX_WEIGHT
    """Weight of the box loss beside the score loss."""
    mask_weight: float = MASK_WEIGHT
    """Weight of the mask loss, for a network with masks; 0 leaves masks untrained."""
    max_mask_positions: int = 2
    """Largest number of positive anchors of a clip whose masks are compared."""
    labels: AnchorLabelConfig = field(default_factory=AnchorLabelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        for name in ("negative_probability", "min_cycle_score"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.box_loss not in ("smooth_l1", "giou"):
            raise ValueError(f"box_loss must be smooth_l1 or giou, got {self.box_loss!r}")
        if not 0 <= self.middle < float("inf"):
            raise ValueError(f"middle must be 0 or more, got {self.middle}")


class CycleBatch(NamedTuple):
    """Clips to run a cycle on, all on one device.

    Args:
        frames: (B, T, 3, H, W) uint8, with T > turn.
        boxes: (B, T, 4) xyxy in pixels; NaN after frame 0 where only tracking can tell.
        turn: last frame of the forward half.
        masks: (B, H, W) uint8 of frame 0, as in `Batch.masks`; None where all are unknown.
        halo: rows at the beginning that another part of the batch counts. They only lend the row
            after them a template and pixels.
    """

    frames: Tensor
    boxes: Tensor
    turn: int
    masks: Tensor | None = None
    halo: int = 0


class LossSums(NamedTuple):
    """Losses and counts of a batch, or of a part of it: weighted sums that add up over parts.

    Args:
        score: score loss.
        box: box loss.
        matched: targets whose best proposal overlaps them by more than half.
        dropped: cycles left out because they drifted.
        mask: mask loss; sum and weight are 0 without masks.
    """

    score: WeightedSum
    box: WeightedSum
    matched: WeightedSum
    dropped: WeightedSum
    mask: WeightedSum

    def losses(self, config: ObjectiveConfig) -> Losses:
        """Return the losses of these sums alone."""
        return total_loss(
            self.score,
            self.box,
            self.mask,
            box_weight=config.box_weight,
            mask_weight=config.mask_weight,
        )

    def add_losses(self, other: "LossSums", weight: float) -> "LossSums":
        """Return these sums with the score and box losses of others added, times a weight."""

        def add(own: WeightedSum, more: WeightedSum) -> WeightedSum:
            return WeightedSum(own.sum + weight * more.sum, own.weight + weight * more.weight)

        return self._replace(score=add(self.score, other.score), box=add(self.box, other.box))


class PairSample(NamedTuple):
    """What is drawn at random for the trained step of B clips.

    Args:
        partners: (B,) whose template each clip is searched for.
        negative: (B,) whether that is another clip's.
        transform: augmentation; draws when it is applied.
    """

    partners: Tensor
    negative: Tensor
    transform: CycleTransform


def cycle_objective(
    network: SiamRPN, ema: SiamRPN, batch: CycleBatch, config: ObjectiveConfig, rng: Rng
) -> LossSums:
    """Return the loss sums of a batch of cycles.

    1. Take the boxes on the way where they are known; else track forward and back.
    2. Search the first frame for the last template.
    3. Label the anchors by the first box.
    4. Compare masks with those of the first frame.
    5. Compare scores and boxes with the labels and the first box.

    Args:
        network: trained, by the last step and, if the config asks for it, by one in the middle.
        ema: tracks, without gradients.
        batch: clips, on the network's device.
        config: how.
        rng: of augmentation and sampling, on the same device.
    """
    sample = sample_pairs(network, len(batch.frames), config, rng)
    track, result = run_cycle(  # 1, 2
        network,
        ema,
        batch.frames,
        batch.boxes,
        batch.turn,
        config=config.selection,
        transform=sample.transform,
        partners=sample.partners,
    )
    sums = pair_losses(network, batch, track, result, sample.negative, config=config, rng=rng)
    if not config.middle or batch.turn < 2:
        return sums
    inner, track = batch._replace(frames=batch.frames[:, 1:], masks=None), track.inner()
    sample = sample_pairs(network, len(inner.frames), config, rng)
    result = search_first_frame(network, inner.frames, track, sample.transform, sample.partners)
    more = pair_losses(network, inner, track, result, sample.negative, config=config, rng=rng)
    return sums.add_losses(more, config.middle)


def pair_losses(
    network: SiamRPN,
    batch: CycleBatch,
    track: CycleTrack,
    result: SearchResult,
    negative: Tensor,
    *,
    config: ObjectiveConfig,
    rng: Rng,
) -> LossSums:
    """Compare what was found in the first frame with the box that the track began at.

    Args:
        network: gave the result.
        batch: the clips, from the frame that was searched on.
        track: where its template was cropped.
        result: of the first frame.
        negative: (B,) whether the template is another clip's.
        config: how.
        rng: of sampling.
    """
    first = track.boxes[:, 0]
    rows = torch.arange(len(first), device=first.device)
    targets = boxes_to_crop(first, result.windows, network.search_size)
    proposals = result.proposals
    labels = label_anchors(network.anchors, targets, config.labels)  # 3
    labels[negative] = NEGATIVE
    kept = (track.scores >= config.min_cycle_score) & _centered_in_crop(
        targets, network.search_size
    )
    counted = rows >= batch.halo
    weights = torch.where(kept & counted, track.scores, 0.0)
    mask = mask_objective(  # 4
        network,
        batch.frames,
        batch.masks,
        track,
        result,
        labels=labels,
        weights=weights,
        max_positions=config.max_mask_positions if config.mask_weight else 0,
        rng=rng,
    )
    labels = subsample_labels(labels, proposals.scores, config.labels, rng)  # 5
    best = proposals.scores.argmax(dim=1)
    matched = box_iou(proposals.boxes[rows, best], targets) > 0.5
    positive = ~negative & counted
    return LossSums(
        score=score_loss(proposals.response.logits.float(), labels, weights),
        box=_compare_boxes(network.anchors, proposals, targets, labels, weights, config=config),
        matched=_count(matched & positive, positive),
        dropped=_count(~kept & counted, counted),
        mask=mask,
    )


def _compare_boxes(
    anchors: Tensor,
    proposals: Proposals,
    targets: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    config: ObjectiveConfig,
) -> WeightedSum:
    if config.box_loss == "giou":
        return giou_loss(proposals.boxes, targets, labels, weights)
    expected = encode_boxes(xyxy_to_cxcywh(targets)[:, None], anchors)
    return box_loss(proposals.response.offsets.float(), expected, labels, weights)


def sample_pairs(network: SiamRPN, count: int, config: ObjectiveConfig, rng: Rng) -> PairSample:
    """Draw negative pairs and augmentation for the trained step of `count` clips."""
    negative = rand_rows(rng, count) < config.negative_probability
    negative &= count > 1  # a single clip has no other's template
    rows = torch.arange(count, device=negative.device)
    partners = torch.where(negative, rows.roll(1), rows)
    transform = sample_transform(network, count, config.augmentation, rng)
    return PairSample(partners, negative, transform)


def sample_transform(
    network: SiamRPN, count: int, config: AugmentationConfig, rng: Rng
) -> CycleTransform:
    """Draw the augmentation of one step of `count` clips."""
    gray = rand_rows(rng, count) < config.gray
    template, search = draw_degradations(count, config.degradation, rng)

    def change(crops: Tensor, degradations: Tensor | None) -> Tensor:
        return jitter_colors(degrade(crops, degradations, rng), config, rng, gray=gray)

    return CycleTransform(
        jitter_template_windows=lambda windows: jitter_windows(
            windows,
            network.template_size,
            shift=config.template_shift,
            scale=config.template_scale,
            generator=rng,
        ),
        change_template_crops=lambda crops: change(crops, template),
        jitter_search_windows=lambda windows: jitter_windows(
            windows,
            network.search_size,
            shift=config.search_shift,
            scale=config.search_scale,
            aspect=config.search_aspect,
            generator=rng,
        ),
        change_search_crops=lambda crops: change(
            occlude(crops, config.occlusion_probability, rng), search
        ),
    )


def _count(chosen: Tensor, among: Tensor) -> WeightedSum:
    return WeightedSum(chosen.float().sum(), among.float().sum())


def _centered_in_crop(boxes: Tensor, size: int) -> Tensor:
    """Return which (B, 4) boxes have their center in a crop of `size` pixels."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centers > 0) & (centers < size)).all(dim=1)
