"""Small videos and images that tests generate."""

from pathlib import Path

import cv2
import numpy as np

from cyclesiam.video import VideoWriter


def textured(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Return an RGB image (height, width, 3) of soft blotches."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def moving_square(count: int, seed: int = 0, step: int = 2) -> list[np.ndarray]:
    """Return frames in which a textured square of 24 pixels moves to the right over blotches."""
    background, square = textured(seed), textured(seed + 100, 24, 24)
    frames = []
    for t in range(count):
        frame = background.copy()
        x = 10 + step * t % 90
        frame[30:54, x : x + 24] = 255 - square
        frames.append(frame)
    return frames


def write_image(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


def write_video(path: Path, frames: list[np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def write_frames(folder: Path, frames: list[np.ndarray], first: int = 1) -> Path:
    for number, frame in enumerate(frames, first):
        write_image(folder / f"{number:05}.png", frame)
    return folder


def write_stills(folder: Path, count: int) -> Path:
    for number in range(count):
        write_image(folder / f"still-{chr(97 + number)}.png", textured(number))
    return folder
