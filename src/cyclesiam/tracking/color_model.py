"""The colours of a target and of what is around it, learnt while it is followed.

Templates and filters know where things lie, and lose a target that bends. Histograms do not care:
which colours are the target's and which its surroundings' says of every pixel how likely it is the
target's, and so of every box how well it holds the target, and nothing else. Where both have the
same colours, the model knows that it has nothing to say.

Shapes: B targets, S pixels on a side of a crop, n = ceil(S / STEP) on a side of its bins, K bins,
N proposals.
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

BIN_STRIDE = 2  # every second pixel of a crop, both ways: a quarter of the work, and as good
BINS_PER_CHANNEL = 16  # of each of red, green, blue
SMOOTHING = (0.2, 0.6, 0.2)  # a colour counts for the next level, too: light changes
FLOOR = 1e-4  # share of pixels that a colour is taken to have at least
LEAST_CONTRAST = 0.05  # keeps a division finite where target and surroundings look alike


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ColorModelConfig:
    """How colours are learnt, and how much they say.

    Source: Staple (Bertinetto et al., CVPR 2016), section 3.3, for histograms that vote beside a
    correlation; DAT (Possegger et al., CVPR 2015) for object against surroundings.
    """

    weight: float = 0.6
    """By how much a proposal that holds none of the target's colours is believed less, 0..1, where
    colours tell the target; 0 for no vote."""
    full_weight_contrast: float = 0.2
    """Difference of belief inside and outside the first box at which the vote has its full share;
    below, it has less."""
    inner_scale: float = 0.8
    """Side of the middle part of a box that is taken for the target, over the box's."""
    outer_scale: float = 1.1
    """Side of the box beyond which all is surroundings, over the target's."""
    ring_scale: float = 1.5
    """Side of the box that ends what lies nearby, over the target's: masks are told from that."""
    min_bin_ratio: float = FLOOR
    """Share of pixels that every colour is taken to have at least."""
    learning_rate: float = 0.05
    """Weight of a new frame's histograms."""
    min_update_score: float = 0.3
    """A target whose score is lower teaches nothing."""

    def __post_init__(self) -> None:
        for name in ("weight", "learning_rate", "min_update_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if (
            not 0 < self.inner_scale <= self.outer_scale < self.ring_scale
            or self.min_bin_ratio <= 0
            or self.full_weight_contrast <= 0
        ):
            raise ValueError(
                "0 < inner_scale <= outer_scale < ring_scale, min_bin_ratio > 0 and "
                f"full_weight_contrast > 0 must hold; got {self}"
            )


class Likelihood(NamedTuple):
    """How likely each pixel of search crops is the target's.

    Args:
        pixels: (B, n, n) in 0..1.
        sums: (B, (n + 1) ** 2) of all pixels above and to the left of each corner.
    """

    pixels: AnyArray
    integral: AnyArray


@dataclass(frozen=True, slots=True)
class ColorModel:
    """The colours of B targets.

    Args:
        inside: (B, K) share of the target's pixels in each bin.
        outside: (B, K) share of its surroundings' pixels.
        nearby: (B, K) share of the pixels close around the target.
        held: (B,) mean belief inside the first box.
        leaked: (B,) mean belief outside it.
        config: how they learn and vote.
    """

    foreground: AnyArray
    background: AnyArray
    ring: AnyArray
    inside_likelihood: AnyArray
    outside_likelihood: AnyArray
    config: ColorModelConfig


def color_bins(crops: AnyArray) -> AnyArray:
    """Give the (B, n, n) bins, 0..K - 1, of (B, 3, S, S) crops in 0..255."""
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
    """Learn the colours of targets in the frame of their first box.

    Args:
        bins: (B, n, n) as `bin_colours` gives them.
        boxes: (B, 4) xyxy in crop pixels.
        config: how.
        masks: (B, n, n) bool, the targets' own pixels; else the middle of their boxes counts.
    """
    places = _divide(bins, boxes, config)
    if masks is not None:
        within = places.close | places.core | masks
        places = _Places(masks, ~masks, within & ~masks)
    nothing = new_zeros(boxes, (len(boxes),))
    state = ColorModel(*_count(bins, places), nothing, nothing, config)
    belief = color_likelihood(state, bins)
    total, cells = belief.pixels.sum(axis=(1, 2)), bins.shape[1] * bins.shape[2]
    held, area = (part[:, 0] for part in _box_sums(belief.integral, boxes[:, None]))
    leaked = (total - held) / (cells - area).clip(min=1)
    return replace(state, inside_likelihood=held / area, outside_likelihood=leaked)


def color_likelihood(state: ColorModel, bins: AnyArray) -> Likelihood:
    """Say how likely each pixel of (B, n, n) bins is the target's, and not its surroundings'."""
    pixels = _share(state.foreground, state.background, bins, state.config.min_bin_ratio)
    B, n, _ = pixels.shape
    sums = new_zeros(pixels, (B, n + 1, n + 1))
    sums[:, 1:, 1:] = pixels.cumsum(1).cumsum(2)
    return Likelihood(pixels, sums.reshape(B, -1))


def _share(ours: AnyArray, others: AnyArray, bins: AnyArray, floor: float) -> AnyArray:
    """Give the share that (B, K) ours have of ours and others, at (B, n, n) bins."""
    odds = (ours + floor) / (ours + others + 2 * floor)
    return gather(odds, bins.reshape(len(bins), -1)).reshape(bins.shape)


def mask_priors(state: ColorModel, bins: AnyArray, belief: Likelihood) -> AnyArray:
    """Say of pixels how likely they are the target's, for masks.

    Args:
        state: the colours.
        bins: (B, n, n) of the search crops.
        belief: as `believe` gives it of them.

    Returns:
        (B, 2, n, n): the belief against all surroundings, as the first box had it, inside as 1 and
        outside as 0; and the belief against what is close around the target, 0..1.
    """
    contrast = (state.inside_likelihood - state.outside_likelihood).clip(min=LEAST_CONTRAST)[
        :, None, None
    ]
    relative = (belief.pixels - state.outside_likelihood[:, None, None]) / contrast
    close = _share(state.foreground, state.ring, bins, state.config.min_bin_ratio)
    return array_namespace(close).stack((relative.clip(-0.5, 1.5), close), axis=1)


def color_scores(state: ColorModel, belief: Likelihood, boxes: AnyArray) -> AnyArray:
    """Say how well boxes hold what has the target's colours, and nothing else.

    Args:
        state: the colours.
        belief: of the search crops, as `believe` gives it.
        boxes: (B, N, 4) xyxy in crop pixels.

    Returns:
        (B, N) overlap of each box with the coloured pixels, as a share of the best, 0..1. The
        belief of a pixel counts as the first box had it: inside as 1, outside as 0.
    """
    leaked = state.outside_likelihood[:, None]
    contrast = (state.inside_likelihood - state.outside_likelihood).clip(min=LEAST_CONTRAST)[
        :, None
    ]
    sums, areas = _box_sums(belief.integral, boxes)
    xp, full = array_namespace(boxes), box_area(boxes) / BIN_STRIDE**2
    shared = xp.minimum(((sums - leaked * areas) / contrast).clip(min=0), full)
    everything = (belief.pixels - leaked[..., None]).sum(axis=(1, 2))[:, None] / contrast
    overlap = shared / (full + (everything.clip(min=0) - shared).clip(min=0)).clip(min=1)
    return overlap / xp.amax(overlap, axis=1)[:, None].clip(min=1e-3)


def box_likelihood(state: ColorModel, belief: Likelihood, boxes: AnyArray) -> AnyArray:
    """Say how much of a box has the target's colours.

    Args:
        state: the colours.
        belief: of the search crops, as `believe` gives it.
        boxes: (B, 4) xyxy in crop pixels.

    Returns:
        (B,) mean belief inside: 1 as inside the first box, 0 as outside it; -0.5 to 1.5.
    """
    sums, areas = (part[:, 0] for part in _box_sums(belief.integral, boxes[:, None]))
    contrast = (state.inside_likelihood - state.outside_likelihood).clip(min=LEAST_CONTRAST)
    return ((sums / areas - state.outside_likelihood) / contrast).clip(-0.5, 1.5)


def color_weights(state: ColorModel) -> AnyArray:
    """Give the (B,) share of each target's vote: less where colours hardly tell it."""
    contrast = (state.inside_likelihood - state.outside_likelihood).clip(min=0)
    return state.config.weight * (contrast / state.config.full_weight_contrast).clip(max=1)


def update_color_model(
    state: ColorModel, bins: AnyArray, boxes: AnyArray, sure: AnyArray
) -> ColorModel:
    """Learn from a frame, (B, n, n) bins and (B, 4) xyxy boxes, the targets that are (B,) sure."""
    rate = (state.config.learning_rate * new_array(boxes, sure))[:, None]
    inside, outside, nearby = _count(bins, _divide(bins, boxes, state.config))
    return replace(
        state,
        foreground=lerp(state.foreground, inside, rate),
        background=lerp(state.background, outside, rate),
        ring=lerp(state.ring, nearby, rate),
    )


class _Places(NamedTuple):
    """(B, n, n) bool: the middle of boxes, all beyond them, and what is close around them."""

    core: AnyArray
    beyond: AnyArray
    close: AnyArray


def _divide(bins: AnyArray, boxes: AnyArray, config: ColorModelConfig) -> _Places:
    middles = (new_arange(boxes, bins.shape[-1]) + 0.5) * BIN_STRIDE
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    away = abs(middles - centre[..., None])  # (B, 2, n)

    def within(scale: float) -> AnyArray:
        near = away < scale * half[..., None]
        return near[:, 1, :, None] & near[:, 0, None, :]

    beyond = ~within(config.outer_scale)
    return _Places(within(config.inner_scale), beyond, beyond & within(config.ring_scale))


def log_odds(bins: AnyArray, ours: AnyArray, others: AnyArray) -> AnyArray:
    """Say how much more colours belong to some pixels than to others.

    Args:
        bins: (B, n, n) as `bin_colours` gives them.
        ours: (B, n, n) weights of the ones.
        others: (B, n, n) weights of the others.

    Returns:
        (B, n, n) logarithms of how often a pixel's colour is among the ones, over the others.
    """
    xp, index = array_namespace(ours), bins.reshape(len(bins), -1)
    both = (weights.reshape(index.shape) for weights in (ours, others))
    counts = xp.stack([bincount(index, BINS_PER_CHANNEL**3, weights) for weights in both], axis=1)
    shares = _smooth(counts / counts.sum(axis=-1)[..., None].clip(min=1)) + FLOOR
    odds = xp.log(shares[:, 0] / shares[:, 1])
    return gather(odds, index).reshape(bins.shape)


def _count(bins: AnyArray, places: _Places) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Give the smoothed histograms of the places, each (B, K) shares of its pixels."""
    xp, B, K = array_namespace(bins), len(bins), BINS_PER_CHANNEL**3
    # The close are among those beyond: each pixel is counted once, and these are added up after.
    place = xp.where(places.core, 0, xp.where(places.close, 1, xp.where(places.beyond, 2, 3)))
    counts = bincount((place * K + bins).reshape(B, -1), 4 * K).reshape(B, 4, K)
    core, close, farther = counts[:, 0], counts[:, 1], counts[:, 2]
    whole = xp.stack((core, close + farther, close), axis=1)
    shares = _smooth(whole / whole.sum(axis=-1)[..., None].clip(min=1))
    return shares[:, 0], shares[:, 1], shares[:, 2]


def _smooth(shares: AnyArray) -> AnyArray:
    """Let each colour of (B, P, K) histograms count for its neighbours, too."""
    spread = new_array(shares, SMOOTHING_MATRIX)
    cube, xp = (
        shares.reshape(-1, BINS_PER_CHANNEL, BINS_PER_CHANNEL, BINS_PER_CHANNEL),
        array_namespace(shares),
    )
    for _ in range(3):  # along blue, green, then red
        mixed = cube.reshape(-1, BINS_PER_CHANNEL) @ spread
        cube = xp.moveaxis(mixed.reshape(cube.shape), -1, 1)
    return cube.reshape(shares.shape)


def _spread() -> np.ndarray:
    """Give the (LEVELS, LEVELS) matrix that lets each level count for its neighbours."""
    matrix = np.zeros((BINS_PER_CHANNEL, BINS_PER_CHANNEL), np.float32)
    for level in range(BINS_PER_CHANNEL):
        for step, share in zip((-1, 0, 1), SMOOTHING, strict=True):
            matrix[level, min(max(level + step, 0), BINS_PER_CHANNEL - 1)] += share
    return matrix


SMOOTHING_MATRIX = _spread()


def _box_sums(sums: AnyArray, boxes: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Sum a belief over (B, N, 4) boxes in crop pixels; also the (B, N) areas in cells."""
    xp, n = array_namespace(sums), math.isqrt(sums.shape[1]) - 1
    edges = xp.asarray(xp.round(boxes / BIN_STRIDE).clip(0, n), dtype=xp.int64)
    x0, y0, x1, y1 = xp.moveaxis(edges, -1, 0)
    x0, y0 = x0.clip(max=n - 1), y0.clip(max=n - 1)
    x1, y1 = xp.maximum(x1, x0 + 1), xp.maximum(y1, y0 + 1)  # a box has a cell at least
    corners = ((y1, x1, 1), (y0, x1, -1), (y1, x0, -1), (y0, x0, 1))
    total = sum(sign * gather(sums, y * (n + 1) + x) for y, x, sign in corners)
    return total, xp.asarray((x1 - x0) * (y1 - y0), dtype=xp.float32)
