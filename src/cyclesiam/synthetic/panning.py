"""Views of images: what part of an image a canvas shows, and how it drifts over a still.

Shapes: T frames of the canvas's (H, W).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.geometry.crops import crop_to_image_matrix

INSIDE = 0.75, 1.0  # zooms of views that show nothing beyond the image's border


@dataclass(frozen=True, eq=False)
class View:
    """What a canvas shows of an image, or of a mask.

    Args:
        image: (h, w, 3) uint8, or a mask (h, w) uint8. Outside, an image is mirrored and a mask 0.
        window: cxcywh in pixels of the image.
        canvas: height, width.
        mirrored: whether left and right are swapped.
    """

    image: np.ndarray
    window: np.ndarray
    canvas: tuple[int, int]
    mirrored: bool

    @property
    def to_image(self) -> np.ndarray:
        """The (2, 3) affine map from pixel indices of the canvas, unmirrored, to the image's."""
        return crop_to_image_matrix(self.window.tolist(), (self.canvas[1], self.canvas[0]))

    @cached_property
    def pixels(self) -> np.ndarray:
        """The canvas, (H, W, 3) or (H, W) uint8; it is rendered once."""
        return self._render()

    def render(self, out: np.ndarray) -> None:
        """Write the canvas to a contiguous (H, W, 3) or (H, W) uint8 array."""
        if "pixels" in vars(self):
            out[:] = self.pixels
        else:
            self._render(out)

    def _render(self, out: np.ndarray | None = None) -> np.ndarray:
        border = cv2.BORDER_REFLECT_101 if self.image.ndim == 3 else cv2.BORDER_CONSTANT
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        canvas = cv2.warpAffine(
            self.image, self.to_image, self.canvas[::-1], dst=out, flags=flags, borderMode=border
        )
        return cv2.flip(canvas, 1, dst=canvas) if self.mirrored else canvas


class PannedClip(NamedTuple):
    """Frames of a still through a view that drifts and zooms.

    Args:
        views: T views of the still.
        transforms: from the first frame to each: a scale about the canvas's center, and a shift in
            pixels of the canvas.
    """

    views: list[View]
    transforms: list[tuple[float, np.ndarray]]

    def boxes_of(self, box: np.ndarray) -> np.ndarray:
        """Return the (T, 4) xyxy boxes in all frames of what has a (4,) box in the first."""
        height, width = self.views[0].canvas
        middle = np.array([width, height]) / 2
        boxes = [
            (box.reshape(2, 2) - middle) * scale + middle + at for scale, at in self.transforms
        ]
        return np.stack(boxes).reshape(-1, 4)


def pan_still(
    image: np.ndarray,
    count: int,
    canvas: tuple[int, int],
    rng: np.random.Generator,
    *,
    zooms: tuple[float, float] = INSIDE,
) -> PannedClip:
    """Draw how a view pans over a still.

    Args:
        image: (H, W, 3) uint8.
        count: T, how many frames.
        canvas: (height, width) of the frames.
        rng: random numbers.
        zooms: smallest and largest size of the first view, over the largest inside the image.
    """
    window = first = random_window(image.shape, canvas, rng, zooms=zooms)
    drift = rng.normal(0, 0.02 * min(image.shape[:2]), 2)
    zoom = np.exp(rng.normal(0, 0.04))
    mirrored = rng.random() < 0.5
    transforms, views = [], []
    for _ in range(count):
        views.append(View(image, window, canvas, mirrored))
        shift = (first[:2] - window[:2]) * canvas[0] / window[3]
        transforms.append((first[3] / window[3], shift * (-1, 1) if mirrored else shift))
        window = np.concatenate((window[:2] + drift, window[2:] * zoom))
    return PannedClip(views, transforms)


def random_window(
    shape: tuple[int, ...],
    canvas: tuple[int, int],
    rng: np.random.Generator,
    *,
    zooms: tuple[float, float] = INSIDE,
) -> np.ndarray:
    """Draw a window (cx, cy, w, h) of the canvas's aspect, in pixels of the image.

    Args:
        shape: of the image: height, width.
        canvas: height, width.
        rng: random numbers.
        zooms: smallest and largest size of the window, over the largest inside the image. Beyond
            1, a window holds the image's whole width or height.
    """
    height, width = shape[:2]
    scale = min(height / canvas[0], width / canvas[1]) * rng.uniform(*zooms)
    w, h = canvas[1] * scale, canvas[0] * scale
    near, far = np.sort([[w / 2, width - w / 2], [h / 2, height - h / 2]]).T
    x, y = rng.uniform(near, far)
    return np.array([x, y, w, h])
