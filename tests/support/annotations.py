"""Annotations and images in the layouts of benchmarks, which tests generate."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# 256 colors, so that Pillow keeps eight bits a pixel; the first are those of the benchmarks
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, *range(12, 256), *range(256), *range(256)]


def make_frames(folder: Path, numbers, digits: int = 4, suffix: str = "jpg") -> None:
    """Create empty files: datasets list frames, only `images()` opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:0{digits}}.{suffix}").touch()


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(count: int) -> list[str]:
    return [f"{n},1,5,5" for n in range(1, count + 1)]


def constant_tags(tags) -> list[str]:
    """Return the names of tags that hold in every frame."""
    return [tag for tag, flags in tags.items() if flags.all()]


def labels_of(*boxes, height: int = 20, width: int = 30) -> np.ndarray:
    """Return a label map in which the k-th box (xyxy, or None) has the label k, from 1."""
    labels = np.zeros((height, width), np.uint8)
    for label, box in enumerate(boxes, 1):
        if box is not None:
            x0, y0, x1, y1 = box
            labels[y0:y1, x0:x1] = label
    return labels


def write_labels(path: Path, labels: np.ndarray) -> Path:
    """Write a PNG with a palette, like those of the segmentation benchmarks."""
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
    """Write a frame for each stem in `maps`, and its label map if that is not None."""
    for stem, labels in maps.items():
        write_photo(frames / f"{stem}.jpg")
        if labels is not None:
            write_labels(masks / f"{stem}.png", labels)


ONE = labels_of((3, 4, 10, 15), (12, 2, 20, 9))
VID = "<annotation><object><trackid>0</trackid><bndbox>{}</bndbox></object></annotation>".format(
    "".join(f"<{corner}>5</{corner}>" for corner in ("xmin", "ymin", "xmax", "ymax"))
)


def make_davis(root):
    frames, masks = root / "JPEGImages/480p/cows", root / "Annotations/480p/cows"
    make_segmentation(frames, masks, {f"{number:05}": ONE for number in range(4)})
    return frames


def make_texts(root, frames, truth, first, digits=6):
    make_frames(root / frames, range(first, first + 4), digits)
    write(root / truth, "\n".join(rows_of(4)))
    return root / frames


def make_got10k(root):
    write(root / "val/list.txt", "cows")
    write(root / "val/cows/cover.label", "8\n0\n8\n1\n")
    return make_texts(root, "val/cows", "val/cows/groundtruth.txt", 1, 8)


def make_vid(root):
    for number in range(4):
        write(root / f"Annotations/VID/val/cows/{number:06}.xml", VID)
    make_frames(root / "Data/VID/val/cows", range(4), 6, "JPEG")
    return root / "Data/VID/val/cows"


def make_vot(root):
    write(root / "cows/camera_motion.tag", "0\n1\n1\n0\n")
    return make_texts(root, "cows/color", "cows/groundtruth.txt", 1, 8)


MAKERS = {
    "otb": lambda root: make_texts(root, "cows/img", "cows/groundtruth_rect.txt", 1, 4),
    "uav123": lambda root: make_texts(root, "data_seq/UAV123/cows", "anno/UAV123/cows.txt", 1),
    "lasot": lambda root: make_texts(root, "cow/cow-1/img", "cow/cow-1/groundtruth.txt", 1, 8),
    "got10k": make_got10k,
    "trackingnet": lambda root: make_texts(root, "TEST/frames/cows", "TEST/anno/cows.txt", 0, 1),
    "vot2018": make_vot,
    "vid": make_vid,
    "davis2016": make_davis,
    "davis2017": make_davis,
}
