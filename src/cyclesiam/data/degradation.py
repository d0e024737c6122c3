"""Degradation of crops, as cameras, darkness and compression do it, on the device they are on.

The order is that of the world: blur of lens and motion, light, noise of the sensor, and at last a
stored video of low resolution, compressed in blocks.

Shapes: B crops, S pixels on a side, K kinds of degradation.
"""

from dataclasses import dataclass, fields
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclesiam.data.row_rng import Rng, rand_rows, randn_shared

DOWNSCALES = (1.0, 1.3, 1.8, 2.5, 4.0)  # the first is full resolution
BLUR_RADIUS = 5  # pixels beside the center of a blur's kernel
MIN_QUALITY, MAX_QUALITY = 12, 60  # of JPEG's 1..100
VIDEO_WIDE = 2  # the first kinds belong to a whole video

# ITU-T T.81, annex K.1: luma, then chroma.
QUANTIZATION = (
    (
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ),
    (
        *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
        *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
        *(99,) * 32,
    ),
)
# JFIF: Y, Cb, Cr of R, G, B.
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradationConfig:
    """Ratios of crops that are degraded, by kind, and how strongly; a larger value degrades more.

    Each kind is drawn for itself, so that a crop may have several.
    """

    resolution: float = 0.0
    """Ratio of crops at 1/1.3 to 1/4 of their resolution."""
    compression: float = 0.0
    """Ratio of crops with the blocks of a compressed video."""
    defocus: float = 0.0
    """Ratio of crops blurred by a disk."""
    motion: float = 0.0
    """Ratio of crops blurred along a line."""
    darkness: float = 0.0
    """Ratio of crops with less light and a larger gamma."""
    flatness: float = 0.0
    """Ratio of crops of low contrast."""
    noise: float = 0.0
    """Ratio of crops with the noise of a sensor, which grows with the root of the light."""
    strength: float = 1.0
    """Strongest degradation of each kind, over the strongest there is."""
    shared: float = 0.7
    """Probability that template and search crop have the same resolution and compression."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"{field.name} must lie in 0..1, got {getattr(self, field.name)}")

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each kind, in the order of `draw_degradations`."""
        storage, camera = (self.resolution, self.compression), (self.defocus, self.motion)
        return (*storage, *camera, self.darkness, self.flatness, self.noise)


def draw_degradations(
    count: int, config: DegradationConfig, rng: Rng
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Draw which degradations template and search crops get, each crop separately.

    Resolution and compression mostly belong to the whole video: with probability `config.shared`
    the search crop has those of its template.

    Args:
        count: number of templates, and of search crops.
        config: how many, and how strongly.
        rng: source of random numbers.

    Returns:
        Of the templates and of the search crops, (B, K, 2): the severity of each kind in 0..1, 0
        for none, and a number in 0..1 that chooses among its forms. None without degradations, and
        then nothing is drawn.
    """
    ratios = config.ratios
    if not any(ratios):
        return None, None
    draws = rand_rows(rng, count, 2, len(ratios), 3)
    chosen = draws[..., 0] < draws.new_tensor(ratios)
    severity = (1 - draws[..., 1]) * config.strength  # above zero
    template, search = torch.stack((severity * chosen, draws[..., 2]), dim=-1).unbind(dim=1)
    same = rand_rows(rng, count, 1, 1) < config.shared
    wide = torch.where(same, template[:, :VIDEO_WIDE], search[:, :VIDEO_WIDE])
    return template, torch.cat((wide, search[:, VIDEO_WIDE:]), dim=1)


@torch.no_grad()
def degrade(crops: Tensor, degradations: Tensor | None, rng: Rng) -> Tensor:
    """Degrade crops.

    Args:
        crops: (B, 3, S, S) in 0..255.
        degradations: (B, K, 2) from `draw_degradations`; None leaves the crops as they are.
        rng: source of the noise, on the crops' device.

    Returns:
        (B, 3, S, S) in 0..255; crops without a degradation are unchanged.
    """
    if degradations is None:
        return crops
    crops = crops.clone(memory_format=torch.contiguous_format)
    severity, form = degradations.unbind(dim=-1)
    resolution, compression, defocus, motion, darkness, flatness, noise = severity.unbind(dim=1)
    noise_pattern = _noise_pattern(crops, rng)
    with torch.autocast(crops.device.type, enabled=False):  # colors have more than bf16's 8 bits
        rows = _chosen(defocus, motion)
        if len(rows):
            kernels = _blur_kernels(defocus[rows], motion[rows], form[rows, 3])
            crops[rows] = _convolve(crops[rows], kernels)
        rows = _chosen(darkness, flatness)
        if len(rows):
            crops[rows] = _relight(crops[rows], darkness[rows], flatness[rows], form[rows, 5])
        rows = _chosen(noise)
        if len(rows):
            crops[rows] = _add_noise(crops[rows], noise[rows], noise_pattern)
        level = (resolution * (len(DOWNSCALES) - 1)).ceil()  # 0 for full resolution
        for index, downscale in enumerate(DOWNSCALES):
            rows = _chosen(level == index) if index else _chosen((level == 0) & (compression > 0))
            if len(rows):
                crops[rows] = _store(crops[rows], downscale, compression[rows])
    return crops


def _chosen(*severities: Tensor) -> Tensor:
    """Return the rows in which any of some (B,) numbers is above zero."""
    return torch.stack([severity > 0 for severity in severities]).any(dim=0).nonzero()[:, 0]


def _blur_kernels(defocus: Tensor, motion: Tensor, direction: Tensor) -> Tensor:
    """Return (B, n, n) kernels: a disk, a line, or the line of the disk's width for both.

    Args:
        defocus: (B,) severity, 0 for none.
        motion: (B,) severity, 0 for none.
        direction: (B,) in 0..1, of half a turn.
    """
    steps = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=defocus.device)
    angle = (direction * torch.pi)[:, None, None]
    x, y = steps[None, None, :], steps[None, :, None]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    radius = (defocus * (BLUR_RADIUS - 1.5) + 0.5)[:, None, None]
    half_length = (motion * (BLUR_RADIUS - 0.5))[:, None, None]
    beyond = (along.abs() - half_length).clamp(min=0)
    kernels = (radius + 0.5 - torch.hypot(beyond, across)).clamp(0, 1)  # pixels half inside
    return kernels / kernels.sum(dim=(-2, -1), keepdim=True)


def _convolve(crops: Tensor, kernels: Tensor) -> Tensor:
    """Convolve (B, 3, S, S) crops with (B, n, n) kernels, one each; the border is repeated."""
    B, C, S, _ = crops.shape
    radius = kernels.shape[-1] // 2
    planes = F.pad(crops, (radius,) * 4, mode="replicate").flatten(0, 1)[None]
    weights = kernels[:, None].repeat_interleave(C, dim=0)
    return F.conv2d(planes, weights, groups=B * C).reshape(B, C, S, S)


def _relight(crops: Tensor, darkness: Tensor, flatness: Tensor, veil: Tensor) -> Tensor:
    """Darken (B, 3, S, S) crops, then lay a gray veil of (B,) brightness 0..1 on them."""
    darkness, flatness, veil = (part[:, None, None, None] for part in (darkness, flatness, veil))
    gain, gamma = 1 - 0.65 * darkness, 1 + 0.8 * darkness
    kept = 1 - 0.75 * flatness * (1 - darkness)  # both together would leave no contrast
    dark = (crops / 255).pow_(gamma)  # 0..1
    return dark.mul_(255 * gain * kept).add_((1 - kept) * gain * (40 + 160 * veil))


def _noise_pattern(crops: Tensor, rng: Rng) -> Tensor:
    """Return (3, S, S) normal noise: brightness by pixel, and half as much color by 2 x 2."""
    S = crops.shape[-1]
    color = randn_shared(rng, (3, (S + 1) // 2, (S + 1) // 2)).repeat_interleave(2, dim=1)
    return randn_shared(rng, (1, S, S)) + 0.5 * color.repeat_interleave(2, dim=2)[:, :S, :S]


def _add_noise(crops: Tensor, severity: Tensor, pattern: Tensor) -> Tensor:
    """Add noise whose variance is a part for readout and a part for the light's own grain."""
    deviation = (crops / 255).add_(0.25).sqrt_().mul_((20 * severity)[:, None, None, None])
    return torch.addcmul(crops, deviation, pattern).clamp_(0, 255)


def _store(crops: Tensor, downscale: float, compression: Tensor) -> Tensor:
    """Shrink (B, 3, S, S) crops, compress those with a severity above zero, enlarge them again."""
    S = crops.shape[-1]
    size = max(round(S / downscale), 8)
    if size < S:
        crops = _resize(crops, size)
    rows = _chosen(compression)
    if len(rows):
        # Blocks of a small picture show as large ones: with few bits in each, nothing is left.
        severity = compression[rows] / downscale
        quality = MAX_QUALITY + (MIN_QUALITY - MAX_QUALITY) * severity
        crops = crops.index_copy(0, rows, compress(crops[rows], quality))
    return _resize(crops, S) if size < S else crops


def _resize(crops: Tensor, size: int) -> Tensor:
    """Resize square crops bilinearly; as matrix products, in half of the time on a CPU."""
    S = crops.shape[-1]
    identity = torch.eye(S, device=crops.device)[None, None]
    matrix = F.interpolate(identity, (size, S), mode="bilinear", antialias=True)[0, 0]
    return matrix @ (crops @ matrix.T)


def compress(crops: Tensor, quality: Tensor) -> Tensor:
    """Return what baseline JPEG with 4:2:0 chroma leaves of crops.

    Args:
        crops: (B, 3, S, S) in 0..255.
        quality: (B,) 1..100, as that of libjpeg.

    Returns:
        (B, 3, S, S) in 0..255.

    Source: ITU-T T.81, annexes A.3 and K.1.
    """
    S = crops.shape[-1]
    margin = -S % 16
    padded = F.pad(crops, (0, margin, 0, margin), mode="replicate")
    to_ycbcr = crops.new_tensor(TO_YCBCR)
    planes = (to_ycbcr @ padded.flatten(2)).reshape(padded.shape)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    luma_steps, chroma_steps = (
        (crops.new_tensor(table) * scale[:, None]).round().clamp(1, 255) for table in QUANTIZATION
    )
    luma = _quantize_blocks(planes[:, :1] - 128, luma_steps) + 128
    chroma = _quantize_blocks(F.avg_pool2d(planes[:, 1:], 2), chroma_steps)
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="nearest")
    planes = torch.cat((luma, chroma), dim=1).flatten(2)
    pixels = (to_ycbcr.inverse() @ planes).reshape(padded.shape)
    return pixels.clamp_(0, 255)[..., :S, :S]


def _quantize_blocks(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the DCT of 8 x 8 blocks of (B, C, H, W) planes to multiples of (B, 64) steps."""
    B, C, H, W = planes.shape
    blocks = planes.reshape(B, C, H // 8, 8, W // 8, 8).transpose(3, 4).reshape(B, -1, 64)
    transform = planes.new_tensor(_dct_rows())
    steps = steps[:, None]
    blocks = (blocks @ transform.T).div_(steps).round_().mul_(steps) @ transform
    return blocks.reshape(B, C, H // 8, W // 8, 8, 8).transpose(3, 4).reshape(B, C, H, W)


@cache
def _dct_rows() -> list[list[float]]:
    """Return the orthonormal (64, 64) DCT of a block: a row for each frequency."""
    steps = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(torch.pi / 8 * steps[:, None] * (steps + 0.5)) / 2
    waves[0] /= 2**0.5
    return torch.kron(waves, waves).tolist()
