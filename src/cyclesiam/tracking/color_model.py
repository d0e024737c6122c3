"""Color histograms of each target and of its surroundings, updated while it is tracked.

Templates and filters compare layouts, and lose a target that deforms. Histograms ignore layout.
From the colors of target and surroundings follows a likelihood map: for each pixel, how likely it
belongs to the target. The map scores how well a box holds the target and nothing else. Where
target and surroundings have the same colors, the scores get no weight.

Shapes: B targets, S pixels on a side of a crop, n = ceil(S / BIN_STRIDE) on a side of its bins,
K = BINS_PER_CHANNEL ** 3 bins, N proposals, P histograms.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cyclesiam.arrays import (
    AnyArray,
    array_namespace,
    bincount,
    gather,
    lerp,
    new_arange,
    new_array,
    new_zeros,
)
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.boxes import box_area

BIN_STRIDE = 2  # every second pixel, both ways: a quarter of the work, with equal results
BINS_PER_CHANNEL = 16  # of each of red, green, blue
SMOOTHING = (0.2, 0.6, 0.2)  # a color also counts in the neighboring bins: light changes
INNER_SCALE = 0.8  # the rim of a box is mostly background; Staple's inner padding of 0.2
OUTER_SCALE = 1.1  # a target may reach a little beyond its box
MIN_BIN_RATIO = 1e-4  # about 2 of the 128 x 128 pixels counted in a search crop of 255
MIN_VOTE_CONTRAST = 0.01  # below, as in a picture of few brightness levels, colors tell nothing
MIN_CONTRAST = 0.05  # keeps a division finite where target and surroundings have equal colors


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ColorModelConfig:
    """How color histograms are updated, and how much their scores count.

    Source: Staple (Bertinetto et al., CVPR 2016), section 3.3, for histograms whose scores are
    added to a correlation; DAT (Possegger et al., CVPR 2015) for object against surroundings.
    """

    weight: float = 0.6
    """Largest part of a proposal's score that missing target colors can take away, 0..1; 0
    switches color scores off."""
    full_weight_contrast: float = 0.2
    """Difference of mean likelihood inside and outside the first box at which color scores get
    their full weight. Larger values trust colors less."""
    ring_scale: float = 1.5
    """Side of the box that bounds the ring around a target, over the target's side. Masks compare
    a target with this ring. Larger values take in more of the surroundings."""
    learning_rate: float = 0.05
    """Weight of a new frame's histograms. Larger values adapt faster and drift sooner."""
    min_update_score: float = 0.3
    """No update where a target's score is lower. Larger values update less often."""

    def __post_init__(self) -> None:
        for name in ("weight", "learning_rate", "min_update_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.ring_scale <= OUTER_SCALE or self.full_weight_contrast <= 0:
            raise ValueError(
                f"ring_scale > {OUTER_SCALE} and full_weight_contrast > 0 must hold; got {self}"
            )


class Likelihood(NamedTuple):
    """Likelihood of each pixel of search crops to belong to the target.

    Args:
        pixels: (B, n, n) in 0..1.
        integral: (B, (n + 1) ** 2) integral images: the sum above and to the left of each corner.
    """

    pixels: AnyArray
    integral: AnyArray


@dataclass(frozen=True, slots=True)
class ColorModel:
    """The color histograms of B targets.

    Args:
        foreground: (B, K) ratio of the target's pixels in each bin.
        background: (B, K) ratio of the surroundings' pixels in each bin.
        ring: (B, K) ratio of the pixels close around the target in each bin.
        inside_likelihood: (B,) mean likelihood inside the first box.
        outside_likelihood: (B,) mean likelihood outside the first box.
        config: how histograms are updated and scored.
    """

    foreground: AnyArray
    background: AnyArray
    ring: AnyArray
    inside_likelihood: AnyArray
    outside_likelihood: AnyArray
    config: ColorModelConfig


def color_bins(crops: AnyArray) -> AnyArray:
    """Return the (B, n, n) color bins, 0..K - 1, of (B, 3, S, S) crops in 0..255."""
    xp = array_namespace(crops)
    levels = xp.asarray(
        crops[..., ::BIN_STRIDE, ::BIN_STRIDE] * (BINS_PER_CHANNEL / 256), dtype=xp.int64
    )
    return (levels[:, 0] * BINS_PER_CHANNEL + levels[:, 1]) * BINS_PER_CHANNEL + levels[:, 2]


def init_color_model(
    bins: AnyArray,
    boxes: AnyArray,
    config: ColorModelConfig,
    masks: AnyArray | None = None,
) -> ColorModel:
    """Return the color model of targets in their first frame.

    Args:
        bins: (B, n, n) output of `color_bins`.
        boxes: (B, 4) xyxy in crop pixels.
        config: kept in the model.
        masks: (B, n, n) bool, the targets' pixels. Without masks, the middle of each box counts.
    """
    regions = _split_crop(bins, boxes, config)
    if masks is not None:
        nearby = regions.ring | regions.inner | masks
        regions = _Regions(masks, ~masks, nearby & ~masks)
    unknown = new_zeros(boxes, (len(boxes),))
    model = ColorModel(*_histograms(bins, regions), unknown, unknown, config)
    likelihood = color_likelihood(model, bins)
    total, cells = likelihood.pixels.sum(axis=(1, 2)), bins.shape[1] * bins.shape[2]
    inside, area = (part[:, 0] for part in _box_sums(likelihood.integral, boxes[:, None]))
    outside = (total - inside) / (cells - area).clip(min=1)
    return replace(model, inside_likelihood=inside / area, outside_likelihood=outside)


def color_likelihood(model: ColorModel, bins: AnyArray) -> Likelihood:
    """Return how likely each pixel of (B, n, n) bins belongs to the target, by its color."""
    pixels = _probability(model.foreground, model.background, bins)
    B, n, _ = pixels.shape
    sums = new_zeros(pixels, (B, n + 1, n + 1))
    sums[:, 1:, 1:] = pixels.cumsum(1).cumsum(2)
    return Likelihood(pixels, sums.reshape(B, -1))


def _probability(foreground: AnyArray, others: AnyArray, bins: AnyArray) -> AnyArray:
    """Return the probability of the foreground, (B, K) against (B, K), at (B, n, n) bins."""
    by_bin = (foreground + MIN_BIN_RATIO) / (foreground + others + 2 * MIN_BIN_RATIO)
    return gather(by_bin, bins.reshape(len(bins), -1)).reshape(bins.shape)


def mask_priors(model: ColorModel, bins: AnyArray, likelihood: Likelihood) -> AnyArray:
    """Return two maps of how likely pixels belong to the target, the inputs of a mask head.

    Args:
        model: of the targets.
        bins: (B, n, n) of the search crops.
        likelihood: of the same bins, from `color_likelihood`.

    Returns:
        (B, 2, n, n). First the likelihood against all surroundings, scaled so that the first box
        had a mean of 1 inside and 0 outside, in -0.5..1.5. Then the likelihood against the ring
        around the target, in 0..1.
    """
    contrast = (model.inside_likelihood - model.outside_likelihood).clip(min=MIN_CONTRAST)
    relative = (likelihood.pixels - model.outside_likelihood[:, None, None]) / contrast[
        :, None, None
    ]
    against_ring = _probability(model.foreground, model.ring, bins)
    return array_namespace(bins).stack((relative.clip(-0.5, 1.5), against_ring), axis=1)


def color_scores(model: ColorModel, likelihood: Likelihood, boxes: AnyArray) -> AnyArray:
    """Return how well boxes hold the pixels with the target's colors, and nothing else.

    Args:
        model: of the targets.
        likelihood: of the search crops, from `color_likelihood`.
        boxes: (B, N, 4) xyxy in crop pixels.

    Returns:
        (B, N) overlap of each box with the target-colored pixels, over the largest overlap, 0..1.
        Likelihoods are scaled so that the first box had a mean of 1 inside and 0 outside.
    """
    outside = model.outside_likelihood[:, None]
    contrast = (model.inside_likelihood - model.outside_likelihood).clip(min=MIN_CONTRAST)[:, None]
    sums, areas = _box_sums(likelihood.integral, boxes)
    xp, full = array_namespace(boxes), box_area(boxes) / BIN_STRIDE**2
    intersection = xp.minimum(((sums - outside * areas) / contrast).clip(min=0), full)
    colored = (likelihood.pixels - outside[..., None]).sum(axis=(1, 2))[:, None] / contrast
    union = full + (colored.clip(min=0) - intersection).clip(min=0)
    overlap = intersection / union.clip(min=1)
    return overlap / xp.amax(overlap, axis=1)[:, None].clip(min=1e-3)


def box_likelihood(model: ColorModel, likelihood: Likelihood, boxes: AnyArray) -> AnyArray:
    """Return how much of each target's box has the target's colors.

    Args:
        model: of the targets.
        likelihood: of the search crops, from `color_likelihood`.
        boxes: (B, 4) xyxy in crop pixels.

    Returns:
        (B,) mean likelihood inside, scaled so that the first box had a mean of 1 inside and 0
        outside, in -0.5..1.5.
    """
    sums, areas = (part[:, 0] for part in _box_sums(likelihood.integral, boxes[:, None]))
    contrast = (model.inside_likelihood - model.outside_likelihood).clip(min=MIN_CONTRAST)
    return ((sums / areas - model.outside_likelihood) / contrast).clip(-0.5, 1.5)


def tells_colors_apart(model: ColorModel) -> AnyArray:
    """Return (B,) bool: whether the first box differs in color from its surroundings at all."""
    return model.inside_likelihood - model.outside_likelihood >= MIN_VOTE_CONTRAST


def color_weights(model: ColorModel) -> AnyArray:
    """Return the (B,) weights of color scores: smaller where colors hardly separate the target."""
    contrast = (model.inside_likelihood - model.outside_likelihood).clip(min=0)
    return model.config.weight * (contrast / model.config.full_weight_contrast).clip(max=1)


def update_color_model(
    model: ColorModel, bins: AnyArray, boxes: AnyArray, confident: AnyArray
) -> ColorModel:
    """Return the model with the histograms of a new frame blended in.

    Args:
        model: of the targets.
        bins: (B, n, n) of the search crops.
        boxes: (B, 4) xyxy in crop pixels.
        confident: (B,) bool; the other targets keep their histograms.
    """
    rate = (model.config.learning_rate * new_array(boxes, confident))[:, None]
    foreground, background, ring = _histograms(bins, _split_crop(bins, boxes, model.config))
    return replace(
        model,
        foreground=lerp(model.foreground, foreground, rate),
        background=lerp(model.background, background, rate),
        ring=lerp(model.ring, ring, rate),
    )


class _Regions(NamedTuple):
    """(B, n, n) bool: the middle of boxes, all outside of them, and a ring around them."""

    inner: AnyArray
    outer: AnyArray
    ring: AnyArray


def _split_crop(bins: AnyArray, boxes: AnyArray, config: ColorModelConfig) -> _Regions:
    pixel_centers = (new_arange(boxes, bins.shape[-1]) + 0.5) * BIN_STRIDE
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    distance = abs(pixel_centers - center[..., None])  # (B, 2, n)

    def within(scale: float) -> AnyArray:
        near = distance < scale * half[..., None]
        return near[:, 1, :, None] & near[:, 0, None, :]

    outer = ~within(OUTER_SCALE)
    return _Regions(within(INNER_SCALE), outer, outer & within(config.ring_scale))


def log_odds(bins: AnyArray, foreground: AnyArray, background: AnyArray) -> AnyArray:
    """Return how much more often colors occur in the foreground than in the background.

    Args:
        bins: (B, n, n) output of `color_bins`.
        foreground: (B, n, n) weight of each pixel in the foreground histogram.
        background: (B, n, n) weight of each pixel in the background histogram.

    Returns:
        (B, n, n) logarithm of the ratio of the two frequencies of a pixel's color.
    """
    xp, index = array_namespace(foreground), bins.reshape(len(bins), -1)
    both = (weights.reshape(index.shape) for weights in (foreground, background))
    counts = xp.stack([bincount(index, BINS_PER_CHANNEL**3, weights) for weights in both], axis=1)
    ratios = _smooth(counts / counts.sum(axis=-1)[..., None].clip(min=1)) + MIN_BIN_RATIO
    odds = xp.log(ratios[:, 0] / ratios[:, 1])
    return gather(odds, index).reshape(bins.shape)


def _histograms(bins: AnyArray, regions: _Regions) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return the smoothed histograms of the three regions, each (B, K) ratios of its pixels."""
    xp, B, K = array_namespace(bins), len(bins), BINS_PER_CHANNEL**3
    # The ring is part of the outer region. Each pixel is counted once, and the two added after.
    part = xp.where(regions.inner, 0, xp.where(regions.ring, 1, xp.where(regions.outer, 2, 3)))
    counts = bincount((part * K + bins).reshape(B, -1), 4 * K).reshape(B, 4, K)
    inner, ring, farther = counts[:, 0], counts[:, 1], counts[:, 2]
    stacked = xp.stack((inner, ring + farther, ring), axis=1)
    ratios = _smooth(stacked / stacked.sum(axis=-1)[..., None].clip(min=1))
    return ratios[:, 0], ratios[:, 1], ratios[:, 2]


def _smooth(histograms: AnyArray) -> AnyArray:
    """Spread each bin of (B, P, K) histograms over its neighbors in red, green and blue."""
    xp, spread = array_namespace(histograms), new_array(histograms, SMOOTHING_MATRIX)
    cube = histograms.reshape(-1, BINS_PER_CHANNEL, BINS_PER_CHANNEL, BINS_PER_CHANNEL)
    for _ in range(3):  # along blue, green, then red
        mixed = cube.reshape(-1, BINS_PER_CHANNEL) @ spread
        cube = xp.moveaxis(mixed.reshape(cube.shape), -1, 1)
    return cube.reshape(histograms.shape)


def _smoothing_matrix() -> np.ndarray:
    """Return the matrix that spreads each of BINS_PER_CHANNEL levels over its neighbors."""
    matrix = np.zeros((BINS_PER_CHANNEL, BINS_PER_CHANNEL), np.float32)
    for level in range(BINS_PER_CHANNEL):
        for step, weight in zip((-1, 0, 1), SMOOTHING, strict=True):
            matrix[level, min(max(level + step, 0), BINS_PER_CHANNEL - 1)] += weight
    return matrix


SMOOTHING_MATRIX = _smoothing_matrix()


def _box_sums(integral: AnyArray, boxes: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return (B, N) sums of a likelihood over (B, N, 4) boxes in crop pixels, and their areas.

    Boxes are rounded to whole cells of the bins, and cover one cell at least. Areas count cells.
    """
    xp, n = array_namespace(integral), math.isqrt(integral.shape[1]) - 1
    edges = xp.asarray(xp.round(boxes / BIN_STRIDE).clip(0, n), dtype=xp.int64)
    x0, y0, x1, y1 = xp.moveaxis(edges, -1, 0)
    x0, y0 = x0.clip(max=n - 1), y0.clip(max=n - 1)
    x1, y1 = xp.maximum(x1, x0 + 1), xp.maximum(y1, y0 + 1)
    corners = ((y1, x1, 1), (y0, x1, -1), (y1, x0, -1), (y0, x0, 1))
    total = sum(sign * gather(integral, y * (n + 1) + x) for y, x, sign in corners)
    return total, xp.asarray((x1 - x0) * (y1 - y0), dtype=xp.float32)
