"""Proposals: the output of a network for a search crop, and how a tracker selects one of them.

Shapes: B targets, N proposals for each.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclesiam.arrays import Array, array_namespace, new_arange
from cyclesiam.config_aliases import renamed_class
from cyclesiam.geometry.boxes import xyxy_to_cxcywh


@dataclass(frozen=True, slots=True)
class Proposals:
    """Candidate boxes in search crops.

    Args:
        boxes: (B, N, 4) xyxy in crop pixels.
        scores: (B, N) probability in 0..1 that the box is the target.
        response: outputs of the heads from which boxes and scores were decoded, for the network
            itself and its training.
        features: (B, D, H, W) of the search crop, with cells centered in it, for online filters;
            None if the network does not return them.
    """

    boxes: Any
    scores: Any
    response: Any = None
    features: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionConfig:
    """How a proposal is selected by score, by change of size, and by position.

    Source: SiamRPN (Li et al., CVPR 2018), section 4.4; values within the range of the published
    SiamMask configurations.
    """

    size_penalty: float = 0.08
    """Strength of the penalty on changes of size and shape. Larger values keep sizes steadier; 0
    switches it off."""
    window_influence: float = 0.40
    """Weight of the cosine window in the rank of a proposal, 0..1. Larger values suppress large
    motions."""
    size_smoothing: float = 0.35
    """Weight of a proposal of score 1 in the next size, 0..1. Larger values adapt sizes faster."""

    def __post_init__(self) -> None:
        if self.size_penalty < 0:
            raise ValueError(f"size_penalty must not be negative, got {self.size_penalty}")
        for name in ("window_influence", "size_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected proposal of each target.

    Args:
        index: (B,) of the proposal.
        boxes: (B, 4) xyxy in crop pixels.
        scores: (B,) score by the network, before penalty and window.
        penalty: (B,) factor for the change of size and shape, in 0..1; 1 for no change.
    """

    index: Any
    boxes: Any
    scores: Any
    penalty: Any


def context_size(sizes: Array) -> Array:
    """Return sqrt((w + p)(h + p)), p = (w + h) / 2, of (..., 2) sizes: the side of the window."""
    width, height = sizes[..., 0], sizes[..., 1]
    padding = (width + height) / 2
    return array_namespace(sizes).sqrt((width + padding) * (height + padding))


def size_change_penalty(sizes: Array, last_sizes: Array, penalty: float) -> Array:
    """Return factors that penalize changes of scale and of shape.

    Args:
        sizes: (..., 2) widths and heights.
        last_sizes: (..., 2), broadcast against `sizes`.
        penalty: strength of the penalty; 0 returns 1 everywhere.

    Returns:
        (...) exp(-penalty * (change of shape * change of scale - 1)), in 0..1; 1 for no change.

    Source: SiamRPN (Li et al., CVPR 2018), equation 13.
    """
    scale = context_size(sizes) / context_size(last_sizes)
    shape = (sizes[..., 0] / sizes[..., 1]) / (last_sizes[..., 0] / last_sizes[..., 1])
    xp = array_namespace(sizes)
    change = xp.maximum(scale, 1 / scale) * xp.maximum(shape, 1 / shape)
    return xp.exp(-penalty * (change - 1))


def cosine_window(centers: Array, crop_size: int) -> Array:
    """Return weights of (..., 2) centers in a crop: a raised cosine, 1 in the middle, 0 outside.

    The weight depends on the position of a proposal, not on its anchor. So the tracker need not
    know the anchors.
    """
    distance = (abs(centers - crop_size / 2) / (crop_size / 2)).clip(max=1)
    weights = 0.5 + 0.5 * array_namespace(centers).cos(math.pi * distance)
    return weights[..., 0] * weights[..., 1]


def select_proposals(
    proposals: Proposals, last_sizes: Array, crop_size: int, config: SelectionConfig
) -> Selection:
    """Select one proposal for each target.

    Args:
        proposals: of the search crops.
        last_sizes: (B, 2) the targets' last width and height in crop pixels.
        crop_size: side of the search crop in pixels.
        config: penalty and window.

    Returns:
        The proposal with the largest weighted mean of its penalized score and the cosine window.
    """
    boxes = xyxy_to_cxcywh(proposals.boxes)
    penalty = size_change_penalty(boxes[..., 2:], last_sizes[:, None], config.size_penalty)
    window = cosine_window(boxes[..., :2], crop_size)
    rank = proposals.scores * penalty * (1 - config.window_influence)
    index = (rank + window * config.window_influence).argmax(axis=-1)
    rows = new_arange(index, len(index))
    return Selection(
        index=index,
        boxes=proposals.boxes[rows, index],
        scores=proposals.scores[rows, index],
        penalty=penalty[rows, index],
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
