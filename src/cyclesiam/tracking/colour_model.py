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
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 2  # every second pixel of a crop, both ways: a quarter of the work, and as good
LEVELS = 16  # of each of red, green, blue
NEIGHBOURS = (0.2, 0.6, 0.2)  # a colour counts for the next level, too: light changes
FLOOR = 1e-4  # share of pixels that a colour is taken to have at least
LEAST_CONTRAST = 0.05  # keeps a division finite where target and surroundings look alike


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourConfig:
    """How colours are learnt, and how much they say.

    Source: Staple (Bertinetto et al., CVPR 2016), section 3.3, for histograms that vote beside a
    correlation; DAT (Possegger et al., CVPR 2015) for object against surroundings.
    """

    share: float = 0.6
    """By how much a proposal that holds none of the target's colours is believed less, 0..1, where
    colours tell the target; 0 for no vote."""
    contrast: float = 0.2
    """Difference of belief inside and outside the first box at which the vote has its full share;
    below, it has less."""
    core: float = 0.8
    """Side of the middle part of a box that is taken for the target, over the box's."""
    margin: float = 1.1
    """Side of the box beyond which all is surroundings, over the target's."""
    reach: float = 1.5
    """Side of the box that ends what lies nearby, over the target's: masks are told from that."""
    floor: float = FLOOR
    """Share of pixels that every colour is taken to have at least."""
    rate: float = 0.05
    """Weight of a new frame's histograms."""
    least_score: float = 0.3
    """A target whose score is lower teaches nothing."""

    def __post_init__(self) -> None:
        for name in ("share", "rate", "least_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 < self.core <= self.margin < self.reach or self.floor <= 0 or self.contrast <= 0:
            raise ValueError(
                f"0 < core <= margin < reach, floor > 0, contrast > 0 must hold; got {self}"
            )


class Belief(NamedTuple):
    """How likely each pixel of search crops is the target's.

    Args:
        pixels: (B, n, n) in 0..1.
        sums: (B, (n + 1) ** 2) of all pixels above and to the left of each corner.
    """

    pixels: Tensor
    sums: Tensor


@dataclass(frozen=True, slots=True)
class ColourState:
    """The colours of B targets.

    Args:
        inside: (B, K) share of the target's pixels in each bin.
        outside: (B, K) share of its surroundings' pixels.
        nearby: (B, K) share of the pixels close around the target.
        held: (B,) mean belief inside the first box.
        leaked: (B,) mean belief outside it.
        config: how they learn and vote.
    """

    inside: Tensor
    outside: Tensor
    nearby: Tensor
    held: Tensor
    leaked: Tensor
    config: ColourConfig


def bin_colours(crops: Tensor) -> Tensor:
    """Give the (B, n, n) bins, 0..K - 1, of (B, 3, S, S) crops in 0..255."""
    levels = (crops[..., ::STEP, ::STEP] * (LEVELS / 256)).long()
    red, green, blue = levels.unbind(dim=1)
    return (red * LEVELS + green) * LEVELS + blue


def learn_colours(
    bins: Tensor,
    boxes: Tensor,
    config: ColourConfig,
    masks: Tensor | None = None,
) -> ColourState:
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
    nothing = boxes.new_zeros(len(boxes))
    state = ColourState(*_count(bins, places), nothing, nothing, config)
    belief = believe(state, bins)
    total, cells = belief.pixels.sum(dim=(1, 2)), belief.pixels[0].numel()
    held, area = (part[:, 0] for part in _box_sums(belief.sums, boxes[:, None]))
    leaked = (total - held) / (cells - area).clamp(min=1)
    return replace(state, held=held / area, leaked=leaked)


def believe(state: ColourState, bins: Tensor) -> Belief:
    """Say how likely each pixel of (B, n, n) bins is the target's, and not its surroundings'."""
    pixels = _share(state.inside, state.outside, bins, state.config.floor)
    return Belief(pixels, F.pad(pixels.cumsum(dim=1).cumsum(dim=2), (1, 0, 1, 0)).flatten(1))


def _share(ours: Tensor, others: Tensor, bins: Tensor, floor: float) -> Tensor:
    """Give the share that (B, K) ours have of ours and others, at (B, n, n) bins."""
    odds = (ours + floor) / (ours + others + 2 * floor)
    return odds.gather(1, bins.flatten(1)).reshape(bins.shape)


def mask_beliefs(state: ColourState, bins: Tensor, belief: Belief) -> Tensor:
    """Say of pixels how likely they are the target's, for masks.

    Args:
        state: the colours.
        bins: (B, n, n) of the search crops.
        belief: as `believe` gives it of them.

    Returns:
        (B, 2, n, n): the belief against all surroundings, as the first box had it, inside as 1 and
        outside as 0; and the belief against what is close around the target, 0..1.
    """
    contrast = (state.held - state.leaked).clamp(min=LEAST_CONTRAST)[:, None, None]
    relative = (belief.pixels - state.leaked[:, None, None]) / contrast
    close = _share(state.inside, state.nearby, bins, state.config.floor)
    return torch.stack((relative.clamp(-0.5, 1.5), close), dim=1)


def colour_votes(state: ColourState, belief: Belief, boxes: Tensor) -> Tensor:
    """Say how well boxes hold what has the target's colours, and nothing else.

    Args:
        state: the colours.
        belief: of the search crops, as `believe` gives it.
        boxes: (B, N, 4) xyxy in crop pixels.

    Returns:
        (B, N) overlap of each box with the coloured pixels, as a share of the best, 0..1. The
        belief of a pixel counts as the first box had it: inside as 1, outside as 0.
    """
    leaked = state.leaked[:, None]
    contrast = (state.held - state.leaked).clamp(min=LEAST_CONTRAST)[:, None]
    sums, areas = _box_sums(belief.sums, boxes)
    full = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1) / STEP**2
    shared = torch.minimum(((sums - leaked * areas) / contrast).clamp(min=0), full)
    everything = ((belief.pixels - leaked[..., None]).sum(dim=(1, 2)) / contrast[:, 0]).clamp(min=0)
    overlap = shared / (full + (everything[:, None] - shared).clamp(min=0)).clamp(min=1)
    return overlap / overlap.amax(dim=1, keepdim=True).clamp(min=1e-3)


def held_shares(state: ColourState, belief: Belief, boxes: Tensor) -> Tensor:
    """Say how much of a box has the target's colours.

    Args:
        state: the colours.
        belief: of the search crops, as `believe` gives it.
        boxes: (B, 4) xyxy in crop pixels.

    Returns:
        (B,) mean belief inside: 1 as inside the first box, 0 as outside it; -0.5 to 1.5.
    """
    sums, areas = (part[:, 0] for part in _box_sums(belief.sums, boxes[:, None]))
    contrast = (state.held - state.leaked).clamp(min=LEAST_CONTRAST)
    return ((sums / areas - state.leaked) / contrast).clamp(-0.5, 1.5)


def vote_shares(state: ColourState) -> Tensor:
    """Give the (B,) share of each target's vote: less where colours hardly tell it."""
    contrast = (state.held - state.leaked).clamp(min=0)
    return state.config.share * (contrast / state.config.contrast).clamp(max=1)


def refresh_colours(state: ColourState, bins: Tensor, boxes: Tensor, sure: Tensor) -> ColourState:
    """Learn from a frame, (B, n, n) bins and (B, 4) xyxy boxes, the targets that are (B,) sure."""
    rate = (state.config.rate * sure)[:, None]
    inside, outside, nearby = _count(bins, _divide(bins, boxes, state.config))
    return replace(
        state,
        inside=torch.lerp(state.inside, inside, rate),
        outside=torch.lerp(state.outside, outside, rate),
        nearby=torch.lerp(state.nearby, nearby, rate),
    )


class _Places(NamedTuple):
    """(B, n, n) bool: the middle of boxes, all beyond them, and what is close around them."""

    core: Tensor
    beyond: Tensor
    close: Tensor


def _divide(bins: Tensor, boxes: Tensor, config: ColourConfig) -> _Places:
    n = bins.shape[-1]
    middles = (torch.arange(n, device=boxes.device) + 0.5) * STEP
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    away = (middles - centre[..., None]).abs()  # (B, 2, n)

    def within(scale: float) -> Tensor:
        x, y = (away < scale * half[..., None]).unbind(dim=1)
        return y[:, :, None] & x[:, None, :]

    beyond = ~within(config.margin)
    return _Places(within(config.core), beyond, beyond & within(config.reach))


def log_odds(bins: Tensor, ours: Tensor, others: Tensor) -> Tensor:
    """Say how much more colours belong to some pixels than to others.

    Args:
        bins: (B, n, n) as `bin_colours` gives them.
        ours: (B, n, n) weights of the ones.
        others: (B, n, n) weights of the others.

    Returns:
        (B, n, n) logarithms of how often a pixel's colour is among the ones, over the others.
    """
    index = bins.flatten(1)
    counts = torch.zeros(len(bins), 2, LEVELS**3, device=bins.device)
    for place, weights in enumerate((ours, others)):
        counts[:, place].scatter_add_(1, index, weights.flatten(1).float())
    shares = _smooth(counts / counts.sum(dim=-1, keepdim=True).clamp(min=1)) + FLOOR
    odds = (shares[:, 0] / shares[:, 1]).log()
    return odds.gather(1, index).reshape(bins.shape)


def _count(bins: Tensor, places: _Places) -> tuple[Tensor, Tensor, Tensor]:
    """Give the smoothed histograms of the places, each (B, K) shares of its pixels."""
    B, K = len(bins), LEVELS**3
    # The close are among those beyond: each pixel is counted once, and these are added up after.
    place = torch.full_like(bins, 3)
    for number, pixels in ((2, places.beyond), (1, places.close), (0, places.core)):
        place.masked_fill_(pixels, number)
    counts = torch.zeros(B, 4 * K, device=bins.device)
    index = (place * K + bins).flatten(1)
    counts.scatter_add_(1, index, counts.new_ones(()).expand_as(index))
    core, close, farther, _ = counts.reshape(B, 4, K).unbind(dim=1)
    whole = torch.stack((core, close + farther, close), dim=1)
    inside, outside, nearby = _smooth(whole / whole.sum(dim=-1, keepdim=True).clamp(min=1)).unbind(
        dim=1
    )
    return inside, outside, nearby


def _smooth(shares: Tensor) -> Tensor:
    """Let each colour of (B, P, K) histograms count for its neighbours, too."""
    spread = _spread(shares.device)
    cube = shares.reshape(-1, LEVELS, LEVELS, LEVELS) @ spread  # along blue, green, then red
    cube = (cube.mT @ spread).mT
    cube = (cube.transpose(1, 3) @ spread).transpose(1, 3)
    return cube.reshape(shares.shape)


@lru_cache(maxsize=4)
def _spread(device: torch.device) -> Tensor:
    """Give the (LEVELS, LEVELS) matrix that lets each level count for its neighbours."""
    matrix = torch.zeros(LEVELS, LEVELS)
    for level in range(LEVELS):
        for step, share in zip((-1, 0, 1), NEIGHBOURS, strict=True):
            matrix[level, min(max(level + step, 0), LEVELS - 1)] += share
    return matrix.to(device)


def _box_sums(sums: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Sum a belief over (B, N, 4) boxes in crop pixels; also the (B, N) areas in cells."""
    n = math.isqrt(sums.shape[1]) - 1
    x0, y0, x1, y1 = (boxes / STEP).round().clamp(0, n).long().unbind(dim=-1)
    x0, y0 = x0.clamp(max=n - 1), y0.clamp(max=n - 1)
    x1, y1 = torch.maximum(x1, x0 + 1), torch.maximum(y1, y0 + 1)  # a box has a cell at least
    corners = ((y1, x1, 1), (y0, x1, -1), (y1, x0, -1), (y0, x0, 1))
    total = sum(sign * sums.gather(1, y * (n + 1) + x) for y, x, sign in corners)
    assert isinstance(total, Tensor)
    return total, ((x1 - x0) * (y1 - y0)).float()
