"""Sprites: cut-outs with an alpha, how they deform, and how a frame shows them.

Shapes: frames are (H, W, 3) uint8; a sprite is (S, S, 3) pixels and an (S, S) alpha.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.geometry.masks import mask_to_box

SPRITE_FILL = 0.75  # ratio of a sprite's side that its shape spans; the rest is room to deform
MIN_SPRITE_SIZE, MAX_SPRITE_SIZE = 24, 128  # sides in pixels: about as large as they are shown


class Sprite(NamedTuple):
    """A cut-out.

    Args:
        pixels: (S, S, 3) uint8; of a plan, a part of an image in any size.
        alpha: (S, S) float32 in 0..1.
        aspect: width over height of the object that it shows.
    """

    pixels: np.ndarray
    alpha: np.ndarray
    aspect: float = 1.0

    @property
    def side(self) -> int:
        """Side of the sprite in pixels, S."""
        return len(self.alpha)

    def resized(self) -> "Sprite":
        """Return the sprite with its pixels resized to (S, S, 3)."""
        if self.pixels.shape[:2] == self.alpha.shape:
            return self
        method = cv2.INTER_AREA if len(self.pixels) > self.side else cv2.INTER_LINEAR
        pixels = cv2.resize(self.pixels, (self.side, self.side), interpolation=method)
        return self._replace(pixels=pixels)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a sprite is in a frame.

    Args:
        center: x, y in pixels.
        size: width and height of the whole sprite, in pixels.
        angle: in radians.
        shear: shift of the sprite to its side, over the height that it belongs to.
    """

    center: np.ndarray
    size: np.ndarray
    angle: float
    shear: float = 0.0

    def to_frame(self, side: int, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Return the (2, 3) affine map from pixel indices of a sprite to those of the frame.

        Args:
            side: of the sprite in pixels, S.
            corner: column and row of the frame that indices count from.
        """
        linear = self.rotated_size / side
        # the sprite's center comes to the pose's; pixel i is sampled at i + 0.5
        offset = self.center - 0.5 - corner - linear @ np.full(2, side / 2 - 0.5)
        return np.column_stack((linear, offset))

    @property
    def rotated_size(self) -> np.ndarray:
        """The (2, 2) map from the unit square to pixels."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rotation, slant = np.array([[cos, -sin], [sin, cos]]), np.array([[1, self.shear], [0, 1]])
        return rotation @ slant * self.size


class Deformation(NamedTuple):
    """How shape and light of a sprite change.

    Args:
        shifts: (4, 4, 2) float32, where to sample a grid of points from, in pixels of the sprite.
        gain: (3,) float32 factor of each color.
    """

    shifts: np.ndarray
    gain: np.ndarray

    def apply(self, sprite: Sprite) -> Sprite:
        """Return a sprite, changed."""
        side = sprite.side
        field = cv2.resize(self.shifts, (side, side), interpolation=cv2.INTER_CUBIC)
        x, y = _pixel_grid(side)
        sampled = x + field[..., 0], y + field[..., 1]
        pixels = cv2.remap(
            sprite.pixels, *sampled, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        alpha = cv2.remap(sprite.alpha, *sampled, cv2.INTER_LINEAR)
        levels = np.arange(256, dtype=np.float32)[:, None]
        lit = np.clip(levels * self.gain, 0, 255).astype(np.uint8)
        return Sprite(cv2.LUT(pixels, lit[None]), alpha, sprite.aspect)


class Patch(NamedTuple):
    """A sprite as a frame shows it, in the rectangle that holds it.

    Args:
        left, top: first column and row of the rectangle in the frame.
        pixels: (h, w, 3) uint8.
        alpha: (h, w) float32 in 0..1.
    """

    left: int
    top: int
    pixels: np.ndarray
    alpha: np.ndarray

    @property
    def box(self) -> np.ndarray:
        """The (4,) xyxy of its opaque pixels in the frame; NaN without any."""
        return mask_to_box(self.alpha > 0.5) + np.array([self.left, self.top] * 2)

    def paste_on(self, frame: np.ndarray) -> None:
        """Paste it on a frame (H, W, 3) uint8, in place."""
        part = self._within(frame)
        change = cv2.subtract(self.pixels, part, dtype=cv2.CV_32F)
        cv2.multiply(change, cv2.merge((self.alpha,) * 3), dst=change)
        part[:] = cv2.add(part, change, dst=change, dtype=cv2.CV_32F)  # numpy truncates

    def set_values(self, mask: np.ndarray, value: float) -> None:
        """Move a mask (H, W) float32 to a value where the sprite is opaque, in place."""
        part = self._within(mask)
        part += (value - part) * self.alpha

    def _within(self, frame: np.ndarray) -> np.ndarray:
        height, width = self.alpha.shape
        return frame[self.top : self.top + height, self.left : self.left + width]


def warp_sprite(sprite: Sprite, pose: Pose, frame_size: tuple[int, ...]) -> Patch | None:
    """Return a sprite as a frame of (height, width) shows it; None where it shows nothing."""
    height, width = frame_size
    reach = np.abs(pose.rotated_size).sum(axis=1) / 2
    x0, y0 = np.floor(np.maximum(pose.center - reach, 0)).astype(int).tolist()
    x1, y1 = np.ceil(np.minimum(pose.center + reach, (width, height))).astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        return None
    matrix, size = pose.to_frame(sprite.side, (x0, y0)), (x1 - x0, y1 - y0)
    alpha = cv2.warpAffine(sprite.alpha, matrix, size)
    pixels = cv2.warpAffine(sprite.pixels, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    return Patch(x0, y0, pixels, alpha)


def paste_sprite(
    frame: np.ndarray,
    sprite: Sprite,
    pose: Pose,
    mask: np.ndarray | None = None,
    value: float = 1,
) -> np.ndarray:
    """Paste a sprite on a frame, in place.

    Args:
        frame: (H, W, 3) uint8.
        sprite: what to paste.
        pose: where.
        mask: (H, W) float32 that gets `value` in the same pixels, in place.
        value: 1 for the target, 0 for what covers it.

    Returns:
        (4,) xyxy of the sprite's pixels in the frame; NaN where none is in it.
    """
    patch = warp_sprite(sprite, pose, frame.shape[:2])
    if patch is None:
        return np.full(4, np.nan)
    patch.paste_on(frame)
    if mask is not None:
        patch.set_values(mask, value)
    return patch.box


@lru_cache(maxsize=2 * MAX_SPRITE_SIZE)
def _pixel_grid(side: int) -> tuple[np.ndarray, ...]:
    """Return the indices x and y of a sprite's pixels, (S, S) float32 each."""
    steps = np.arange(side, dtype=np.float32)
    return tuple(np.meshgrid(steps, steps))
