"""One tracker on one benchmark: run a sequence and leave its raw result on disk.

T: frames of a sequence.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import Benchmark, Dataset
from cyclesiam.evaluation.protocols.one_pass import run_one_pass, start_frames
from cyclesiam.evaluation.protocols.reset import run_with_resets
from cyclesiam.evaluation.protocols.segmentation import run_segmentation
from cyclesiam.evaluation.results.evaluation import InitialInput
from cyclesiam.evaluation.results.files import (
    read_boxes,
    read_times,
    read_trajectory,
    result_path,
    write_boxes,
    write_regions,
    write_times,
)
from cyclesiam.evaluation.results.label_maps import write_labels
from cyclesiam.evaluation.trackers.interface import BoxTracker, MasksAsBoxes, MaskTracker


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolSettings:
    """What can be chosen of a protocol.

    Args:
        starts: runs of one pass on a sequence, from frames spread evenly over it.
        repetitions: runs with resets on a sequence, of a tracker that does not always answer alike.
        initial_input: what a segmentation starts from.
    """

    starts: int = 1
    repetitions: int = 1
    initial_input: InitialInput = "box"

    def __post_init__(self) -> None:
        if self.starts < 1 or self.repetitions < 1:
            raise ValueError("there must be at least one start and one repetition")


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceRun:
    """A sequence whose raw result is on disk, and how fast it went; `fresh` if it ran just now."""

    name: str
    frames: int
    fps: float
    is_new: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """What to run: everything in it can be sent to another process.

    Args:
        benchmark: with its protocol.
        root: its folder.
        make_tracker: called for every run, so that none knows of another.
        tracker: its name, for messages.
        folder: for its raw results.
        settings: of the protocol.
    """

    benchmark: Benchmark
    root: Path
    make_tracker: Callable[[], BoxTracker | MaskTracker]
    tracker: str
    folder: Path
    settings: ProtocolSettings = field(default_factory=ProtocolSettings)

    def open(self) -> Dataset:
        """Open the benchmark.

        Raises:
            DatasetError: the folder is not that benchmark.
        """
        return self.benchmark.open(self.root)

    def run(self, name: str, reader: Dataset) -> SequenceRun:
        """Run one sequence and write its raw result, unless that is there already.

        Raises:
            CycleSiamError: it failed; the message names the tracker and the sequence.
        """
        try:
            sequence = reader.read(name)
            if self._is_finished(sequence):
                return SequenceRun(name=name, frames=len(sequence), fps=float("nan"), is_new=False)
            return self._run(sequence)
        except Exception as error:
            reason = " ".join(str(error).split())  # OpenCV's messages have several lines
            if not isinstance(error, CycleSiamError):
                reason = f"the tracker stopped with {type(error).__name__}: {reason}"
            place = f"{self.tracker} on {self.benchmark.name}, sequence {name}"
            raise CycleSiamError(f"{place}: {reason}") from error

    def _run(self, sequence: TrackingSequence | SegmentationSequence) -> SequenceRun:
        if isinstance(sequence, SegmentationSequence):
            return self._segmentation(sequence)
        return self._resets(sequence) if self.benchmark.protocol == "reset" else self._ope(sequence)

    def _boxes_only(self, run: int) -> BoxTracker:
        """Make a tracker for boxes; chance is the same whichever sequence came before."""
        _seed(run)
        tracker = self.make_tracker()
        return MasksAsBoxes(tracker) if isinstance(tracker, MaskTracker) else tracker

    def _ope(self, sequence: TrackingSequence) -> SequenceRun:
        results = self.benchmark.results(self.folder)
        starts = start_frames(sequence, self.settings.starts)
        seconds = np.zeros((len(sequence), len(starts)))
        main = np.empty(0)
        for run, first in enumerate(starts):
            trajectory = run_one_pass(self._boxes_only(run), sequence, first=first)
            seconds[first:, run] = trajectory.seconds
            corner, far = trajectory.boxes[:, :2], trajectory.boxes[:, 2:]
            boxes = np.concatenate((corner + self.benchmark.origin, far - corner), axis=1)
            if first:
                write_boxes(results.start_file(sequence.name, first), boxes)
            else:
                main = boxes
        write_times(results.time_file(sequence.name), seconds)
        write_boxes(results.run_file(sequence.name), main)  # the last: now it is finished
        asked = sum(len(sequence) - first for first in starts)
        return _ran(sequence.name, len(sequence), asked, seconds)

    def _resets(self, sequence: TrackingSequence) -> SequenceRun:
        results = self.benchmark.results(self.folder)
        runs = [
            run_with_resets(self._boxes_only(repetition), sequence)
            for repetition in range(self.settings.repetitions)
        ]
        seconds = np.stack([run.seconds for run in runs], axis=1)
        write_times(results.time_file(sequence.name), seconds)
        for number, run in enumerate(runs):
            write_regions(results.run_file(sequence.name, number), run.regions)
        return _ran(sequence.name, len(sequence), int((seconds > 0).sum()), seconds)

    def _segmentation(self, sequence: SegmentationSequence) -> SequenceRun:
        results = self.benchmark.results(self.folder)
        _seed(0)
        seconds = []
        answers = run_segmentation(
            self.make_tracker, sequence, initial_input=self.settings.initial_input
        )
        with result_path(results.run_file(sequence.name)) as part:
            part.mkdir()
            for path, answer in zip(sequence.frames, answers, strict=True):
                write_labels(part / f"{path.stem}.png", answer.labels)
                seconds.append(answer.seconds)
            write_times(results.time_file(sequence.name), np.array(seconds)[:, None])
        return _ran(sequence.name, len(sequence), len(sequence), np.array(seconds))

    def _is_finished(self, sequence: TrackingSequence | SegmentationSequence) -> bool:
        """Whether the raw result is there and whole; one that was cut off is run again."""
        results = self.benchmark.results(self.folder)
        if not results.run_file(sequence.name).exists():
            return False
        try:
            if read_times(results.time_file(sequence.name), len(sequence)) is None:
                return False
            if isinstance(sequence, SegmentationSequence):
                return all(
                    (results.run_file(sequence.name) / f"{path.stem}.png").is_file()
                    for path in sequence.frames
                )
            if self.benchmark.protocol == "reset":
                for run in range(self.settings.repetitions):
                    read_trajectory(results.run_file(sequence.name, run), len(sequence))
                return True
            read_boxes(results.run_file(sequence.name), len(sequence))
            for first in start_frames(sequence, self.settings.starts)[1:]:
                read_boxes(results.start_file(sequence.name, first), len(sequence) - first)
        except DatasetError:
            return False
        return True


def _ran(name: str, frames: int, asked: int, seconds: np.ndarray) -> SequenceRun:
    return SequenceRun(name=name, frames=frames, fps=asked / max(float(seconds.sum()), 1e-9))


def _seed(run: int) -> None:
    """Let chance begin anew, so that no run depends on those before it; trackers of others too."""
    random.seed(run)
    np.random.seed(run)  # noqa: NPY002
    cv2.setRNGSeed(run)
