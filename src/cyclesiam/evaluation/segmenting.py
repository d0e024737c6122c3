"""The segmentation protocol: objects given in their first frame, a label map in every frame.

T: frames of a sequence. H, W: rows and columns of a picture.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cyclesiam.data.segmentation_sequences import SegmentationSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.evaluations import InitialInput
from cyclesiam.evaluation.protocols import BoxTracker, FilledBoxes, MaskTracker, to_xywh
from cyclesiam.geometry.regions import mask_extent


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Segmentation:
    """What the trackers of a sequence's objects answered in one frame.

    Args:
        labels: (H, W) uint8, numbers of objects, 0 elsewhere.
        seconds: spent in the trackers.
    """

    labels: np.ndarray
    seconds: float


def segment(
    make_tracker: Callable[[], BoxTracker | MaskTracker],
    sequence: SegmentationSequence,
    *,
    initial_input: InitialInput = "box",
) -> Iterator[Segmentation]:
    """Follow all objects of a sequence side by side, each with a tracker of its own.

    A tracker without `init_mask` answers boxes: they are filled. In the frame where an object
    begins, its mask is the one that was given; from a box, what the tracker would have answered is
    not known there, so the box is filled too.

    Args:
        make_tracker: called for each object.
        sequence: told of are its masks in the objects' first frames, and nothing after them.
        initial_input: whether trackers start from the mask, or from the box around it.

    Yields:
        One label map for each frame, in order. Where masks overlap, the smaller one lies on top.

    Raises:
        DatasetError: an object has no pixel in its first frame, or a frame another size than it.
        SourceError: a frame cannot be read.
        TargetError: a tracker's answer is no mask of the picture's size.

    Source: the semi-supervised task of DAVIS (Pont-Tuset et al.) and YouTube-VOS (Xu et al.).
    """
    trackers: dict[int, MaskTracker] = {}
    for frame, image in enumerate(sequence.images()):
        seconds, masks = 0.0, {}
        for number, tracker in trackers.items():
            started = time.perf_counter()
            answer = tracker.update(image)
            seconds += time.perf_counter() - started
            masks[number] = _checked(answer, image, f"{sequence.name}, frame {frame}")
        for number in (n for n, first in sequence.first_frames.items() if first == frame):
            mask = _first_mask(sequence, number, image)
            made = make_tracker()
            tracker = made if isinstance(made, MaskTracker) else FilledBoxes(made)
            started = time.perf_counter()
            if initial_input == "mask":
                tracker.init_mask(image, mask)
            else:
                tracker.init(image, to_xywh(mask_extent(mask)))
            seconds += time.perf_counter() - started
            trackers[number] = tracker
            masks[number] = mask if initial_input == "mask" else _filled(mask)
        yield Segmentation(labels=paint_labels(masks, image.shape[:2]), seconds=seconds)


def paint_labels(masks: Mapping[int, np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Paint masks into one label map, the largest first, so that small ones lie on top.

    Args:
        masks: number of an object to its pixels, (H, W) bool.
        size: H, W.

    Returns:
        (H, W) uint8.

    >>> paint_labels({1: np.array([[True, False]]), 2: np.array([[True, True]])}, (1, 2))
    array([[1, 2]], dtype=uint8)
    """
    labels = np.zeros(size, np.uint8)
    for number in sorted(masks, key=lambda number: (-int(masks[number].sum()), -number)):
        labels[masks[number]] = number
    return labels


def _first_mask(sequence: SegmentationSequence, number: int, image: np.ndarray) -> np.ndarray:
    first = sequence.first_frames[number]
    mask = sequence.labels(first) == number
    place = f"{sequence.annotations[first]}"
    if mask.shape != image.shape[:2]:
        raise DatasetError(
            f"{place}: this mask has {mask.shape[1]} x {mask.shape[0]} pixels, its frame "
            f"{image.shape[1]} x {image.shape[0]}. Unpack the sequence again."
        )
    if not mask.any():
        raise DatasetError(
            f"{place}: object {number} has no pixel in its first frame, so it cannot be followed. "
            "Unpack the sequence again."
        )
    return mask


def _filled(mask: np.ndarray) -> np.ndarray:
    left, top, right, bottom = mask_extent(mask).astype(int)
    box = np.zeros_like(mask)
    box[top:bottom, left:right] = True
    return box


def _checked(answer: object, image: np.ndarray, place: str) -> np.ndarray:
    mask = np.asarray(answer)
    if mask.shape != image.shape[:2]:
        raise TargetError(
            f"{place}: the tracker must answer a mask of {image.shape[:2]} (rows, columns), got an "
            f"array of {mask.shape}. Mend its update."
        )
    return mask.astype(bool)
