"""Masks of targets whose boxes in a frame are known.

Shapes: B targets, (H, W) the frame, S pixels on a side of a search crop, n on a side of its bins,
T on a side of a network's mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
from cyclesiam.tracking.guided_filter import guided_filter
from cyclesiam.tracking.mask_boxes import trimmed_boxes
from cyclesiam.tracking.network import SegmentingNetwork
from cyclesiam.tracking.rescoring import RescoredSearch
from cyclesiam.tracking.results import MaskSource
from cyclesiam.tracking.search import Localization

OUTSIDE = -1  # the bin of pixels outside the crop
MIN_PROBABILITY = 0.002  # limits the network's certainty, so that colors can overrule it


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class MaskConfig:
    """How masks are predicted and refined, when they are implausible, and how they change boxes."""

    enabled: bool = True
    """Whether a network with a mask head predicts masks."""
    threshold: float = 0.5
    """Probability above which a pixel belongs to the target; the paper's value. Larger values give
    smaller masks."""
    color_refinement: float = 1.5
    """Weight of color log odds in each pixel. Larger values trust the network less; 0 for none."""
    edge_radius: int = 10
    """Radius in crop pixels of the edge filter. Larger values move borders farther; 0 for none."""
    edge_sigma: float = 2.0
    """Standard deviation of colors, 0..255, that counts as an edge. Larger values smooth more."""
    min_area_ratio: float = 0.1
    """Minimal area of a plausible mask over that of its box. Larger values reject more masks."""
    max_area_ratio: float = 3.0
    """Maximal area of a plausible mask over that of its box. Larger values reject fewer masks."""
    min_inside_ratio: float = 0.5
    """Minimal ratio of a plausible mask inside its box. Larger values reject more masks."""
    box_weight: float = 0.75
    """Weight of the mask's box in the reported box, 0..1. Larger values rely less on proposals; 0
    reports the tracker's box."""
    size_tolerance: float = 1.25
    """Ratio of sizes by mask and tracker up to which the tracker's size stays. Larger values
    correct fewer sizes."""
    size_correction: float = 0.2
    """Ratio of the excess corrected in a frame, 0..1. Larger values correct faster; 0 for never."""
    size_momentum: float = 0.3
    """Weight of a frame in the running mean of that excess, 0..1. Larger values react faster."""

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
            raise ValueError(
                f"color_refinement, edge_radius and edge_sigma must not be negative, got {self}"
            )
        if not 0 <= self.min_area_ratio < self.max_area_ratio:
            raise ValueError(f"0 <= min_area_ratio < max_area_ratio must hold, got {self}")

    @property
    def changes_boxes(self) -> bool:
        """Whether boxes differ from those of a tracker without masks."""
        return bool(self.box_weight or self.size_correction)


class SegmentedTargets(NamedTuple):
    """The masks of B targets in a frame.

    Args:
        masks: disjoint, each with its source.
        boxes: (B, 4) xyxy in image pixels around the masks before overlaps were resolved, without
            outliers; NaN where the mask was implausible.
    """

    masks: list[tuple[Mask, MaskSource]]
    boxes: AnyArray


def segment_targets(
    network: SegmentingNetwork, targets: Localization, found: RescoredSearch, config: MaskConfig
) -> SegmentedTargets:
    """Return the masks of targets in a frame, and the boxes around them.

    Args:
        network: made the search result.
        targets: where they are in the frame.
        found: the search result in which they were localized.
        config: of the masks.
    """
    boxes, frame_size = targets.boxes.tolist(), found.frame_size
    pasted = paste_masks(*predict_masks(network, targets, found, config), frame_size)
    masks = resolve_overlaps(pasted, frame_size, config.threshold)
    disjoint = separate = replace_implausible_masks(masks, boxes, config)
    if len(pasted) > 1:
        masks = [resolve_overlaps([one], frame_size, config.threshold)[0] for one in pasted]
        separate = replace_implausible_masks(masks, boxes, config)
    plausible = [mask if source == "network" else None for mask, source in separate]
    return SegmentedTargets(disjoint, new_array(targets.boxes, trimmed_boxes(plausible)))


def predict_masks(
    network: SegmentingNetwork, targets: Localization, found: RescoredSearch, config: MaskConfig
) -> tuple[AnyArray, AnyArray]:
    """Return the mask of each target at its selected proposal.

    Args:
        network: made the search result.
        targets: where they are in the frame.
        found: the search result in which they were localized.
        config: refinement of the masks.

    Returns:
        (B, T, T) probabilities, and the (B, 4) cxcywh windows in image pixels that they cover.
    """
    colors = found.colors
    assert colors is not None  # every target has a color model where there are masks
    priors = mask_priors(colors.model, colors.bins, colors.likelihood)
    masks = network.segment(found.proposals, targets.chosen, priors)
    in_crop = cxcywh_to_xyxy(network.mask_windows(targets.chosen))
    if config.color_refinement:
        bins = _bins_in(colors.bins, in_crop)
        masks = refine_by_color(masks, bins, config.color_refinement)
    in_image = boxes_to_image(in_crop, found.windows, found.search_size)
    if config.edge_radius:
        masks = refine_edges(masks, found.crops, in_crop, config)
    return masks, xyxy_to_cxcywh(in_image)


def refine_by_color(masks: AnyArray, bins: AnyArray, weight: float) -> AnyArray:
    """Return masks whose uncertain pixels follow the colors of the certain ones.

    This is one iteration of what GrabCut repeats, with histograms as color models.

    Args:
        masks: (B, T, T) probabilities, 0..1.
        bins: (B, n, n) color bins of every second pixel of the masks, from the first on; `OUTSIDE`
            where the mask leaves the search crop.
        weight: of the color log odds. Larger values trust the network less.

    Returns:
        (B, T, T) probabilities.
    """
    xp, every_second = array_namespace(masks), masks[:, ::2, ::2]
    inside = new_array(masks, bins != OUTSIDE)
    odds = log_odds(bins.clip(min=0), every_second * inside, (1 - every_second) * inside)
    n = odds.shape[-1]
    smooth, resize = (new_array(odds, m) for m in (_box_filter(n), _resizing(n, masks.shape[-1])))
    odds = resize @ xp.exp(smooth @ odds @ smooth.T * weight) @ resize.T
    masks = masks.clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    foreground = masks * odds
    return foreground / (foreground + 1 - masks)


@lru_cache(maxsize=4)
def _box_filter(n: int) -> np.ndarray:
    """Return the (n, n) matrix that averages each of n cells with its neighbors."""
    cells = np.arange(n)
    near = (abs(cells[:, None] - cells) <= 1).astype(np.float32)
    return near / near.sum(axis=1, keepdims=True)


@lru_cache(maxsize=4)
def _resizing(n: int, size: int) -> np.ndarray:
    """Return the (size, n) matrix that resizes n cells linearly, with aligned corners."""
    positions = np.linspace(0, n - 1, size)[:, None]
    return (1 - abs(positions - np.arange(n))).clip(min=0).astype(np.float32)


def refine_edges(
    masks: AnyArray, crops: AnyArray, windows: AnyArray, config: MaskConfig
) -> AnyArray:
    """Return masks whose borders follow the edges of the crops.

    Args:
        masks: (B, T, T) probabilities.
        crops: (B, 3, S, S) search crops, 0..255.
        windows: (B, 4) xyxy of the masks in crop pixels, integers.
        config: radius and strength of edges.

    Source: guided filter (He et al., ECCV 2010).
    """
    T = masks.shape[-1]

    def refine(mask: np.ndarray, crop: np.ndarray, window: Sequence[float]) -> np.ndarray:
        pixels = slice_window(crop, (round(window[0]), round(window[1])), T)
        guide = pixels.transpose(1, 2, 0).astype(np.uint8, order="C")
        return guided_filter(guide, mask, config.edge_radius, config.edge_sigma**2)

    return new_array(
        masks, np.stack(parallel_map(refine, to_numpy(masks), to_numpy(crops), windows.tolist()))
    )


def _bins_in(bins: AnyArray, windows: AnyArray) -> AnyArray:
    """Return the bins in (B, 4) xyxy windows of the crops, of (B, n, n); `OUTSIDE` elsewhere."""
    side = int(windows[0, 2] - windows[0, 0] + 1) // BIN_STRIDE
    corners = np.rint(to_numpy(windows)[:, :2] / BIN_STRIDE).astype(int).tolist()
    sliced = [
        slice_window(bins[row : row + 1], corner, side, fill=OUTSIDE)
        for row, corner in enumerate(corners)
    ]
    return concat_rows(sliced)


def paste_masks(
    masks: AnyArray, windows: AnyArray, frame_size: tuple[int, int]
) -> list[MaskProbability]:
    """Paste (B, T, T) probabilities into a frame (H, W) at (B, 4) cxcywh windows."""
    rows = zip(to_numpy(masks), windows.tolist(), strict=True)
    return [paste_mask(values, window, frame_size) for values, window in rows]


def replace_implausible_masks(
    masks: Sequence[Mask], boxes: Sequence[Sequence[float]], config: MaskConfig
) -> list[tuple[Mask, MaskSource]]:
    """Return masks with sources; implausible masks are replaced by their filled xyxy boxes."""
    return [
        (mask, "network")
        if _is_plausible(mask, box, config)
        else (box_to_mask(box, mask.frame_size), "box")
        for mask, box in zip(masks, boxes, strict=True)
    ]


def _is_plausible(mask: Mask, box: Sequence[float], config: MaskConfig) -> bool:
    x0, y0, x1, y1 = pixel_bounds(box, mask.frame_size)
    filled, area = max(x1 - x0, 0) * max(y1 - y0, 0), mask.area
    if not area > 0 or not config.min_area_ratio * filled <= area <= config.max_area_ratio * filled:
        return False
    rows = slice(max(y0 - mask.top, 0), max(y1 - mask.top, 0))
    columns = slice(max(x0 - mask.left, 0), max(x1 - mask.left, 0))
    return int(np.count_nonzero(mask.pixels[rows, columns])) >= config.min_inside_ratio * area
