"""One target in one video, as every benchmark reader of this package gives it.

T: frames of a sequence. Boxes are xyxy in continuous pixels, NaN where the truth is unknown.
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
from cyclesiam.video import is_image, read_image

RequiredFrames = Literal["all", "some"]
"""Which pictures of a sequence must be on disk."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrackingSequence:
    """Frames of a video and the truth about one target in it.

    Under a label policy (`labels_allowed`) nothing of the truth is kept but the first box.

    Args:
        name: name of the target, unique in its benchmark.
        frames: T picture files, in order.
        boxes: (T, 4) xyxy in pixels; a row of NaN where the target is absent or not annotated.
        regions: T regions as the benchmark's file has them, where it annotates more than boxes: a
            rectangle x, y, w, h or a polygon x1, y1, x2, y2 ...; None for a benchmark of boxes.
        tags: name of an attribute to (T,) bool, the frames that have it; an attribute of the whole
            sequence holds in every frame.
        visibility: (T,) how much of the target is seen, 0 for nothing; None where it is not
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
            for name, nothing in (("regions", None), ("tags", {}), ("visibility", None)):
                object.__setattr__(self, name, nothing)
        boxes.setflags(write=False)
        object.__setattr__(self, "boxes", boxes)
        tags = {tag: self._per_frame(flags, bool, tag) for tag, flags in self.tags.items()}
        object.__setattr__(self, "tags", tags)
        if self.visibility is not None:
            visibility = self._per_frame(self.visibility, np.float64, "visibility")
            object.__setattr__(self, "visibility", visibility)

    def _per_frame(self, values: np.ndarray, dtype: type, what: str) -> np.ndarray:
        """A copy (T,) that cannot be written to."""
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
        """Read the frames one by one, each (H, W, 3) uint8 RGB, from the `first` one on.

        Raises:
            SourceError: a frame cannot be read.
        """
        return map(read_image, self.frames[first:])


class TrackingDataset(ABC):
    """A benchmark on disk: the names of its targets, each read when it is asked for."""

    names: tuple[str, ...]

    @abstractmethod
    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Give the sequence called `name`, one of `names`.

        Args:
            name: of the sequence.
            require: which of its images must be there; `some` (one will do) is for those who
                want the truth and perhaps the size of a picture, to score what was tracked
                elsewhere: `frames` then has the names of the others, too.

        Raises:
            DatasetError: its frames or its annotation are missing, malformed or disagree.
        """

    def sequences(self) -> Iterator[TrackingSequence]:
        """Read every sequence, in the order of `names`."""
        return map(self.read, self.names)


def boxes_from_xywh(xywh: np.ndarray, *, origin: float = 0.0) -> np.ndarray:
    """Turn a benchmark's rows into xyxy boxes, NaN where a row is no box.

    Args:
        xywh: (T, 4) as annotated.
        origin: coordinate that the benchmark gives to the first pixel's left and top edge: 1 for
            those that were made in MATLAB.

    Returns:
        (T, 4) xyxy in continuous pixels; NaN where a number is not finite or a size not above
        zero, which is how benchmarks write "absent".
    """
    corner, size = xywh[:, :2] - origin, xywh[:, 2:]
    boxes = np.concatenate((corner, corner + size), axis=1)
    known = np.all(np.isfinite(xywh), axis=1) & np.all(size > 0, axis=1)
    return np.where(known[..., None], boxes, np.nan)


def frame_number(path: Path) -> int:
    """Give the number at the end of a frame's file name, -1 if it has none.

    >>> frame_number(Path("img/00012.jpg"))
    12
    """
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1


def image_files(folder: Path) -> tuple[Path, ...]:
    """List the pictures of a folder by their number, then by name.

    Raises:
        DatasetError: the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: this folder of frames is missing. Unpack it there.")
    pictures = (
        path
        for path in folder.iterdir()
        # a copy made on a Mac has "._NAME" beside each file, which is no picture
        if is_image(path) and not path.name.startswith(".")
    )
    frames = tuple(sorted(pictures, key=lambda path: (frame_number(path), path.name)))
    if not frames:
        raise DatasetError(f"{folder}: no picture in this folder. Unpack them there.")
    return frames


def subfolders(root: Path, benchmark: str) -> list[Path]:
    """List the folders in a benchmark's root by name, without hidden ones.

    Raises:
        DatasetError: the root is not a folder.
    """
    if not root.is_dir():
        raise DatasetError(f"{benchmark}: {root} is not a folder. Give the unpacked benchmark's.")
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def split_folder(root: Path, split: str | None, order: tuple[str, ...], sign: str) -> Path:
    """Folder of a split: `root` itself if that has the `sign` of one, else one of those in it."""
    if split:
        return root / split
    if (root / sign).exists():
        return root
    there = [name for name in order if (root / name / sign).exists()]
    return root / (there or order)[0]
