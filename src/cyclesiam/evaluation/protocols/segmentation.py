"""The segmentation protocol: objects start in their first frames, a label map in every frame.

T: frames of a sequence. H, W: rows and columns of a frame.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.registry import SEGMENTATION_DATASETS
from cyclesiam.datasets.segmentation_sequences import SegmentationDataset, SegmentationSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.benchmarks import InitialInput, Layout, ScoringRules
from cyclesiam.evaluation.protocols.interface import (
    EvaluationProtocol,
    MakeTracker,
    seed_everything,
)
from cyclesiam.evaluation.results.files import (
    ResultFolder,
    read_times,
    result_path,
    write_times,
)
from cyclesiam.evaluation.results.label_maps import write_labels
from cyclesiam.evaluation.scorers.masks import MaskScorer
from cyclesiam.evaluation.scorers.per_frame import FrameResults, mask_frame_results
from cyclesiam.evaluation.scorers.summary import frames_per_second
from cyclesiam.evaluation.trackers.interface import (
    BoxesAsMasks,
    InitialTarget,
    MaskTracker,
    MultiObjectTracker,
)
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.geometry.masks import box_to_mask, mask_to_box, merge_masks


class SegmentationProtocol(EvaluationProtocol[SegmentationSequence]):
    """One run of each sequence with all of its objects, scored by their masks."""

    name = "segmentation"
    title = "masks, started once from the ground truth"
    rules = ("pysot", "davis2017")

    @property
    def layout(self) -> Layout:
        """How its raw results are laid out."""
        return "masks"

    def open(self, root: Path) -> SegmentationDataset:
        """Open the benchmark's folder as sequences with label maps."""
        return SEGMENTATION_DATASETS[self.benchmark.name](Path(root))

    def run(
        self, make_tracker: MakeTracker, sequence: SegmentationSequence, results: ResultFolder
    ) -> float:
        """Run a tracker on all objects of the sequence at once."""
        seed_everything(0)
        seconds: list[float] = []
        frames = run_segmentation(make_tracker, sequence, initial_input=self.settings.initial_input)
        with result_path(results.run_file(sequence.name)) as folder:
            folder.mkdir()
            for path, frame in zip(sequence.frames, frames, strict=True):
                write_labels(folder / f"{path.stem}.png", frame.labels)
                seconds.append(frame.seconds)
            write_times(results.time_file(sequence.name), np.array(seconds)[:, None])
        return frames_per_second(np.array(seconds), len(sequence))

    def is_complete(self, results: ResultFolder, sequence: SegmentationSequence) -> bool:
        """Check whether times and all label maps are on disk."""
        folder = results.run_file(sequence.name)
        if not folder.exists():
            return False
        if read_times(results.time_file(sequence.name), len(sequence)) is None:
            return False
        return all((folder / f"{path.stem}.png").is_file() for path in sequence.frames)

    def scorer(
        self, dataset: SegmentationDataset, results: ResultFolder, rules: ScoringRules
    ) -> MaskScorer:
        """Return a scorer of region similarity and contour accuracy."""
        return MaskScorer(self.benchmark, dataset, results, rules)

    def frame_results(
        self, results: ResultFolder, sequence: SegmentationSequence, rules: ScoringRules
    ) -> FrameResults:
        """Read the label maps."""
        return mask_frame_results(self.benchmark, results, sequence, rules)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSegmentation:
    """The objects of a sequence in one frame.

    Args:
        labels: (H, W) uint8, numbers of objects, 0 elsewhere.
        seconds: spent in the trackers.
    """

    labels: np.ndarray
    seconds: float


def run_segmentation(
    make_tracker: MakeTracker,
    sequence: SegmentationSequence,
    *,
    initial_input: InitialInput = "box",
) -> Iterator[FrameSegmentation]:
    """Track all objects of a sequence at once.

    One `MultiObjectTracker` tracks them, or else each is tracked by a tracker of its own. Boxes of
    a tracker without `init_mask` are filled. In the frame where an object appears, its mask is the
    initial one. Started from a box, such a tracker has no mask there, and the box is filled.

    Args:
        make_tracker: called once, or for each object.
        sequence: trackers get the objects' masks in their first frames, and nothing after them.
        initial_input: whether trackers start from the mask, or from the box around it.

    Yields:
        One label map for each frame, in order. Where masks overlap, the smaller one lies on top.

    Raises:
        DatasetError: an object has no pixel in its first frame, or mask and frame differ in size.
        SourceError: a frame cannot be read.
        TargetError: a tracker does not return a mask of the frame's size.

    Source: the semi-supervised task of DAVIS (Pont-Tuset et al.) and YouTube-VOS (Xu et al.).
    """
    made = make_tracker()
    tracker = made if isinstance(made, MultiObjectTracker) else PerObjectTrackers(make_tracker)
    is_started = False
    for frame, image in enumerate(sequence.images()):
        seconds, labels = 0.0, np.zeros(image.shape[:2], np.uint8)
        if is_started:
            started = time.perf_counter()
            try:
                labels = _check_size(tracker.update_objects(image), image)
            except TargetError as error:
                raise TargetError(f"{sequence.name}, frame {frame}: {error}") from error
            seconds = time.perf_counter() - started
        masks = _new_masks(sequence, frame, image)
        if masks:
            objects = {
                number: _initial_target(mask, initial_input) for number, mask in masks.items()
            }
            started = time.perf_counter()
            first_labels = tracker.init_objects(image, objects)
            seconds += time.perf_counter() - started
            if initial_input == "mask":
                first_labels = merge_masks(masks, image.shape[:2])
            labels = np.where(first_labels > 0, first_labels, labels)
            is_started = True
        yield FrameSegmentation(labels=labels, seconds=seconds)


class PerObjectTrackers:
    """A `MultiObjectTracker` made of trackers of one object each.

    Args:
        make_tracker: called for each object.
    """

    def __init__(self, make_tracker: MakeTracker) -> None:
        self._make_tracker = make_tracker
        self._trackers: dict[int, MaskTracker] = {}

    def init_objects(self, image: np.ndarray, objects: Mapping[int, InitialTarget]) -> np.ndarray:
        """Start a tracker on each object.

        Args:
            image: (H, W, 3) uint8 RGB, the frame in which they appear.
            objects: object number to the object.

        Returns:
            (H, W) uint8 label map of the objects' boxes, filled.
        """
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
        """Return the (H, W) uint8 label map of all objects in the next frame."""
        masks = {
            number: _check_size(tracker.update(image), image).astype(bool)
            for number, tracker in self._trackers.items()
        }
        return merge_masks(masks, image.shape[:2])


def _new_masks(
    sequence: SegmentationSequence, frame: int, image: np.ndarray
) -> dict[int, np.ndarray]:
    """Return the masks of the objects that appear in a frame, (H, W) bool, by their numbers."""
    return {
        number: _first_mask(sequence, number, image)
        for number, first in sequence.first_frames.items()
        if first == frame
    }


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
            f"{place}: object {number} has no pixel in its first frame, so it cannot be tracked. "
            "Unpack the sequence again."
        )
    return mask


def _initial_target(mask: np.ndarray, initial_input: InitialInput) -> InitialTarget:
    box_xywh = tuple(xyxy_to_xywh(mask_to_box(mask)).tolist())
    return InitialTarget(box_xywh, mask if initial_input == "mask" else None)


def _check_size(output: object, image: np.ndarray) -> np.ndarray:
    mask = np.asarray(output)
    if mask.shape != image.shape[:2]:
        raise TargetError(
            f"the tracker must return a mask of {image.shape[:2]} (rows, columns), got an "
            f"array of {mask.shape}. Mend its update."
        )
    return mask
