"""Views of images: what part of an image a canvas shows, and how it drifts over a still.

Shapes: T frames of the canvas's (H, W).
"""

from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.geometry.crops import crop_to_image_matrix

INSIDE = 0.75, 1.0  # zooms of views that show nothing beyond the image's border


class PannedClip(NamedTuple):
    """Frames of a still through a view that drifts and zooms.

    Args:
        frames: each (H, W, 3) uint8.
        transforms: from the first frame to each: a scale about the canvas's center, and a shift in
            pixels of the canvas.
        views: T views, cxcywh in pixels of the image.
        mirrored: whether left and right are swapped.
    """

    frames: list[np.ndarray]
    transforms: list[tuple[float, np.ndarray]]
    views: list[np.ndarray]
    mirrored: bool

    def boxes_of(self, box: np.ndarray) -> np.ndarray:
        """Return the (T, 4) xyxy boxes in all frames of what has a (4,) box in the first."""
        height, width = self.frames[0].shape[:2]
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
    """Pan over a still.

    Args:
        image: (H, W, 3) uint8.
        count: T, how many frames.
        canvas: (height, width) of the frames.
        rng: random numbers.
        zooms: smallest and largest size of the first view, over the largest inside the image.
    """
    view = first = random_view(image.shape, canvas, rng, zooms=zooms)
    drift = rng.normal(0, 0.02 * min(image.shape[:2]), 2)
    zoom = np.exp(rng.normal(0, 0.04))
    mirrored = rng.random() < 0.5
    frames, transforms, views = [], [], []
    for _ in range(count):
        views.append(view)
        frames.append(render_view(image, view, canvas, mirrored))
        shift = (first[:2] - view[:2]) * canvas[0] / view[3]
        transforms.append((first[3] / view[3], shift * (-1, 1) if mirrored else shift))
        view = np.concatenate((view[:2] + drift, view[2:] * zoom))
    return PannedClip(frames, transforms, views, mirrored)


def random_view(
    shape: tuple[int, ...],
    canvas: tuple[int, int],
    rng: np.random.Generator,
    *,
    zooms: tuple[float, float] = INSIDE,
) -> np.ndarray:
    """Draw a view (cx, cy, w, h) of the canvas's aspect, in pixels of the image.

    Args:
        shape: of the image: height, width.
        canvas: height, width.
        rng: random numbers.
        zooms: smallest and largest size of the view, over the largest inside the image. Beyond 1,
            a view holds the image's whole width or height.
    """
    height, width = shape[:2]
    scale = min(height / canvas[0], width / canvas[1]) * rng.uniform(*zooms)
    w, h = canvas[1] * scale, canvas[0] * scale
    near, far = np.sort([[w / 2, width - w / 2], [h / 2, height - h / 2]]).T
    x, y = rng.uniform(near, far)
    return np.array([x, y, w, h])


def render_view(
    image: np.ndarray,
    view: np.ndarray,
    canvas: tuple[int, int],
    mirrored: bool,
    *,
    bare: bool = False,
) -> np.ndarray:
    """Resize a view of an image to the canvas.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        view: cxcywh in pixels of the image.
        canvas: height, width.
        mirrored: swap left and right.
        bare: show black outside the image; by default, its border is mirrored.
    """
    size = (canvas[1], canvas[0])
    rendered = cv2.warpAffine(
        image,
        crop_to_image_matrix(view.tolist(), size),
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if bare else cv2.BORDER_REFLECT_101,
    )
    return cv2.flip(rendered, 1) if mirrored else rendered
