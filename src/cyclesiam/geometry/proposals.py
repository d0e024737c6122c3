"""Proposals: what a network answers for a search crop, and how a tracker chooses among them.

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
        response: what boxes and scores were read from; the network's and its training's matter.
        features: (B, D, H, W) of the search crop, cells centred in it, from which a tracker may
            learn more about its target; None if the network keeps them to itself.
    """

    boxes: Any
    scores: Any
    response: Any = None
    features: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionConfig:
    """How far a tracker trusts the network, and how far its own last state.

    Source: SiamRPN (Li et al., CVPR 2018), section 4.4; values within the range of the published
    SiamMask configurations.
    """

    size_penalty: float = 0.08
    """Distrust of a change of size or shape; 0 for none."""
    window_influence: float = 0.40
    """Share of the cosine window in the rank of a proposal, 0..1."""
    size_smoothing: float = 0.35
    """Share of a certain proposal's size in the next size, 0..1."""

    def __post_init__(self) -> None:
        if self.size_penalty < 0:
            raise ValueError(f"size_penalty must not be negative, got {self.size_penalty}")
        for name in ("window_influence", "size_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen proposal of each target.

    Args:
        index: (B,) which proposal.
        boxes: (B, 4) xyxy in crop pixels.
        scores: (B,) the network's own score of it, before penalty and window.
        constancy: (B,) in 0..1, how little its size and shape changed; 1 for not at all.
    """

    index: Any
    boxes: Any
    scores: Any
    penalty: Any


def context_size(sizes: Array) -> Array:
    """Give the side of the context window of (..., 2) sizes: sqrt((w + p)(h + p))."""
    width, height = sizes[..., 0], sizes[..., 1]
    padding = (width + height) / 2
    return array_namespace(sizes).sqrt((width + padding) * (height + padding))


def size_change_penalty(sizes: Array, last_sizes: Array, penalty: float) -> Array:
    """Score how little sizes changed in scale and in shape.

    Args:
        sizes: (..., 2) widths and heights.
        last_sizes: (..., 2), broadcast against `sizes`.
        penalty: strength; 0 gives 1 everywhere.

    Returns:
        (...) exp(-penalty * (change of shape * change of scale - 1)), in 0..1.

    Source: SiamRPN (Li et al., CVPR 2018), equation 13.
    """
    scale = context_size(sizes) / context_size(last_sizes)
    shape = (sizes[..., 0] / sizes[..., 1]) / (last_sizes[..., 0] / last_sizes[..., 1])
    xp = array_namespace(sizes)
    change = xp.maximum(scale, 1 / scale) * xp.maximum(shape, 1 / shape)
    return xp.exp(-penalty * (change - 1))


def cosine_window(centres: Array, crop_size: int) -> Array:
    """Weigh (..., 2) centres in a crop: 1 in its middle, 0 at its border, a raised cosine between.

    It is a function of where a proposal *is*, not of the anchor that it came from, so that a
    network may hold its anchors private.
    """
    distance = (abs(centres - crop_size / 2) / (crop_size / 2)).clip(max=1)
    weights = 0.5 + 0.5 * array_namespace(centres).cos(math.pi * distance)
    return weights[..., 0] * weights[..., 1]


def select_proposals(
    proposals: Proposals, last_sizes: Array, crop_size: int, config: SelectionConfig
) -> Selection:
    """Choose one proposal for each target.

    Args:
        proposals: the network's answer.
        last_sizes: (B, 2) the targets' last width and height in crop pixels.
        crop_size: side of the search crop in pixels.
        config: trust.

    Returns:
        The best proposal by score times constancy of size, mixed with the cosine window.
    """
    boxes = xyxy_to_cxcywh(proposals.boxes)
    constancy = size_change_penalty(boxes[..., 2:], last_sizes[:, None], config.size_penalty)
    window = cosine_window(boxes[..., :2], crop_size)
    rank = proposals.scores * constancy * (1 - config.window_influence)
    index = (rank + window * config.window_influence).argmax(axis=-1)
    rows = new_arange(index, len(index))
    return Selection(
        index=index,
        boxes=proposals.boxes[rows, index],
        scores=proposals.scores[rows, index],
        penalty=constancy[rows, index],
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
