"""Augmentation of crops and crop windows, on the device that they are on.

Shapes: B crops, S pixels on a side. Chance comes from a generator that the caller owns.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.row_rng import Rng, rand_rows, randn_shared, sample_rows

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationConfig:
    """How far crops stray from the plain ones.

    Source: shifts, scales, blur and grey share of the published SiamMask configurations.
    """

    template_shift: float = 4.0
    """Greatest shift of the template window, in crop pixels."""
    template_scale: float = 0.05
    """Greatest relative change of the template window's size."""
    search_shift: float = 64.0
    """Greatest shift of the search window, in crop pixels."""
    search_scale: float = 0.18
    """Greatest relative change of the search window's size."""
    search_aspect: float = 0.0
    """Greatest relative change of the search window's aspect."""
    blur: float = 0.18
    """Share of crops that are blurred."""
    gray: float = 0.25
    """Share of clips that are shown in grey."""
    color: float = 0.2
    """Greatest relative change of brightness, contrast, saturation and colour balance."""
    noise: float = 0.0
    """Greatest deviation of pixel noise, in 0..255."""
    occlusion_probability: float = 0.0
    """Share of search crops in which a rectangle is covered by another crop's pixels."""

    def __post_init__(self) -> None:
        for name in ("blur", "gray", "occlusion_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0..1, got {getattr(self, name)}")
        if not 0 <= self.search_scale < 1 or not 0 <= self.template_scale < 1:
            raise ValueError("scale changes must lie in 0..1")


def jitter_windows(
    windows: Tensor,
    crop_size: int,
    *,
    shift: float,
    scale: float,
    stretch: float = 0.0,
    generator: Rng,
) -> Tensor:
    """Shift and resize windows at random.

    Args:
        windows: (B, 4) cxcywh in image pixels.
        crop_size: side of the crops that they give.
        shift: greatest shift along each axis, in crop pixels.
        scale: greatest relative change of size; as often smaller as larger.
        stretch: greatest relative change of aspect.
        generator: source of chance.

    Returns:
        (B, 4) cxcywh.
    """
    chance = 2 * rand_rows(generator, len(windows), 4) - 1
    centre, size = windows[:, :2], windows[:, 2:]
    centre = centre + chance[:, :2] * shift * size / crop_size
    aspect = (1 + stretch) ** (chance[:, 3:] / 2)
    size = size * (1 + scale) ** chance[:, 2:3] * torch.cat((aspect, 1 / aspect), dim=-1)
    return torch.cat((centre, size), dim=-1)


def jitter_colors(
    crops: Tensor,
    config: AugmentationConfig,
    generator: Rng,
    *,
    grey: Tensor | None = None,
) -> Tensor:
    """Change light, colour, sharpness and noise of crops, each on its own.

    Args:
        crops: (B, 3, S, S) in 0..255.
        config: how far.
        generator: source of chance, on the crops' device.
        grey: (B,) which crops lose all colour; none if it is not given.

    Returns:
        (B, 3, S, S) in 0..255.
    """
    B = len(crops)

    def factor(*shape: int) -> Tensor:
        chance = rand_rows(generator, B, *shape)
        return 1 + config.color * (2 * chance - 1)

    crops = crops.contiguous()  # whole planes: a CPU is slow at three numbers a pixel
    blurred = sample_rows(generator, B, config.blur)
    crops = crops.index_copy(0, blurred, _soften(crops[blurred]))
    saturation, contrast, light = factor(1, 1), factor(1, 1), factor(3, 1)
    if grey is not None:
        saturation = saturation.masked_fill(grey[:, None, None], 0.0)
    crops = _mix_colours(crops, saturation, contrast, light)
    if config.noise:
        amount = rand_rows(generator, B, 1, 1, 1) * config.noise
        pattern = randn_shared(generator, crops.shape[1:])
        crops = crops.addcmul_(amount, pattern)
    return crops.clamp_(0, 255)


def _soften(crops: Tensor) -> Tensor:
    """Average (B, 3, S, S) crops over 5 x 5 pixels: down, then across."""
    for kernel, padding in (((5, 1), (2, 0)), ((1, 5), (0, 2))):
        crops = F.avg_pool2d(crops, kernel, 1, padding, count_include_pad=False)
    return crops


def _mix_colours(crops: Tensor, saturation: Tensor, contrast: Tensor, light: Tensor) -> Tensor:
    """Change saturation about grey, contrast about the mean grey, and the light of each channel.

    All three are linear in a pixel's colour: together they are one matrix and one shift a crop.

    Args:
        crops: (B, 3, S, S).
        saturation: (B, 1, 1) factor.
        contrast: (B, 1, 1) factor.
        light: (B, 3, 1) factors.
    """
    luma = crops.new_tensor(LUMA)
    mean = (crops.mean(dim=(-2, -1)) * luma).sum(dim=1)[:, None, None]
    mixed = saturation * torch.eye(3, device=crops.device) + (1 - saturation) * luma
    with torch.autocast(crops.device.type, enabled=False):  # colours have more than bf16's 8 bits
        shift, matrix = light * (1 - contrast) * mean, light * contrast * mixed
        pixels = torch.baddbmm(shift, matrix, crops.flatten(2))
    return pixels.reshape(crops.shape)


def occlude(crops: Tensor, share: float, generator: Rng) -> Tensor:
    """Cover a part of some crops with the pixels of another.

    Args:
        crops: (B, 3, S, S).
        share: of the crops, 0..1.
        generator: source of chance, on the crops' device.

    Returns:
        (B, 3, S, S); in the covered ones a rectangle with sides of 10 to 25 % of the crop shows
        what another crop shows there.
    """
    B, _, S, _ = crops.shape
    crops = crops.contiguous()
    chance = rand_rows(generator, B, 5)
    middle, half = chance[:, :2] * S, (0.05 + 0.075 * chance[:, 2:4]) * S
    pixels = torch.arange(S, device=crops.device) + 0.5
    across = (pixels - middle[:, :1]).abs() < half[:, :1]  # (B, S)
    down = (pixels - middle[:, 1:]).abs() < half[:, 1:]
    covered = across[:, None, None, :] & down[:, None, :, None]
    covered = covered & (chance[:, 4] < share)[:, None, None, None]
    return torch.where(covered, crops.roll(1, dims=0), crops)
