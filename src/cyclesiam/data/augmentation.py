"""Augmentation of crops and crop windows, on the device that they are on.

Shapes: B crops, S pixels on a side. Random numbers come from the caller's generator.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.degradation import DegradationConfig
from cyclesiam.data.row_rng import Rng, rand_rows, randn_shared, sample_rows

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationConfig:
    """How strongly crops are augmented; a larger value changes more.

    Source: shifts, scales, blur and gray of the published SiamMask configurations.
    """

    template_shift: float = 4.0
    """Largest shift of the template window, in crop pixels."""
    template_scale: float = 0.05
    """Largest relative change of the template window's size."""
    search_shift: float = 64.0
    """Largest shift of the search window, in crop pixels."""
    search_scale: float = 0.18
    """Largest relative change of the search window's size."""
    search_aspect: float = 0.0
    """Largest relative change of the search window's aspect."""
    blur: float = 0.18
    """Ratio of crops that are blurred."""
    gray: float = 0.25
    """Ratio of clips that are shown in gray."""
    color: float = 0.2
    """Largest relative change of brightness, contrast, saturation and color balance."""
    noise: float = 0.0
    """Largest standard deviation of pixel noise, in 0..255."""
    occlusion_probability: float = 0.0
    """Ratio of search crops in which a rectangle is covered by another crop's pixels."""
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    """What worsens crops as cameras and compression do; nothing by default."""

    def __post_init__(self) -> None:
        for name in ("blur", "gray", "occlusion_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 <= self.search_scale < 1 or not 0 <= self.template_scale < 1:
            raise ValueError(
                f"scale changes must lie in 0..1, got {self.search_scale}, {self.template_scale}"
            )


def jitter_windows(
    windows: Tensor,
    crop_size: int,
    *,
    shift: float,
    scale: float,
    aspect: float = 0.0,
    generator: Rng,
) -> Tensor:
    """Shift and resize windows at random.

    Args:
        windows: (B, 4) cxcywh in image pixels.
        crop_size: side of the crops that are taken from them, in pixels.
        shift: largest shift along each axis, in crop pixels.
        scale: largest relative change of size; as often smaller as larger.
        aspect: largest relative change of aspect.
        generator: source of random numbers.

    Returns:
        (B, 4) cxcywh.
    """
    draws = 2 * rand_rows(generator, len(windows), 4) - 1
    center, size = windows[:, :2], windows[:, 2:]
    center = center + draws[:, :2] * shift * size / crop_size
    stretch = (1 + aspect) ** (draws[:, 3:] / 2)
    size = size * (1 + scale) ** draws[:, 2:3] * torch.cat((stretch, 1 / stretch), dim=-1)
    return torch.cat((center, size), dim=-1)


def jitter_colors(
    crops: Tensor,
    config: AugmentationConfig,
    generator: Rng,
    *,
    gray: Tensor | None = None,
) -> Tensor:
    """Change light, color, sharpness and noise of crops, each crop separately.

    Args:
        crops: (B, 3, S, S) in 0..255.
        config: how strongly.
        generator: source of random numbers, on the crops' device.
        gray: (B,) bool, which crops lose all color; none by default.

    Returns:
        (B, 3, S, S) in 0..255.
    """
    B = len(crops)

    def factor(*shape: int) -> Tensor:
        return 1 + config.color * (2 * rand_rows(generator, B, *shape) - 1)

    crops = crops.contiguous()  # channels apart: a CPU is slow at three numbers a pixel
    blurred = sample_rows(generator, B, config.blur)
    crops = crops.index_copy(0, blurred, _soften(crops[blurred]))
    saturation, contrast, light = factor(1, 1), factor(1, 1), factor(3, 1)
    if gray is not None:
        saturation = saturation.masked_fill(gray[:, None, None], 0.0)
    crops = _mix_colors(crops, saturation, contrast, light)
    if config.noise:
        amount = rand_rows(generator, B, 1, 1, 1) * config.noise
        pattern = randn_shared(generator, crops.shape[1:])
        crops = crops.addcmul_(amount, pattern)
    return crops.clamp_(0, 255)


def _soften(crops: Tensor) -> Tensor:
    """Average (B, 3, S, S) crops over 5 x 5 pixels: along columns, then along rows."""
    for kernel, padding in (((5, 1), (2, 0)), ((1, 5), (0, 2))):
        crops = F.avg_pool2d(crops, kernel, 1, padding, count_include_pad=False)
    return crops


def _mix_colors(crops: Tensor, saturation: Tensor, contrast: Tensor, light: Tensor) -> Tensor:
    """Change saturation, contrast about the mean gray, and the light of each channel.

    All three are linear in a pixel's color. Together they are one matrix and one shift per crop.

    Args:
        crops: (B, 3, S, S).
        saturation: (B, 1, 1) factor.
        contrast: (B, 1, 1) factor.
        light: (B, 3, 1) factors.
    """
    luma = crops.new_tensor(LUMA)
    mean = (crops.mean(dim=(-2, -1)) * luma).sum(dim=1)[:, None, None]
    mixed = saturation * torch.eye(3, device=crops.device) + (1 - saturation) * luma
    with torch.autocast(crops.device.type, enabled=False):  # colors have more than bf16's 8 bits
        shift, matrix = light * (1 - contrast) * mean, light * contrast * mixed
        pixels = torch.baddbmm(shift, matrix, crops.flatten(2))
    return pixels.reshape(crops.shape)


def occlude(crops: Tensor, probability: float, generator: Rng) -> Tensor:
    """Cover a part of some crops with the pixels of another.

    Args:
        crops: (B, 3, S, S).
        probability: that a crop is covered, 0..1.
        generator: source of random numbers, on the crops' device.

    Returns:
        (B, 3, S, S); in the covered crops, a rectangle with sides of 10 to 25 % of the crop shows
        the pixels of another crop.
    """
    B, _, S, _ = crops.shape
    crops = crops.contiguous()
    draws = rand_rows(generator, B, 5)
    center, half = draws[:, :2] * S, (0.05 + 0.075 * draws[:, 2:4]) * S
    pixels = torch.arange(S, device=crops.device) + 0.5
    columns = (pixels - center[:, :1]).abs() < half[:, :1]  # (B, S)
    rows = (pixels - center[:, 1:]).abs() < half[:, 1:]
    covered = columns[:, None, None, :] & rows[:, None, :, None]
    covered = covered & (draws[:, 4] < probability)[:, None, None, None]
    return torch.where(covered, crops.roll(1, dims=0), crops)
