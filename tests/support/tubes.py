"""Small made videos with things that move over a textured background."""

from collections.abc import Callable

import cv2
import numpy as np

HEIGHT, WIDTH = 144, 208
COUNT = 28


def texture(seed: int, height: int, width: int, color: tuple[int, int, int]) -> np.ndarray:
    """Return a textured (height, width, 3) uint8 image around a color."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 40, (height // 4 + 1, width // 4 + 1, 1)).astype(np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine[..., None] + np.array(color), 0, 255).astype(np.uint8)


BACKGROUND = texture(0, HEIGHT, WIDTH + COUNT + 1, (70, 130, 70))


def make_video(
    *paths: Callable[[int], tuple[int, int]], side: int = 32, count: int = COUNT
) -> list[np.ndarray]:
    """Return frames that pan over a background, with a textured square on each path (x, y)."""
    colors = (200, 60, 50), (60, 60, 210), (220, 210, 60)
    squares = [texture(1 + n, side, side, color) for n, color in enumerate(colors[: len(paths)])]
    frames = []
    for number in range(count):
        frame = BACKGROUND[:, number : number + WIDTH].copy()
        for square, path in zip(squares, paths, strict=True):
            x, y = path(number)
            left, right = max(x, 0), max(min(x + side, WIDTH), 0)
            if left < right:
                frame[y : y + side, left:right] = square[:, left - x : right - x]
        frames.append(frame)
    return frames
