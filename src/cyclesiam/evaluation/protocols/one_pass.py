"""One pass: a tracker starts on the ground truth of one frame and runs to the last.

T: frames of a sequence.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.benchmarks import Layout, ScoringRules
from cyclesiam.evaluation.protocols.interface import (
    EvaluationProtocol,
    MakeTracker,
    make_box_tracker,
)
from cyclesiam.evaluation.results.files import (
    ResultFolder,
    read_boxes,
    read_times,
    write_boxes,
    write_times,
)
from cyclesiam.evaluation.scorers.boxes import BoxScorer
from cyclesiam.evaluation.scorers.per_frame import FrameResults, box_frame_results
from cyclesiam.evaluation.scorers.summary import frames_per_second
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.geometry.boxes import XYWH, xywh_to_xyxy, xyxy_to_xywh


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectory:
    """The boxes that a tracker returned on a sequence, and how long it took.

    Args:
        boxes: (T, 4) xyxy; the first is the ground truth that it started on; NaN where it returned
            none. Of a run that started later, T counts from that frame.
        seconds: (T,) spent in the tracker for each frame; reading images does not count.
    """

    boxes: np.ndarray
    seconds: np.ndarray

    @property
    def fps(self) -> float:
        """Frames per second, the first frame included."""
        return len(self.seconds) / max(float(self.seconds.sum()), 1e-9)


class OnePass(EvaluationProtocol[TrackingSequence]):
    """One run of each sequence from its first frame, and maybe others from later frames."""

    name = "ope"
    title = "one pass, started once from the ground truth"
    rules = ("pysot", "got10k")

    @property
    def layout(self) -> Layout:
        """How its raw results are laid out."""
        return self.benchmark.layout

    def open(self, root: Path) -> TrackingDataset:
        """Open the benchmark's folder as sequences with boxes."""
        return TRACKING_DATASETS[self.benchmark.name](Path(root))

    def run(
        self, make_tracker: MakeTracker, sequence: TrackingSequence, results: ResultFolder
    ) -> float:
        """Run a tracker from each start; the run from the first frame is written last."""
        starts = start_frames(sequence, self.settings.starts)
        seconds = np.zeros((len(sequence), len(starts)))
        boxes: list[np.ndarray] = []
        for run, first in enumerate(starts):
            tracker = make_box_tracker(make_tracker, run)
            trajectory = run_one_pass(tracker, sequence, first=first)
            seconds[first:, run] = trajectory.seconds
            xywh = xyxy_to_xywh(trajectory.boxes)
            xywh[:, :2] += self.benchmark.origin
            boxes.append(xywh)
            if first:
                write_boxes(results.start_file(sequence.name, first), xywh)
        write_times(results.time_file(sequence.name), seconds)
        write_boxes(results.run_file(sequence.name), boxes[0])
        return frames_per_second(seconds, sum(len(sequence) - first for first in starts))

    def is_complete(self, results: ResultFolder, sequence: TrackingSequence) -> bool:
        """Check whether times and the boxes of all starts are on disk."""
        frames = len(sequence)
        if not results.run_file(sequence.name).exists():
            return False
        if read_times(results.time_file(sequence.name), frames) is None:
            return False
        read_boxes(results.run_file(sequence.name), frames)
        for first in start_frames(sequence, self.settings.starts)[1:]:
            read_boxes(results.start_file(sequence.name, first), frames - first)
        return True

    def scorer(
        self, dataset: TrackingDataset, results: ResultFolder, rules: ScoringRules
    ) -> BoxScorer:
        """Return a scorer of success, precision and average overlap."""
        return BoxScorer(self.benchmark, dataset, results, rules)

    def frame_results(
        self, results: ResultFolder, sequence: TrackingSequence, rules: ScoringRules
    ) -> FrameResults:
        """Read the boxes of the first run; all rules give the same overlaps."""
        return box_frame_results(self.benchmark, results, sequence)


def run_one_pass(tracker: BoxTracker, sequence: TrackingSequence, *, first: int = 0) -> Trajectory:
    """Start a tracker on one frame and run it to the last, whatever it returns.

    Args:
        tracker: gets the ground truth of the first frame, and nothing after it.
        sequence: with a box in that frame.
        first: frame to start on.

    Returns:
        The trajectory, one box for each frame from `first` on.

    Raises:
        DatasetError: the first frame has no box.
        SourceError: a frame cannot be read.
        TargetError: the tracker does not return four numbers.

    Source: OTB (Wu et al., TPAMI 2015), one-pass evaluation.
    """
    start = sequence.boxes[first]
    if np.isnan(start).any():
        raise DatasetError(
            f"{sequence.name}: the {'first frame' if first == 0 else f'frame {first}'} has no box "
            "to start from. Begin the sequence where its target is visible."
        )
    images = sequence.images(first) if first else sequence.images()
    image = next(images)
    started = time.perf_counter()
    tracker.init(image, tuple(xyxy_to_xywh(start).tolist()))
    seconds, boxes = [time.perf_counter() - started], [start]
    for frame, image in enumerate(images, start=first + 1):
        started = time.perf_counter()
        output = tracker.update(image)
        seconds.append(time.perf_counter() - started)
        boxes.append(_to_xyxy(output, sequence.name, frame))
    return Trajectory(boxes=np.stack(boxes), seconds=np.array(seconds))


def start_frames(sequence: TrackingSequence, count: int) -> tuple[int, ...]:
    """Return frames to start on, spread evenly over a sequence, the first frame among them.

    Args:
        sequence: with a box in its first frame.
        count: number of starts. There are fewer where no box follows, or where two coincide.

    Returns:
        Frames that have a box: where one has none, the next that has.
    """
    known = np.flatnonzero(~np.isnan(sequence.boxes).any(axis=1))
    spread = np.arange(count) * len(sequence) // count
    found = np.searchsorted(known, spread)
    return tuple(sorted({0, *known[found[found < len(known)]].tolist()}))


def _to_xyxy(output: XYWH | tuple[float, ...], name: str, frame: int) -> np.ndarray:
    box = np.asarray(output, dtype=np.float64)
    if box.shape != (4,):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must return x, y, w, h, got {output!r}. "
            "Mend its update."
        )
    return xywh_to_xyxy(box)
