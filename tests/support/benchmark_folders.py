"""Write benchmarks of a few small images, each in its own layout."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cyclesiam.evaluation.results.label_maps import write_labels

HEIGHT, WIDTH = 40, 120


def write_rows(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{n:g}" for n in row) + "\n" for row in rows))


def write_images(folder: Path, count: int, *, first: int = 1, digits: int = 8, value=0) -> None:
    """Write gray images of 120 x 40; `value` is their brightness, or one for each."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.broadcast_to(value, count)
    for number, brightness in enumerate(values, start=first):
        image = np.full((HEIGHT, WIDTH, 3), brightness, np.uint8)
        cv2.imwrite(str(folder / f"{number:0{digits}}.jpg"), image)


def make_otb(root: Path, sequences: dict[str, list], *, value=0) -> Path:
    """Write an OTB folder from names and rows x, y, w, h that count from 1."""
    for name, rows in sequences.items():
        write_rows(root / name / "groundtruth_rect.txt", rows)
        write_images(root / name / "img", len(rows), digits=4, value=value)
    return root


def make_vot(root: Path, sequences: dict[str, list], *, tags=()) -> Path:
    """Write a VOT folder from names and regions; tags are (name, tag, flags)."""
    for name, rows in sequences.items():
        write_rows(root / name / "groundtruth.txt", rows)
        write_images(root / name / "color", len(rows))
    for name, tag, flags in tags:
        write_rows(root / name / f"{tag}.tag", [[flag] for flag in flags])
    return root


def make_got10k(root: Path, sequences: dict[str, list], cover: list[int]) -> Path:
    """Write GOT-10k's validation set from names and rows x, y, w, h; all have the same cover."""
    for name, rows in sequences.items():
        write_rows(root / "val" / name / "groundtruth.txt", rows)
        write_rows(root / "val" / name / "cover.label", [[level] for level in cover])
        write_images(root / "val" / name, len(rows))
    (root / "val" / "list.txt").write_text("\n".join(sequences) + "\n")
    return root


def make_davis(root: Path, sequences: dict[str, list[np.ndarray]], year: int = 2017) -> Path:
    """Write a DAVIS folder from names and label maps (40, 120)."""
    for name, maps in sequences.items():
        write_images(root / "JPEGImages" / "480p" / name, len(maps), first=0, digits=5)
        folder = root / "Annotations" / "480p" / name
        folder.mkdir(parents=True)
        for number, labels in enumerate(maps):
            write_labels(folder / f"{number:05}.png", labels)
    listing = root / "ImageSets" / str(year) / "val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("\n".join(sequences) + "\n")
    return root


def labels(*boxes) -> np.ndarray:
    """Return a label map with boxes numbered 1, 2 ..., each left, top, right, bottom."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (left, top, right, bottom) in enumerate(boxes, start=1):
        labels[top:bottom, left:right] = number
    return labels


def save_gray(path: Path, labels: np.ndarray) -> None:
    Image.fromarray(labels).save(path)
