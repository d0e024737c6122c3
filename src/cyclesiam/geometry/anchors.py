"""Anchors: the fixed boxes relative to which a region proposal network predicts boxes.

Shapes: K anchors at each of G x G positions of the response.
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
    """Side of the square anchor over the stride. Larger values suit larger targets."""
    stride: int = 8
    """Distance of two positions in crop pixels. Larger values give larger, sparser anchors."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(self.ratios))  # JSON has lists only
        if not self.ratios or min(self.ratios) <= 0 or self.scale <= 0 or self.stride <= 0:
            raise ValueError(f"ratios, scale and stride of anchors must be above zero, got {self}")


def make_anchors(config: AnchorConfig, response_size: int, crop_size: int) -> np.ndarray:
    """Return the anchors of a crop.

    Args:
        config: shapes and spacing.
        response_size: positions on a side, G.
        crop_size: side of the crop in pixels.

    Returns:
        (K * G * G, 4) float32 cxcywh in crop pixels, by anchor shape, then row, then column. The
        positions lie symmetrically around the center of the crop. All anchors have one area.
    """
    ratios = np.array(config.ratios, np.float32)
    side = config.scale * config.stride
    sizes = np.stack((side / np.sqrt(ratios), side * np.sqrt(ratios)), axis=-1)  # (K, 2) w, h
    K, G = len(config.ratios), response_size
    steps = (np.arange(G, dtype=np.float32) - (G - 1) / 2) * config.stride + crop_size / 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    centers = np.stack((x, y), axis=-1).reshape(1, G * G, 2)
    shape = (K, G * G, 2)
    anchors = np.concat(
        (np.broadcast_to(centers, shape), np.broadcast_to(sizes[:, None], shape)), axis=-1
    )
    return anchors.reshape(-1, 4)
