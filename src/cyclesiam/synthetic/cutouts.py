"""Cut-outs of whole objects from still pictures that nobody annotated.

Whoever takes a picture of a thing puts it in the middle. So what differs in colour from all that
lies along the picture's border is cut out, where it is one compact region: an object in its true
shape, good to be pasted elsewhere with its box and its mask known.

Shapes: (H, W, 3) pictures; a sprite is as in `compositing`.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import MAX_SPRITE_SIZE, SPRITE_FILL, Sprite

ROUNDS = 3  # of GrabCut; more change next to nothing


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class CutoutConfig:
    """Which regions are taken for objects. Areas are shares of the picture's.

    Source: GrabCut (Rother et al., SIGGRAPH 2004), from a rectangle.
    """

    image_size: int = 96
    """Longer side in pixels of the picture that is cut."""
    border_ratio: float = 0.1
    """Width of the border that is taken for surroundings, over the picture's sides."""
    min_size: float = 0.04
    """Least area of an object."""
    max_size: float = 0.5
    """Greatest area of an object."""
    min_fill: float = 0.35
    """Least share of its box that an object fills."""
    min_dominance: float = 0.6
    """Least share of all that was cut out that belongs to the largest region."""
    max_touched_borders: int = 1
    """Most sides on which an object reaches the border: there, more of it may lie outside."""

    def __post_init__(self) -> None:
        if self.image_size < 32 or not 0 < self.border_ratio < 0.5:
            raise ValueError(
                f"image_size must be 32 or more and border_ratio lie in 0..0.5, got {self}"
            )
        if not 0 < self.min_size < self.max_size <= 1 or not 0 <= self.max_touched_borders <= 4:
            raise ValueError(
                f"0 < min_size < max_size <= 1 and 0..4 max_touched_borders must hold, got {self}"
            )


def segment_object(picture: np.ndarray, config: CutoutConfig) -> np.ndarray | None:
    """Find the object of a picture, if it shows one that stands out from its border.

    Args:
        picture: (H, W, 3) uint8.
        config: what is taken for an object.

    Returns:
        (h, w) uint8 mask, 1 on the object, of the picture reduced to `config.side`; or None.
    """
    scale = config.image_size / max(picture.shape[:2])
    h, w = (max(round(side * scale), 16) for side in picture.shape[:2])
    small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    rows, columns = round(h * config.border_ratio), round(w * config.border_ratio)
    labels = np.full((h, w), cv2.GC_BGD, np.uint8)
    labels[rows : h - rows, columns : w - columns] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)  # the same picture gives the same object
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    cut = cv2.morphologyEx(labels & 1, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, regions, statistics, _ = cv2.connectedComponentsWithStats(cut)
    if len(statistics) < 2:
        return None
    best = 1 + int(statistics[1:, 4].argmax())
    left, top, width, height, area = statistics[best].tolist()
    reached = (left <= columns, top <= rows, left + width >= w - columns, top + height >= h - rows)
    good = (
        config.min_size <= area / (h * w) <= config.max_size
        and area >= config.min_fill * width * height
        and area >= config.min_dominance * cut.sum()
        and sum(reached) <= config.max_touched_borders
    )
    return (regions == best).astype(np.uint8) if good else None


def object_cutout(picture: np.ndarray, mask: np.ndarray) -> Sprite:
    """Cut out of an (H, W, 3) picture what a mask (H, W) holds, as a sprite of its own aspect."""
    x0, y0, x1, y1 = mask_to_box(mask)
    width, height = x1 - x0, y1 - y0
    # What is cut out spans `FILLED` of the sprite, both ways.
    window = ((x0 + x1) / 2, (y0 + y1) / 2, width / SPRITE_FILL, height / SPRITE_FILL)
    matrix = crop_to_image_matrix(window, (MAX_SPRITE_SIZE, MAX_SPRITE_SIZE))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(picture, matrix, (MAX_SPRITE_SIZE, MAX_SPRITE_SIZE), flags=flags)
    shape = cv2.warpAffine(
        mask.astype(np.float32), matrix, (MAX_SPRITE_SIZE, MAX_SPRITE_SIZE), flags=flags
    )
    alpha = cv2.GaussianBlur((shape > 0.5).astype(np.float32), (3, 3), 0)
    return Sprite(pixels, alpha, width / height)


class ObjectBank:
    """The objects of pictures, each looked for once.

    Args:
        config: what is taken for an object.
    """

    def __init__(self, config: CutoutConfig) -> None:
        self.config = config
        self._masks: dict[Path, np.ndarray | None] = {}  # small ones
        self._sprites: dict[Path, Sprite] = {}

    def mask(self, path: Path, picture: np.ndarray) -> np.ndarray | None:
        """Give the (H, W) uint8 mask, 1 on the object, of a picture; None where there is none."""
        if path not in self._masks:
            self._masks[path] = segment_object(picture, self.config)
        small = self._masks[path]
        if small is None:
            return None
        whole = cv2.resize(small.astype(np.float32), picture.shape[1::-1])
        return (whole > 0.5).astype(np.uint8)

    def sprite(self, path: Path, picture: np.ndarray) -> Sprite | None:
        """Give the object of a picture, cut out; None where there is none."""
        if path not in self._sprites:
            mask = self.mask(path, picture)
            if mask is None:
                return None
            self._sprites[path] = object_cutout(picture, mask)
        return self._sprites[path]
