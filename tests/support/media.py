"""Small videos and images that tests generate."""

from fractions import Fraction
from pathlib import Path

import av
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


def encode(path, images, *, x264="", codec="libx264", pix_fmt="yuv420p", times=None):
    """Write a file directly with PyAV, in any container and with any GOP structure."""
    with av.open(str(path), "w") as container:
        options = {"x264-params": x264} if x264 else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def noise_frames(count, height=48, width=64, seed=0):
    """Frames that no two are alike, and too rich for a codec to throw away."""
    rng = np.random.default_rng(seed)
    wide = cv2.blur(rng.integers(0, 256, (height, width + 3 * count, 3), dtype=np.uint8), (3, 3))
    return [np.ascontiguousarray(wide[:, 3 * t : 3 * t + width]) for t in range(count)]
