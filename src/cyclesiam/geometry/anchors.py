"""Anchors: the fixed boxes from which a region-proposal network measures its answers.

Shapes: K anchors (shapes) at each of G x G response positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorConfig:
    """Shapes of the anchors at one position.

    Source: CycleSiam (Yuan et al., IROS 2020), section IV.B: five ratios, scale 8, stride 8.
    """

    ratios: Sequence[float] = (0.33, 0.5, 1.0, 2.0, 3.0)
    """Height over width of each anchor."""
    scale: float = 8.0
    """Side of a square anchor in units of the stride."""
    stride: int = 8
    """Distance of two positions in crop pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(self.ratios))  # JSON knows lists only
        if not self.ratios or min(self.ratios) <= 0 or self.scale <= 0 or self.stride <= 0:
            raise ValueError(f"ratios, scale and stride of anchors must be above zero, got {self}")


def make_anchors(config: AnchorConfig, grid: int, crop_size: int) -> np.ndarray:
    """Lay the anchors over a crop, centred.

    Args:
        config: shapes and spacing.
        grid: positions on a side, G.
        crop_size: side of the crop in pixels.

    Returns:
        (K * G * G, 4) float32 cxcywh in crop pixels: shape by shape, then row by row. The positions
        lie symmetrically about the crop's centre; every anchor has the area of the square one.
    """
    ratios = np.array(config.ratios, np.float32)
    side = config.scale * config.stride
    sizes = np.stack((side / np.sqrt(ratios), side * np.sqrt(ratios)), axis=-1)  # (K, 2) w, h
    steps = (np.arange(grid, dtype=np.float32) - (grid - 1) / 2) * config.stride + crop_size / 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    centres = np.stack((x, y), axis=-1).reshape(1, grid * grid, 2)
    K = len(config.ratios)
    shapes = (K, grid * grid, 2)
    anchors = np.concat(
        (np.broadcast_to(centres, shapes), np.broadcast_to(sizes[:, None], shapes)), axis=-1
    )
    return anchors.reshape(-1, 4)
