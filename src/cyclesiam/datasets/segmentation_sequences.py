"""Masks of objects in one video, in the form that every segmentation dataset returns.

T: frames of a sequence. H, W: rows and columns. A label map holds the number of an object in each
of its pixels, and 0 elsewhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.label_maps import VOID, image_size, read_label_map, read_mask
from cyclesiam.datasets.label_policy import check_label_access, first_frame_only
from cyclesiam.datasets.sequences import (
    RequiredFrames,
    TrackingDataset,
    TrackingSequence,
    frame_number,
    image_files,
)
from cyclesiam.errors import DatasetError
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.video import read_images


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentationSequence:
    """Frames of a video and label maps of the objects in it.

    Args:
        name: unique in its benchmark.
        frames: T image files, in order.
        annotations: T files of label maps; None where a frame has none.
        first_frames: number of an object to the frame that first shows it, where its tracking
            starts. In YouTube-VOS, some objects appear later than others.
        single_object: whether every pixel that is not 0 belongs to object 1 (DAVIS-2016).

    Raises:
        DatasetError: no frames, not one annotation (or None) for each, no object, or an object
            whose first frame has no annotation.
    """

    name: str
    frames: tuple[Path, ...]
    annotations: tuple[Path | None, ...]
    first_frames: Mapping[int, int]
    single_object: bool = False

    def __post_init__(self) -> None:
        if not self.frames or len(self.annotations) != len(self.frames):
            raise DatasetError(
                f"{self.name}: {len(self.frames)} frames, but {len(self.annotations)} places for "
                "annotations. Unpack the sequence again."
            )
        if not self.first_frames:
            raise DatasetError(f"{self.name}: no object is annotated. Unpack the sequence again.")
        for number, frame in self.first_frames.items():
            if not 0 <= frame < len(self.frames) or self.annotations[frame] is None:
                raise DatasetError(
                    f"{self.name}: object {number} begins in frame {frame}, which has no "
                    "annotation. Unpack the sequence again."
                )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def objects(self) -> tuple[int, ...]:
        """Numbers of the objects, in order."""
        return tuple(sorted(self.first_frames))

    def images(self) -> Iterator[np.ndarray]:
        """Read the frames one by one, each (H, W, 3) uint8 RGB.

        Raises:
            SourceError: a frame cannot be read.
        """
        return read_images(self.frames)

    def labels(self, frame: int) -> np.ndarray:
        """Read the label map of a frame.

        Returns:
            (H, W) uint8: numbers of objects, 0 elsewhere. Void pixels (255) count as background,
            as in DAVIS's semi-supervised task; with `single_object` they count as the object.

        Raises:
            ValueError: the frame has no annotation.
            DatasetError: the file is not a label map.
            LabelPolicyError: the label policy does not allow it to be read.
        """
        path = self.annotations[frame]
        if path is None:
            raise ValueError(f"{self.name}: frame {frame} has no annotation")
        first = frame in self.first_frames.values()
        if self.single_object:
            return read_mask(path, first=first).astype(np.uint8)
        labels = read_label_map(path, first=first)
        return np.where(labels == VOID, np.uint8(0), labels)


class SegmentationDataset(ABC):
    """A segmentation benchmark on disk: names of sequences, each read when it is asked for."""

    names: tuple[str, ...]

    @abstractmethod
    def read(self, name: str, *, require: RequiredFrames = "all") -> SegmentationSequence:
        """Read the sequence called `name`.

        Args:
            name: one of `names`.
            require: which of its images must be on disk: `all`, or `some` where one is enough. All
                masks must be there in any case.

        Raises:
            DatasetError: its frames or its annotation are missing, malformed or disagree.
        """

    def sequences(self) -> Iterator[SegmentationSequence]:
        """Read every sequence, in the order of `names`."""
        return map(self.read, self.names)


class BoxesFromMasks(TrackingDataset):
    """A segmentation benchmark as one of boxes: each object is a target, with its mask's box.

    A target is called `NAME_3` after the number of its object, or `NAME` where the benchmark has
    one object a sequence. Its frames begin with the one that first shows it.

    Args:
        benchmark: segmentation dataset; each sequence is read once for the numbers of its objects.
    """

    def __init__(self, benchmark: SegmentationDataset) -> None:
        self._benchmark = benchmark
        self._targets = {
            target: (name, number)
            for name in benchmark.names
            for target, number in _targets(benchmark, name)
        }
        self.names = tuple(self._targets)

    def read(self, name: str, *, require: RequiredFrames = "all") -> TrackingSequence:
        """Read the target called `name`, and all masks of its sequence that may be read."""
        video, number = self._targets[name]
        sequence = self._benchmark.read(video, require=require)
        first = sequence.first_frames[number]
        boxes = np.full((len(sequence) - first, 4), np.nan)
        for frame in range(first, first + 1 if first_frame_only() else len(sequence)):
            if sequence.annotations[frame] is not None:
                boxes[frame - first] = mask_to_box(sequence.labels(frame) == number)
        return TrackingSequence(name=name, frames=sequence.frames[first:], boxes=boxes)


def _targets(benchmark: SegmentationDataset, name: str) -> list[tuple[str, int]]:
    """Return names of targets and numbers of objects of a sequence."""
    try:
        sequence = benchmark.read(name, require="some")
    except DatasetError:
        return [(name, 1)]  # keeps the other sequences; reading this one reports what is wrong
    if sequence.single_object:
        return [(name, 1)]
    return [(f"{name}_{number}", number) for number in sequence.objects]


def match_masks(
    frame_folder: Path, mask_folder: Path, require: RequiredFrames
) -> tuple[tuple[Path, ...], tuple[Path | None, ...]]:
    """Match masks to frames by name, and check that each mask has the size of its frame.

    Returns:
        T frames, and the T masks; None where a frame has none.

    Raises:
        DatasetError: a mask has no frame, or another size than its frame.
    """
    existing = image_files(frame_folder)
    masks = {path.stem: path for path in image_files(mask_folder)}
    absent = sorted(masks.keys() - {path.stem for path in existing})
    if absent and require == "all":
        raise DatasetError(
            f"{masks[absent[0]]}: this mask has no frame in {frame_folder}. "
            "Unpack the sequence again."
        )
    for frame in existing[:1] if first_frame_only() else existing:
        if frame.stem in masks:
            _check_size(frame, masks[frame.stem])
    named = (existing[0].with_stem(stem) for stem in absent)
    frames = tuple(sorted((*existing, *named), key=lambda path: (frame_number(path), path.name)))
    return frames, tuple(masks.get(frame.stem) for frame in frames)


def _check_size(frame: Path, mask: Path) -> None:
    check_label_access(mask, "first mask")
    (width, height), (mask_width, mask_height) = image_size(frame), image_size(mask)
    if (width, height) != (mask_width, mask_height):
        raise DatasetError(
            f"{mask}: this mask has {mask_width}x{mask_height} pixels, but its frame {frame} has "
            f"{width}x{height}. Get both in the same resolution."
        )


def check_first_masks(sequence: SegmentationSequence) -> None:
    """Check whether every object is in the label map of its first frame.

    Raises:
        DatasetError: a label map lacks an object.
    """
    for frame in set(sequence.first_frames.values()):
        labels = np.unique(sequence.labels(frame))
        for number, first in sequence.first_frames.items():
            if first == frame and number not in labels:
                shown = ", ".join(str(label) for label in labels if label) or "nothing"
                raise DatasetError(
                    f"{sequence.annotations[frame]}: object {number} begins in this frame, but its "
                    f"mask shows {shown}. Unpack the sequence again."
                )


def require_sequences(names: tuple[str, ...], benchmark: str, source: Path) -> None:
    """Check whether a benchmark has any sequence.

    Raises:
        DatasetError: it has none.
    """
    if not names:
        raise DatasetError(
            f"{benchmark}: no sequence in {source}. "
            "`root` must be the folder that holds JPEGImages and Annotations."
        )


def find_first_frames(annotations: tuple[Path | None, ...]) -> dict[int, int]:
    """Return the number of each object, with the first frame whose label map has it."""
    first_frames: dict[int, int] = {}
    for frame, path in enumerate(annotations):
        if path is not None:
            for number in np.unique(read_label_map(path, first=frame == 0)).tolist():
                if number not in (0, VOID):
                    first_frames.setdefault(number, frame)
    return first_frames
