"""Cut-outs of whole objects from stills that nobody annotated.

People photograph a thing in the middle of the image. So GrabCut takes the image's border for
background, and keeps what differs from it in color. Where that is one compact region, it is an
object in its true shape. It can be pasted elsewhere with a known box and mask.

Shapes: (H, W, 3) images; a sprite is described in `sprites`.

Source: GrabCut (Rother et al., SIGGRAPH 2004), started from a rectangle.
"""

from pathlib import Path

import cv2
import numpy as np

from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.sprites import MAX_SPRITE_SIZE, SPRITE_FILL, Sprite

ROUNDS = 3  # of GrabCut; more change next to nothing
IMAGE_SIZE = 96  # longer side in pixels of the image that is segmented: GrabCut's time grows fast
BORDER_RATIO = 0.1  # width of the border that is background, over the image's sides
# Outside these ratios of the image's area, a region is a detail or the scene itself.
MIN_AREA, MAX_AREA = 0.04, 0.5
MIN_FILL = 0.35  # ratio of its box that an object fills; a frame or a twig fills less
MIN_DOMINANCE = 0.6  # ratio of all foreground in the largest region; else there are several things
MAX_TOUCHED_BORDERS = 1  # a thing may stand on one side; at a second one it is probably cropped


def segment_object(image: np.ndarray) -> np.ndarray | None:
    """Segment the object of an image, if one stands out from the border.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (h, w) uint8 mask, 1 on the object, of the image reduced to `IMAGE_SIZE`; None where there
        is no single compact object.
    """
    scale = IMAGE_SIZE / max(image.shape[:2])
    h, w = (max(round(side * scale), 16) for side in image.shape[:2])
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    rows, columns = round(h * BORDER_RATIO), round(w * BORDER_RATIO)
    labels = np.full((h, w), cv2.GC_BGD, np.uint8)
    labels[rows : h - rows, columns : w - columns] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)  # the same image gives the same object
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore
    foreground = cv2.morphologyEx(labels & 1, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, regions, statistics, _ = cv2.connectedComponentsWithStats(foreground)
    if len(statistics) < 2:
        return None
    best = 1 + int(statistics[1:, 4].argmax())
    left, top, width, height, area = statistics[best].tolist()
    touched = (left <= columns, top <= rows, left + width >= w - columns, top + height >= h - rows)
    is_object = (
        MIN_AREA <= area / (h * w) <= MAX_AREA
        and area >= MIN_FILL * width * height
        and area >= MIN_DOMINANCE * foreground.sum()
        and sum(touched) <= MAX_TOUCHED_BORDERS
    )
    return (regions == best).astype(np.uint8) if is_object else None


def object_cutout(image: np.ndarray, mask: np.ndarray) -> Sprite:
    """Return what a mask (H, W) covers of an (H, W, 3) image, as a sprite of its own aspect."""
    x0, y0, x1, y1 = mask_to_box(mask)
    width, height = x1 - x0, y1 - y0
    # The object spans `SPRITE_FILL` of the sprite, both ways.
    window = ((x0 + x1) / 2, (y0 + y1) / 2, width / SPRITE_FILL, height / SPRITE_FILL)
    size = (MAX_SPRITE_SIZE, MAX_SPRITE_SIZE)
    matrix = crop_to_image_matrix(window, size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(image, matrix, size, flags=flags)
    shape = cv2.warpAffine(mask.astype(np.float32), matrix, size, flags=flags)
    alpha = cv2.GaussianBlur((shape > 0.5).astype(np.float32), (3, 3), 0)
    return Sprite(pixels, alpha, width / height)


class ObjectBank:
    """The objects of images, each segmented once and kept by its path."""

    def __init__(self) -> None:
        self._masks: dict[Path, np.ndarray | None] = {}  # small ones
        self._sprites: dict[Path, Sprite] = {}

    def mask(self, path: Path, image: np.ndarray) -> np.ndarray | None:
        """Return the (H, W) uint8 mask of an image, 255 on its object; None without an object."""
        if path not in self._masks:
            self._masks[path] = segment_object(image)
        small = self._masks[path]
        if small is None:
            return None
        resized = cv2.resize(small.astype(np.float32), image.shape[1::-1])
        return np.where(resized > 0.5, np.uint8(255), np.uint8(0))

    def sprite(self, path: Path, image: np.ndarray) -> Sprite | None:
        """Return the cut-out object of an image; None without an object."""
        if path not in self._sprites:
            mask = self.mask(path, image)
            if mask is None:
                return None
            self._sprites[path] = object_cutout(image, mask > 0)
        return self._sprites[path]
