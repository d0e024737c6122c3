"""Annotations and pictures in the layouts of benchmarks, right and wrong ones, made on the spot."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# 256 colours, so that Pillow keeps eight bits a pixel; the first are those of the benchmarks
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, *range(12, 256), *range(256), *range(256)]


def make_frames(folder: Path, numbers, digits: int = 4, suffix: str = "jpg") -> None:
    """Empty files: readers list frames, only `images()` opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:0{digits}}.{suffix}").touch()


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(count: int) -> list[str]:
    return [f"{n},1,5,5" for n in range(1, count + 1)]


def labels_of(*boxes, height: int = 20, width: int = 30) -> np.ndarray:
    """Label map in which the k-th box (xyxy, or None) has the label k, from 1."""
    labels = np.zeros((height, width), np.uint8)
    for label, box in enumerate(boxes, 1):
        if box is not None:
            x0, y0, x1, y1 = box
            labels[y0:y1, x0:x1] = label
    return labels


def write_labels(path: Path, labels: np.ndarray) -> Path:
    """A PNG with a palette, as the segmentation benchmarks have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    image.putpalette(PALETTE)
    image.save(path)
    return path


def write_photo(path: Path, height: int = 20, width: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def make_segmentation(frames: Path, masks: Path, maps: dict[str, np.ndarray | None]) -> None:
    """Frames of the given stems, and a label map for each that is not None."""
    for stem, labels in maps.items():
        write_photo(frames / f"{stem}.jpg")
        if labels is not None:
            write_labels(masks / f"{stem}.png", labels)
