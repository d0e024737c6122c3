"""How sure a tracker is of its targets: a calibrated score, and the state that follows from it.

The network's score, what a target learnt for itself and its colours rank proposals; none of them
is a probability. A logistic of two of them is: of the score of the chosen proposal, and of how much
its box holds of the target's colours. What a target does next depends on that. What is told of it
heeds its mask as well, where there is one: whether that agrees with the box. All numbers were
fitted without labels, on clips whose target was pasted and hid, and on walks forward and back
through real video.

Shapes: B targets.
"""

from dataclasses import dataclass, replace

from cyclesiam.arrays import AnyArray, array_namespace, logit, new_arange, new_array, sigmoid
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.tracking.color_model import box_likelihood
from cyclesiam.tracking.mask_boxes import MaskBoxFit
from cyclesiam.tracking.results import State
from cyclesiam.tracking.siamese import SearchResult, TargetState


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceConfig:
    """How evidence becomes a probability, and a probability a state.

    `benchmarks/fit_confidence.py` fits the first three, the caution and the last four, without labels,
    to weights.
    """

    bias: float = -2.05
    """Of the logarithm of the odds that a box overlaps the truth by more than half."""
    score_weight: float = 7.53
    """What a score of 1 adds to it."""
    color_weight: float = 0.90
    """What a box adds to it that holds the target's colours as the first one did."""
    default_color: float = 0.85
    """Taken for that where colours do not count."""
    lost_threshold: float = 0.41
    """Probability below which a target may be lost."""
    confident_threshold: float = 0.62
    """Probability from which on a target is where its box is."""
    frames_until_lost: int = 2
    """Frames in a row below `lost_below`, from which on a target is lost."""
    recovered_frames: int = 10
    """Frames for which a target counts as recovered, once it was lost and is found."""
    recovered_penalty: float = 1.0
    """What is taken off while it does: the best of many places looks good by chance, too."""
    mask_bias: float = -2.12
    """Of the logarithm of the odds that are told of a target with masks: what is added."""
    mask_logit_weight: float = 0.73
    """What that of the odds without heeding masks counts in it."""
    mask_iou_weight: float = 3.10
    """What a mask adds to it that has the tracker's own box."""
    implausible_mask_bias: float = 1.82
    """What is added instead where the mask had nothing to do with the target."""

    def __post_init__(self) -> None:
        if not 0 <= self.lost_threshold <= self.confident_threshold <= 1:
            raise ValueError(
                "0 <= lost_threshold <= confident_threshold <= 1 must hold, got "
                f"{self.lost_threshold} and "
                f"{self.confident_threshold}"
            )
        if min(self.frames_until_lost, self.recovered_frames) < 1:
            raise ValueError(
                f"frames_until_lost and recovered_frames must be 1 frame or more, got {self}"
            )


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """What is thought of B targets.

    Args:
        confidences: (B,) probability that the box overlaps the truth by more than half.
        doubts: (B,) frames in a row in which the target seemed lost.
        lost: (B,) bool.
        fresh: (B,) frames for which the target still counts as recovered.
        sure_boxes: (B, 4) xyxy in image pixels, the last boxes that the tracker was sure of.
        searched: (B,) places that were searched since the target was lost.
    """

    confidences: AnyArray
    frames_below: AnyArray
    lost: AnyArray
    recovered_left: AnyArray
    last_confident_boxes: AnyArray
    windows_searched: AnyArray


def init_status(state: TargetState) -> TargetStatus:
    """Be sure of targets as they are started."""
    xp = array_namespace(state.scores)
    nothing, nowhere = (xp.zeros_like(state.scores, dtype=kind) for kind in (xp.int64, xp.bool))
    certain = xp.ones_like(state.scores)
    return TargetStatus(certain, nothing, nowhere, nothing, state.boxes, nothing)


def box_confidence(
    state: TargetState,
    observation: SearchResult,
    config: ConfidenceConfig,
    fresh: AnyArray | None = None,
) -> AnyArray:
    """Give the (B,) probabilities that boxes overlap the truth by more than half.

    Args:
        state: targets settled in a frame.
        observation: what was seen of it.
        config: what counts.
        fresh: (B,) bool, the targets that were found again just now; None for none.
    """
    assert state.chosen is not None
    colours = config.default_color
    if state.colours is not None and observation.likelihood is not None:
        rows = new_arange(state.chosen, len(state.chosen))
        boxes = observation.proposals.boxes[rows, state.chosen]
        colours = box_likelihood(state.colours, observation.likelihood, boxes)
    odds = config.bias + config.score_weight * state.scores + config.color_weight * colours
    if fresh is not None:
        odds = odds - config.recovered_penalty * new_array(odds, fresh)
    return sigmoid(odds)


def reported_confidence(
    confidences: AnyArray, fit: MaskBoxFit, config: ConfidenceConfig
) -> AnyArray:
    """Give the (B,) probabilities of boxes that heeded masks.

    Args:
        confidences: (B,) as `believe_boxes`.
        fit: whether masks agree.
        config: what counts.
    """
    xp, agreement = array_namespace(confidences), fit.iou
    agreed = xp.where(
        xp.isnan(agreement), config.implausible_mask_bias, config.mask_iou_weight * agreement
    )
    odds = config.mask_bias + config.mask_logit_weight * logit(confidences) + agreed
    return xp.where(fit.known, sigmoid(odds), confidences)


def update_status(
    standing: TargetStatus, state: TargetState, confidences: AnyArray, config: ConfidenceConfig
) -> TargetStatus:
    """Think again of targets, once they are settled in a frame and believed so far."""
    xp = array_namespace(confidences)
    sure, doubtful = confidences >= config.confident_threshold, confidences < config.lost_threshold
    doubts = xp.where(doubtful, standing.frames_below + 1, 0)
    lost = (standing.lost & ~sure) | (doubts >= config.frames_until_lost)
    found = standing.lost & ~lost
    fresh = xp.where(found, config.recovered_frames, (standing.recovered_left - 1).clip(min=0))
    return replace(
        standing,
        confidences=confidences,
        frames_below=doubts,
        lost=lost,
        recovered_left=xp.where(lost, 0, fresh),
        last_confident_boxes=xp.where(sure[:, None], state.boxes, standing.last_confident_boxes),
        windows_searched=xp.where(lost, standing.windows_searched, 0),
    )


def state_names(standing: TargetStatus, config: ConfidenceConfig) -> list[State]:
    """Say what state each target is in."""
    rows = zip(
        standing.confidences.tolist(),
        standing.lost.tolist(),
        standing.recovered_left.tolist(),
        strict=True,
    )
    return [
        "lost"
        if lost
        else "recovered"
        if fresh
        else "uncertain"
        if confidence < config.confident_threshold
        else "tracking"
        for confidence, lost, fresh in rows
    ]
