"""Masks of targets, once their boxes in a frame are known.

Shapes: B targets, (H, W) the frame, T pixels on a side of a network's mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, concat_rows, new_array, to_numpy
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_image, slice_window
from cyclesiam.geometry.masks import (
    Mask,
    MaskProbability,
    box_to_mask,
    paste_mask,
    pixel_bounds,
    resolve_overlaps,
)
from cyclesiam.threads import parallel_map
from cyclesiam.tracking.color_model import BIN_STRIDE, log_odds, mask_priors
from cyclesiam.tracking.mask_boxes import trimmed_boxes
from cyclesiam.tracking.results import MaskSource
from cyclesiam.tracking.siamese import SearchResult, SegmentingNetwork, TargetState

OUTSIDE = -1  # the bin of what lies outside the crop
MIN_PROBABILITY = (
    0.002  # probability that a network is taken to give at least: colours may overrule it
)


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """How masks are read, and when they are not believed."""

    enabled: bool = True
    """Give masks, of a network that can."""
    threshold: float = 0.5
    """Probability above which a pixel is the target's; the paper's."""
    color_refinement: float = 1.5
    """Weight of what the colours of a mask and of its window say of each pixel; 0 for nothing."""
    edge_radius: int = 10
    """Pixels of the crop within which a mask's border is drawn to edges; 0 for not at all."""
    edge_sigma: float = 2.0
    """Deviation of colours, 0..255, below which there is no edge."""
    min_area_ratio: float = 0.1
    """Least area of a mask, over its box's: below, it has lost the target."""
    max_area_ratio: float = 3.0
    """Greatest area of a mask, over its box's: above, it floods its window."""
    min_inside_ratio: float = 0.5
    """Least share of a mask that lies inside its box."""
    box_weight: float = 0.75
    """Weight of a mask's extent in the box that is told, 0..1; 0 for the tracker's own alone."""
    size_tolerance: float = 1.25
    """Factor by which masks may say another size than the tracker's own, which then stays."""
    size_correction: float = 0.2
    """Share of what is beyond that by which the tracker's own changes in a frame; 0 for nothing."""
    size_momentum: float = 0.3
    """Weight of a frame among those of late that say so."""

    def __post_init__(self) -> None:
        for name in (
            "threshold",
            "min_inside_ratio",
            "box_weight",
            "size_correction",
            "size_momentum",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.threshold in (0, 1) or self.size_tolerance < 1:
            raise ValueError(f"0 < threshold < 1 and size_tolerance >= 1 must hold, got {self}")
        if min(self.color_refinement, self.edge_radius, self.edge_sigma) < 0:
            raise ValueError(f"weights and reaches must not be negative, got {self}")
        if not 0 <= self.min_area_ratio < self.max_area_ratio:
            raise ValueError(f"0 <= min_area_ratio < max_area_ratio must hold, got {self}")

    @property
    def changes_boxes(self) -> bool:
        """Whether boxes are others than without masks."""
        return bool(self.box_weight or self.size_correction)


class SegmentedTargets(NamedTuple):
    """The masks of B targets in a frame.

    Args:
        masks: that share no pixel, and where each comes from.
        extents: (B, 4) xyxy in image pixels, of the bulk of what each target's would be without the
            others; NaN where that was not believed.
    """

    masks: list[tuple[Mask, MaskSource]]
    boxes: AnyArray


def segment_targets(
    network: SegmentingNetwork,
    state: TargetState,
    observation: SearchResult,
    frame_size: tuple[int, int],
    config: MaskConfig,
) -> SegmentedTargets:
    """Give the masks of targets in a frame (H, W); else `see_masks`."""
    boxes = state.boxes.tolist()
    placed = paste_masks(*predict_masks(network, state, observation, config), frame_size)
    masks = resolve_overlaps(placed, frame_size, config.threshold)
    judged = alone = replace_implausible_masks(masks, boxes, config)
    if len(placed) > 1:
        masks = [resolve_overlaps([one], frame_size, config.threshold)[0] for one in placed]
        alone = replace_implausible_masks(masks, boxes, config)
    believed = [mask if source == "network" else None for mask, source in alone]
    extents = new_array(state.boxes, trimmed_boxes(believed))
    return SegmentedTargets(judged, extents)


def predict_masks(
    network: SegmentingNetwork, state: TargetState, observation: SearchResult, config: MaskConfig
) -> tuple[AnyArray, AnyArray]:
    """Segment the targets at the proposals that were chosen.

    Args:
        network: that gave the observation.
        state: targets with colours, settled in this frame.
        observation: what was seen of it.
        config: how far colours count.

    Returns:
        (B, T, T) probabilities, and the (B, 4) cxcywh windows in image pixels that they cover.
    """
    assert state.chosen is not None
    assert state.colours is not None
    assert observation.color_bins is not None
    assert observation.likelihood is not None
    beliefs = mask_priors(state.colours, observation.color_bins, observation.likelihood)
    masks = network.segment(observation.proposals, state.chosen, beliefs)
    in_crop = cxcywh_to_xyxy(network.mask_windows(state.chosen))
    if config.color_refinement:
        bins = _bins_in(observation.color_bins, in_crop)
        masks = refine_by_color(masks, bins, config.color_refinement)
    in_image = boxes_to_image(in_crop, observation.windows, network.search_size)
    if config.edge_radius:
        assert observation.crops is not None
        masks = refine_edges(masks, observation.crops, in_crop, config)
    return masks, xyxy_to_cxcywh(in_image)


def refine_by_color(masks: AnyArray, bins: AnyArray, weight: float) -> AnyArray:
    """Let the colours of a mask speak for pixels like its own, and against others.

    Where a network is undecided, and a part of its window has the colours of what it is sure of,
    these decide: one round of what GrabCut does in many, with histograms.

    Args:
        masks: (B, T, T) probabilities, 0..1.
        bins: (B, n, n) colours of every second of their pixels, from the first on; `NOWHERE`
            beyond the frame's crop.
        weight: of the colours' log odds.

    Returns:
        (B, T, T) probabilities.
    """
    xp, every_second = array_namespace(masks), masks[:, ::2, ::2]
    seen = new_array(masks, bins != OUTSIDE)
    odds = log_odds(bins.clip(min=0), every_second * seen, (1 - every_second) * seen)
    n = odds.shape[-1]
    near, between = new_array(odds, _near(n)), new_array(odds, _between(n, masks.shape[-1]))
    odds = between @ xp.exp(near @ odds @ near.T * weight) @ between.T
    masks = masks.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    ours = masks * odds
    return ours / (ours + 1 - masks)


@lru_cache(maxsize=4)
def _near(n: int) -> np.ndarray:
    """Give the (n, n) matrix that makes each of n cells the mean of itself and its neighbours."""
    cells = np.arange(n)
    near = (abs(cells[:, None] - cells) <= 1).astype(np.float32)
    return near / near.sum(axis=1, keepdims=True)


@lru_cache(maxsize=4)
def _between(n: int, size: int) -> np.ndarray:
    """Give the (size, n) matrix that resizes n cells linearly, corner upon corner."""
    places = np.linspace(0, n - 1, size)[:, None]
    return (1 - abs(places - np.arange(n))).clip(min=0).astype(np.float32)


def refine_edges(
    masks: AnyArray, crops: AnyArray, windows: AnyArray, config: MaskConfig
) -> AnyArray:
    """Let the borders of masks follow the edges of what is seen.

    Args:
        masks: (B, T, T) probabilities.
        crops: (B, 3, S, S) search crops, 0..255.
        windows: (B, 4) xyxy of the masks in crop pixels; whole numbers.
        config: how far, and which edges.

    Source: guided filter (He et al., ECCV 2010).
    """
    T = masks.shape[-1]

    def draw(mask: np.ndarray, crop: np.ndarray, window: Sequence[float]) -> np.ndarray:
        seen = slice_window(crop, (round(window[0]), round(window[1])), T)
        guide = seen.transpose(1, 2, 0).astype(np.uint8, order="C")
        return cv2.ximgproc.guidedFilter(  # pyright: ignore
            guide, mask, config.edge_radius, config.edge_sigma**2
        )

    return new_array(
        masks, np.stack(parallel_map(draw, to_numpy(masks), to_numpy(crops), windows.tolist()))
    )


def _bins_in(bins: AnyArray, windows: AnyArray) -> AnyArray:
    """Take the bins of (B, 4) xyxy windows of the crops out of (B, n, n); `NOWHERE` outside."""
    side = int(windows[0, 2] - windows[0, 0] + 1) // BIN_STRIDE
    corners = np.rint(to_numpy(windows)[:, :2] / BIN_STRIDE).astype(int).tolist()
    taken = [
        slice_window(bins[row : row + 1], corner, side, fill=OUTSIDE)
        for row, corner in enumerate(corners)
    ]
    return concat_rows(taken)


def paste_masks(
    masks: AnyArray, windows: AnyArray, frame_size: tuple[int, int]
) -> list[MaskProbability]:
    """Lay (B, T, T) probabilities over a frame (H, W), at (B, 4) cxcywh windows."""
    rows = zip(to_numpy(masks), windows.tolist(), strict=True)
    return [paste_mask(values, window, frame_size) for values, window in rows]


def replace_implausible_masks(
    masks: Sequence[Mask], boxes: Sequence[Sequence[float]], config: MaskConfig
) -> list[tuple[Mask, MaskSource]]:
    """Replace masks that have nothing to do with their boxes, xyxy, by these boxes, filled."""
    return [
        (mask, "network")
        if _agree(mask, box, config)
        else (box_to_mask(box, mask.frame_size), "box")
        for mask, box in zip(masks, boxes, strict=True)
    ]


def _agree(mask: Mask, box: Sequence[float], config: MaskConfig) -> bool:
    x0, y0, x1, y1 = pixel_bounds(box, mask.frame_size)
    filled, area = max(x1 - x0, 0) * max(y1 - y0, 0), mask.area
    if not area > 0 or not config.min_area_ratio * filled <= area <= config.max_area_ratio * filled:
        return False
    rows = slice(max(y0 - mask.top, 0), max(y1 - mask.top, 0))
    columns = slice(max(x0 - mask.left, 0), max(x1 - mask.left, 0))
    return int(np.count_nonzero(mask.pixels[rows, columns])) >= config.min_inside_ratio * area
