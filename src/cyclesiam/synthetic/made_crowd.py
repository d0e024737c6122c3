"""Many made clips in one picture, side by side: for measuring what many targets cost."""

import math

import numpy as np

from cyclesiam.synthetic.demo_clip import make_demo_clip

WIDTH, HEIGHT = 320, 240  # of each


def make_demo_grid(count: int, frames: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Make a clip with `count` targets, each in a made clip of its own.

    Args:
        count: how many; the same targets come first in a larger crowd, at other places.
        frames: how many.

    Returns:
        T frames, RGB uint8 (H, W, 3), and the (T, count, 4) xyxy boxes in pixels.

    Raises:
        ValueError: there is nothing to make.
    """
    if min(count, frames) < 1:
        raise ValueError(f"count and frames must be 1 or more, got {count} and {frames}")
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    images = [np.zeros((rows * HEIGHT, columns * WIDTH, 3), np.uint8) for _ in range(frames)]
    boxes = np.empty((frames, count, 4))
    for seed in range(count):
        clip = make_demo_clip(seed=seed, frames=frames, width=WIDTH, height=HEIGHT)
        top, left = seed // columns * HEIGHT, seed % columns * WIDTH
        for image, part in zip(images, clip.images, strict=True):
            image[top : top + HEIGHT, left : left + WIDTH] = part
        boxes[:, seed] = clip.boxes + np.tile((left, top), 2)
    return images, boxes
