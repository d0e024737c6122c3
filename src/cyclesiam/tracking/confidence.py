"""Confidence of targets: a calibrated probability, and the state that follows from it.

Scores of proposals rank them, but are no probabilities. A logistic function of two values is: the
score of the selected proposal, and how much its box has of the target's colors. This confidence
decides whether a target is tracked, uncertain or lost. The reported confidence also depends on how
well the target's mask agrees with its box. The coefficients were fitted without labels, on
synthetic occlusions and on cycles through real video.

Shapes: B targets.
"""

from dataclasses import dataclass, replace

from cyclesiam.arrays import AnyArray, array_namespace, logit, new_arange, new_array, sigmoid
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.boxes import xyxy_to_cxcywh
from cyclesiam.tracking.color_model import box_likelihood, tells_colors_apart
from cyclesiam.tracking.mask_boxes import MaskBoxFit
from cyclesiam.tracking.rescoring import ColorEvidence, RescoredSearch
from cyclesiam.tracking.results import State
from cyclesiam.tracking.search import Localization

# Least score of a first box in its own frame, of 62 targets of usual video. In a picture of eight
# brightness levels it is 0.12, and so are all scores after it.
USUAL_FIRST_SCORE = 0.4
LEAST_FIRST_SCORE = 0.1  # below, the network sees nothing, and no score says much
RIVAL_DISTANCE = 0.75  # of centers, over the side of the box: no shoulder of one peak
RIVAL_SCORE = 0.85  # over the score of the chosen proposal


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceConfig:
    """Coefficients of the confidence, and thresholds of the states.

    `benchmarks/fit_confidence.py` fits `bias`, both weights, `recovered_penalty` and the four mask
    coefficients to weights, without labels.
    """

    bias: float = -2.05
    """Log odds of an IoU above 0.5 for score 0 and no target colors. Larger values raise all
    confidences."""
    score_weight: float = 7.53
    """Log odds added by a score of 1. Larger values rely more on the score."""
    color_weight: float = 0.90
    """Log odds added by a box with as much target color as the first box. Larger values rely more
    on colors."""
    default_color: float = 0.85
    """Value used where colors are switched off. Larger values raise confidence."""
    lost_threshold: float = 0.41
    """Confidence below which a target may be lost. Larger values report losses sooner."""
    confident_threshold: float = 0.62
    """Confidence from which on a target is tracked. Larger values leave more targets uncertain."""
    frames_until_lost: int = 2
    """Frames in a row below `lost_threshold` after which a target is lost. Larger values wait
    longer."""
    recovered_frames: int = 10
    """Frames for which a redetected target is reported as recovered. Larger values do so longer."""
    recovered_penalty: float = 1.0
    """Log odds subtracted from a redetected target: the best of many windows scores high by chance.
    Larger values accept fewer redetections."""
    mask_bias: float = -2.12
    """Log odds added to the reported confidence of a target with a mask. Larger values raise it."""
    mask_logit_weight: float = 0.73
    """Weight of the log odds without masks. Larger values rely less on masks."""
    mask_iou_weight: float = 3.10
    """Log odds added by a mask whose box is the tracker's box. Larger values rely more on masks."""
    implausible_mask_bias: float = 1.82
    """Log odds added instead if the mask is implausible. Larger values raise such confidences."""

    def __post_init__(self) -> None:
        if not 0 <= self.lost_threshold <= self.confident_threshold <= 1:
            raise ValueError(
                "0 <= lost_threshold <= confident_threshold <= 1 must hold, got "
                f"{self.lost_threshold} and {self.confident_threshold}"
            )
        if min(self.frames_until_lost, self.recovered_frames) < 1:
            raise ValueError(
                f"frames_until_lost and recovered_frames must be 1 frame or more, got {self}"
            )


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """Confidence and state of B targets.

    Args:
        confidences: (B,) probability that the box has an IoU above 0.5 with the target.
        frames_below: (B,) frames in a row with a confidence below `lost_threshold`.
        lost: (B,) bool.
        recovered_left: (B,) frames for which the target is still reported as recovered.
        last_confident_boxes: (B, 4) xyxy in image pixels, of the last confident frame.
        windows_searched: (B,) windows searched since the target was lost.
        first_scores: (B,) of the first box in its own frame: what a certain score is here.
        shown_confidences: (B,) output of `shown_confidence`.
        ambiguous: (B,) bool, something else in the search crop looks just like the target.
    """

    confidences: AnyArray
    frames_below: AnyArray
    lost: AnyArray
    recovered_left: AnyArray
    last_confident_boxes: AnyArray
    windows_searched: AnyArray
    first_scores: AnyArray
    shown_confidences: AnyArray
    ambiguous: AnyArray


def init_status(boxes: AnyArray, first_scores: AnyArray) -> TargetStatus:
    """Return the status of targets at their first (B, 4) boxes: confidence 1, not lost."""
    xp = array_namespace(boxes)
    certain = xp.ones_like(boxes[:, 0])
    zeros, not_lost = (xp.zeros_like(certain, dtype=kind) for kind in (xp.int64, xp.bool))
    return TargetStatus(
        certain, zeros, not_lost, zeros, boxes, zeros, first_scores, certain, not_lost
    )


def box_confidence(
    targets: Localization,
    found: RescoredSearch,
    config: ConfidenceConfig,
    redetected: AnyArray | None = None,
) -> AnyArray:
    """Return the (B,) probabilities that boxes have an IoU above 0.5 with their targets.

    Args:
        targets: where they are in a frame.
        found: the search result in which they were localized.
        config: coefficients.
        redetected: (B,) bool, targets that are lost or still reported as recovered.
    """
    colors = config.default_color
    if found.colors is not None:
        colors = _color_votes(targets, found, found.colors)
    return _logistic(targets.scores, colors, config, redetected)


def shown_confidence(
    confidences: AnyArray,
    targets: Localization,
    found: RescoredSearch,
    status: TargetStatus,
    config: ConfidenceConfig,
) -> AnyArray:
    """Return the (B,) confidences to report, which do not depend on the picture's contrast.

    In dim pictures all scores are low, those of the first boxes in their own frames as well, and
    colors do not differ. What the tracker does follows from `box_confidence`: there, points are
    followed with more success than such scores.

    Args:
        confidences: (B,) output of `box_confidence`, which is right for all other pictures.
        targets: where they are in a frame.
        found: the search result in which they were localized.
        status: of the targets before this frame.
        config: coefficients.
    """
    xp, is_dim = array_namespace(confidences), status.first_scores < USUAL_FIRST_SCORE
    tells = xp.ones_like(is_dim)
    if found.colors is not None:
        tells = tells_colors_apart(found.colors.model)
    if not (is_dim | ~tells).any():
        return confidences
    colors = config.default_color
    if found.colors is not None:
        colors = xp.where(tells, _color_votes(targets, found, found.colors), colors)
    scale = (USUAL_FIRST_SCORE / status.first_scores.clip(min=LEAST_FIRST_SCORE)).clip(min=1)
    scores = (scale * targets.scores).clip(max=1)
    redetected = (status.lost & ~is_dim) | (status.recovered_left > 0)
    return _logistic(scores, colors, config, redetected)


def _color_votes(targets: Localization, found: RescoredSearch, colors: ColorEvidence) -> AnyArray:
    rows = new_arange(targets.chosen, len(targets.chosen))
    boxes = found.proposals.boxes[rows, targets.chosen]
    return box_likelihood(colors.model, colors.likelihood, boxes)


def _logistic(
    scores: AnyArray, colors: AnyArray, config: ConfidenceConfig, redetected: AnyArray | None
) -> AnyArray:
    odds = config.bias + config.score_weight * scores + config.color_weight * colors
    if redetected is not None:
        odds = odds - config.recovered_penalty * new_array(odds, redetected)
    return sigmoid(odds)


def find_rivals(targets: Localization, found: RescoredSearch) -> AnyArray:
    """Return (B,) bool: whether a proposal elsewhere has the score of the chosen one.

    Two equal peaks are doubt: which of them is the target is then chosen by distance alone.

    Args:
        targets: where they are in a frame.
        found: the search result in which they were localized.
    """
    rows = new_arange(targets.chosen, len(targets.chosen))
    boxes, scores = xyxy_to_cxcywh(found.proposals.boxes), found.proposals.scores
    chosen = boxes[rows, targets.chosen][:, None]
    distances = abs(boxes[..., :2] - chosen[..., :2])
    elsewhere = (distances > RIVAL_DISTANCE * chosen[..., 2:]).any(axis=-1)
    rivals = array_namespace(scores).amax(scores * elsewhere, axis=-1)
    return rivals >= RIVAL_SCORE * scores[rows, targets.chosen]


def reported_confidence(
    confidences: AnyArray, fit: MaskBoxFit, config: ConfidenceConfig
) -> AnyArray:
    """Return the (B,) confidences to report: masks count where the first mask is known.

    Args:
        confidences: (B,) output of `box_confidence`.
        fit: how the last masks agree with the boxes.
        config: coefficients.
    """
    xp = array_namespace(confidences)
    by_mask = xp.where(
        xp.isnan(fit.iou), config.implausible_mask_bias, config.mask_iou_weight * fit.iou
    )
    odds = config.mask_bias + config.mask_logit_weight * logit(confidences) + by_mask
    return xp.where(fit.known, sigmoid(odds), confidences)


def update_status(
    status: TargetStatus,
    boxes: AnyArray,
    confidences: AnyArray,
    config: ConfidenceConfig,
) -> TargetStatus:
    """Return the status of targets after a frame.

    Args:
        status: after the frame before.
        boxes: (B, 4) xyxy in image pixels, where they are in the frame.
        confidences: (B,) output of `box_confidence`.
        config: thresholds.
    """
    xp = array_namespace(confidences)
    confident = confidences >= config.confident_threshold
    below = xp.where(confidences < config.lost_threshold, status.frames_below + 1, 0)
    lost = (status.lost & ~confident) | (below >= config.frames_until_lost)
    redetected = status.lost & ~lost
    left = xp.where(redetected, config.recovered_frames, (status.recovered_left - 1).clip(min=0))
    return replace(
        status,
        confidences=confidences,
        frames_below=below,
        lost=lost,
        recovered_left=xp.where(lost, 0, left),
        last_confident_boxes=xp.where(confident[:, None], boxes, status.last_confident_boxes),
        windows_searched=xp.where(lost, status.windows_searched, 0),
    )


def state_names(status: TargetStatus, config: ConfidenceConfig) -> list[State]:
    """Return the state of each target.

    Where only the picture's contrast made a target lost, it is uncertain.
    """
    shown = status.shown_confidences
    is_dim = (shown > status.confidences) & (shown >= config.lost_threshold)
    rows = zip(
        shown.tolist(),
        (status.lost & ~is_dim).tolist(),
        status.recovered_left.tolist(),
        (status.ambiguous | (status.lost & is_dim)).tolist(),
        strict=True,
    )
    return [
        "lost"
        if lost
        else "recovered"
        if left
        else "uncertain"
        if confidence < config.confident_threshold or is_doubtful
        else "tracking"
        for confidence, lost, left, is_doubtful in rows
    ]
