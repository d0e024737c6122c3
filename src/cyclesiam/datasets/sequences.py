"""One target in one video, in the form that every tracking dataset returns.

T: frames of a sequence. Boxes are xyxy in continuous pixels, NaN where they are unknown.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.datasets.label_policy import first_frame_only
from cyclesiam.errors import DatasetError
from cyclesiam.video import is_image, read_images

RequiredFrames = Literal["all", "some"]
"""Which images of a sequence must be on disk: all, or at least one."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrackingSequence:
    """Frames of a video and the ground truth of one target in it.

    Under a label policy (`enforce_policy`), only the first box of the ground truth is kept.

    Args:
        name: name of the target, unique in its benchmark.
        frames: T image files, in order.
        boxes: (T, 4) xyxy in pixels; a row of NaN where the target is absent or not annotated.
        regions: T regions with the numbers of the annotation file, where that holds more than
            boxes: a rectangle x, y, w, h or a polygon x1, y1, x2, y2 ...; None for boxes alone.
        tags: name of an attribute to (T,) bool, the frames that have it. An attribute of the whole
            sequence holds in every frame.
        visibility: (T,) how much of the target is visible, 0 for nothing; None where it is not
            annotated.

    Raises:
        DatasetError: no frames, or not one box, region, tag and visibility for each frame.
    """

    name: str
    frames: tuple[Path, ...]
    boxes: np.ndarray
    regions: tuple[tuple[float, ...], ...] | None = None
    tags: Mapping[str, np.ndarray] = field(default_factory=dict)
    visibility: np.ndarray | None = None

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes, dtype=np.float64)
        if not self.frames or boxes.shape != (len(self.frames), 4):
            raise DatasetError(
                f"{self.name}: {len(self.frames)} frames, but boxes of shape {boxes.shape}; "
                "every frame needs one box of four numbers. Unpack the sequence again."
            )
        if self.regions is not None and len(self.regions) != len(self.frames):
            raise DatasetError(
                f"{self.name}: {len(self.frames)} frames, but {len(self.regions)} regions. "
                "Unpack the sequence again."
            )
        if first_frame_only():
            boxes[1:] = np.nan
            for name, empty in (("regions", None), ("tags", {}), ("visibility", None)):
                object.__setattr__(self, name, empty)
        boxes.setflags(write=False)
        object.__setattr__(self, "boxes", boxes)
        tags = {tag: self._per_frame(flags, bool, tag) for tag, flags in self.tags.items()}
        object.__setattr__(self, "tags", tags)
        if self.visibility is not None:
            visibility = self._per_frame(self.visibility, np.float64, "visibility")
            object.__setattr__(self, "visibility", visibility)

    def _per_frame(self, values: np.ndarray, dtype: type, what: str) -> np.ndarray:
        """Return a copy (T,) that cannot be written to."""
        values = np.array(values, dtype=dtype)
        if values.shape != (len(self.frames),):
            raise DatasetError(
                f"{self.name}: {len(self.frames)} frames, but {what} of shape {values.shape}; "
                "every frame needs one value. Unpack the sequence again."
            )
        values.setflags(write=False)
        return values

    def __len__(self) -> int:
        return len(self.frames)

    def images(self, first: int = 0) -> Iterator[np.ndarray]:
        """Read the frames one by one from frame `first` on, each (H, W, 3) uint8 RGB.

        Raises:
            SourceError: a frame cannot be read.
        """
        return read_images(self.frames, first)


class TrackingDataset(ABC):
    """A tracking benchmark on disk: names of sequences, each read when it is asked for."""

    names: tuple[str, ...]

    @abstractmethod
    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the sequence called `name`.

        Args:
            name: one of `names`.
            require: which of its images must be on disk. `some` is for scoring results that were
                tracked elsewhere: one image is enough, and `frames` holds the paths of all.

        Raises:
            DatasetError: its frames or its annotation are missing, malformed or disagree.
        """

    def sequences(self) -> Iterator[TrackingSequence]:
        """Read every sequence, in the order of `names`."""
        return map(self.read, self.names)


def boxes_from_xywh(xywh: np.ndarray, *, origin: float = 0.0) -> np.ndarray:
    """Convert a benchmark's rows to xyxy boxes, NaN where a row is no box.

    Args:
        xywh: (T, 4) numbers of the annotation.
        origin: coordinate of the first pixel's left and top edge: 1 for benchmarks that were made
            in MATLAB.

    Returns:
        (T, 4) xyxy in continuous pixels; NaN where a number is not finite or a size not above
        zero, which is how benchmarks write "absent".
    """
    corner, size = xywh[:, :2] - origin, xywh[:, 2:]
    boxes = np.concatenate((corner, corner + size), axis=1)
    known = np.all(np.isfinite(xywh), axis=1) & np.all(size > 0, axis=1)
    return np.where(known[..., None], boxes, np.nan)


def frame_number(path: Path) -> int:
    """Return the number at the end of a frame's file name, -1 if it has none.

    >>> frame_number(Path("img/00012.jpg"))
    12
    """
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1


def image_files(folder: Path) -> tuple[Path, ...]:
    """List the images of a folder by their number, then by name.

    Raises:
        DatasetError: the folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this folder of frames is missing. Unpack it there.")
    paths = (
        path
        for path in folder.iterdir()
        # macOS writes "._NAME" beside each file that it copies; that is not an image
        if is_image(path) and not path.name.startswith(".")
    )
    frames = tuple(sorted(paths, key=lambda path: (frame_number(path), path.name)))
    if not frames:
        raise DatasetError(f"{folder}: no image in this folder. Unpack them there.")
    return frames


def subfolders(root: Path, benchmark: str) -> list[Path]:
    """List the folders in a benchmark's root by name, without the hidden ones.

    Raises:
        DatasetError: the root is not a folder.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{benchmark}: {root} is not a folder. Give the folder of the unpacked benchmark."
        )
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def split_folder(root: Path, split: str | None, order: tuple[str, ...], marker: str) -> Path:
    """Return the folder of a split of a benchmark.

    Args:
        root: a folder of splits, or a split itself.
        split: which one; by default, `root` itself if it is a split.
        order: splits to try otherwise, the preferred one first.
        marker: file or folder that every split holds.
    """
    if split:
        return root / split
    if (root / marker).exists():
        return root
    existing = [name for name in order if (root / name / marker).exists()]
    return root / (existing or order)[0]
