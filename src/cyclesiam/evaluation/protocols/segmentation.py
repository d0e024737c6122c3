"""The segmentation protocol: objects given in their first frame, a label map in every frame.

T: frames of a sequence. H, W: rows and columns of a picture.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.results.evaluation import InitialInput
from cyclesiam.evaluation.trackers.interface import (
    BoxesAsMasks,
    BoxTracker,
    InitialTarget,
    MaskTracker,
    MultiObjectTracker,
)
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.geometry.masks import box_to_mask, mask_to_box, merge_masks


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSegmentation:
    """What the trackers of a sequence's objects answered in one frame.

    Args:
        labels: (H, W) uint8, numbers of objects, 0 elsewhere.
        seconds: spent in the trackers.
    """

    labels: np.ndarray
    seconds: float


def run_segmentation(
    make_tracker: Callable[[], BoxTracker | MaskTracker | MultiObjectTracker],
    sequence: SegmentationSequence,
    *,
    initial_input: InitialInput = "box",
) -> Iterator[FrameSegmentation]:
    """Follow all objects of a sequence side by side.

    By one `ObjectTracker`, or else each by a tracker of its own. A tracker without `init_mask`
    answers boxes: they are filled. In the frame where an object begins, its mask is the one that
    was given; from a box, what such a tracker would have answered is not known there, so the box
    is filled too.

    Args:
        make_tracker: called once, or for each object.
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
    made = make_tracker()
    together = made if isinstance(made, MultiObjectTracker) else PerObjectTrackers(make_tracker)
    followed = False
    for frame, image in enumerate(sequence.images()):
        seconds, labels = 0.0, np.zeros(image.shape[:2], np.uint8)
        if followed:
            started = time.perf_counter()
            try:
                answer = together.update_objects(image)
                labels = _checked(answer, image)
            except TargetError as error:
                raise TargetError(f"{sequence.name}, frame {frame}: {error}") from error
            seconds = time.perf_counter() - started
        new = {
            number: _first_mask(sequence, number, image)
            for number, first in sequence.first_frames.items()
            if first == frame
        }
        if new:
            given = {
                number: InitialTarget(
                    tuple(xyxy_to_xywh(mask_to_box(mask)).tolist()),
                    mask if initial_input == "mask" else None,
                )
                for number, mask in new.items()
            }
            started = time.perf_counter()
            first_labels = together.init_objects(image, given)
            seconds += time.perf_counter() - started
            if initial_input == "mask":
                first_labels = merge_masks(new, image.shape[:2])
            labels = np.where(first_labels > 0, first_labels, labels)
            followed = True
        yield FrameSegmentation(labels=labels, seconds=seconds)


class PerObjectTrackers:
    """An `ObjectTracker` of trackers that follow one object each."""

    def __init__(
        self, make_tracker: Callable[[], BoxTracker | MaskTracker | MultiObjectTracker]
    ) -> None:
        self._make_tracker = make_tracker
        self._trackers: dict[int, MaskTracker] = {}

    def init_objects(self, image: np.ndarray, objects: Mapping[int, InitialTarget]) -> np.ndarray:
        """Start a tracker on each object; the boxes are filled. See `ObjectTracker`."""
        for number, (box_xywh, mask) in objects.items():
            made = self._make_tracker()
            assert not isinstance(made, MultiObjectTracker)
            tracker = made if isinstance(made, MaskTracker) else BoxesAsMasks(made)
            if mask is None:
                tracker.init(image, box_xywh)
            else:
                tracker.init_mask(image, mask)
            self._trackers[number] = tracker
        size = (image.shape[0], image.shape[1])
        boxes = {number: (x, y, x + w, y + h) for number, ((x, y, w, h), _) in objects.items()}
        filled = {number: box_to_mask(box, size).to_array() for number, box in boxes.items()}
        return merge_masks(filled, size)

    def update_objects(self, image: np.ndarray) -> np.ndarray:
        """Give the label map of all objects in the next frame."""
        masks = {
            number: _checked(tracker.update(image), image).astype(bool)
            for number, tracker in self._trackers.items()
        }
        return merge_masks(masks, image.shape[:2])


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


def _checked(answer: object, image: np.ndarray) -> np.ndarray:
    mask = np.asarray(answer)
    if mask.shape != image.shape[:2]:
        raise TargetError(
            f"the tracker must answer a mask of {image.shape[:2]} (rows, columns), got an "
            f"array of {mask.shape}. Mend its update."
        )
    return mask
