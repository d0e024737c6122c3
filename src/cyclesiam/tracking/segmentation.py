"""Masks of targets, once their boxes in a frame are known.

Shapes: B targets, (H, W) the frame, T pixels on a side of a network's mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_image
from cyclesiam.geometry.masks import Mask, Probability, fill_box, place
from cyclesiam.tracking.colour_model import mask_beliefs
from cyclesiam.tracking.results import MaskSource
from cyclesiam.tracking.siamese import Observation, SegmentingNetwork, TargetState


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """How masks are read, and when they are not believed."""

    wanted: bool = True
    """Give masks, of a network that can."""
    threshold: float = 0.5
    """Probability above which a pixel is the target's; the paper's."""
    least_share: float = 0.1
    """Least area of a mask, over its box's: below, it has lost the target."""
    most_share: float = 3.0
    """Greatest area of a mask, over its box's: above, it floods its window."""
    least_inside: float = 0.5
    """Least share of a mask that lies inside its box."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1 or not 0 <= self.least_inside <= 1:
            raise ValueError(f"threshold and least_inside must lie in 0..1, got {self}")
        if not 0 <= self.least_share < self.most_share:
            raise ValueError(f"0 <= least_share < most_share must hold, got {self}")


def see_masks(
    network: SegmentingNetwork, state: TargetState, observation: Observation
) -> tuple[Tensor, Tensor]:
    """Segment the targets at the proposals that were chosen.

    Args:
        network: that gave the observation.
        state: targets with colours, settled in this frame.
        observation: what was seen of it.

    Returns:
        (B, T, T) probabilities, and the (B, 4) cxcywh windows in image pixels that they cover.
    """
    assert state.chosen is not None
    assert state.colours is not None
    assert observation.bins is not None
    beliefs = mask_beliefs(state.colours, observation.bins)
    masks = network.segment(observation.proposals, state.chosen, beliefs)
    in_crop = cxcywh_to_xyxy(network.mask_windows(state.chosen))
    in_image = boxes_to_image(in_crop, observation.windows, network.search_size)
    return masks, xyxy_to_cxcywh(in_image)


def place_masks(masks: Tensor, windows: Tensor, frame_size: tuple[int, int]) -> list[Probability]:
    """Lay (B, T, T) probabilities over a frame (H, W), at (B, 4) cxcywh windows."""
    rows = zip(masks.cpu().numpy(), windows.tolist(), strict=True)
    return [place(values, window, frame_size) for values, window in rows]


def judge_masks(
    masks: Sequence[Mask], boxes: Sequence[Sequence[float]], config: MaskConfig
) -> list[tuple[Mask, MaskSource]]:
    """Replace masks that have nothing to do with their boxes, xyxy, by these boxes, filled."""
    return [
        (mask, "network") if _agree(mask, box, config) else (fill_box(box, mask.frame_size), "box")
        for mask, box in zip(masks, boxes, strict=True)
    ]


def _agree(mask: Mask, box: Sequence[float], config: MaskConfig) -> bool:
    filled = fill_box(box, mask.frame_size)
    area = mask.area
    if not config.least_share * filled.area <= area <= config.most_share * filled.area:
        return False
    # The box in the rectangle of the mask.
    h, w = mask.pixels.shape
    x0, y0 = np.clip((filled.left - mask.left, filled.top - mask.top), 0, (w, h))
    x1 = np.clip(filled.left + filled.pixels.shape[1] - mask.left, 0, w)
    y1 = np.clip(filled.top + filled.pixels.shape[0] - mask.top, 0, h)
    return area > 0 and mask.pixels[y0:y1, x0:x1].sum() >= config.least_inside * area
