"""The reset-based protocol of the VOT challenges: a tracker that loses its target starts again.

T: frames of a sequence.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.errors import TargetError
from cyclesiam.evaluation.benchmarks import Layout, ScoringRules
from cyclesiam.evaluation.metrics.region_overlap import region_overlap
from cyclesiam.evaluation.metrics.regions import Region, RegionArray
from cyclesiam.evaluation.metrics.vot import FAILED, INITIALIZED, RESTART_AFTER, SKIPPED
from cyclesiam.evaluation.protocols.interface import (
    EvaluationProtocol,
    MakeTracker,
    make_box_tracker,
)
from cyclesiam.evaluation.results.files import (
    ResultFolder,
    read_times,
    read_trajectory,
    write_regions,
    write_times,
)
from cyclesiam.evaluation.scorers.per_frame import FrameResults, reset_frame_results
from cyclesiam.evaluation.scorers.resets import ResetScorer, ground_truth_regions
from cyclesiam.evaluation.scorers.summary import frames_per_second
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.geometry.boxes import xyxy_to_xywh


class Reset(EvaluationProtocol[TrackingSequence]):
    """Runs of each sequence in which a tracker is restarted after each failure."""

    name = "reset"
    title = "restarted from the ground truth after each failure"
    rules = ("pysot", "vot_toolkit")

    @property
    def layout(self) -> Layout:
        """How its raw results are laid out."""
        return "vot"

    def open(self, root: Path) -> TrackingDataset:
        """Open the benchmark's folder as sequences with boxes."""
        return TRACKING_DATASETS[self.benchmark.name](Path(root))

    def run(
        self, make_tracker: MakeTracker, sequence: TrackingSequence, results: ResultFolder
    ) -> float:
        """Run a tracker as often as the settings say."""
        runs = [
            run_with_resets(make_box_tracker(make_tracker, repetition), sequence)
            for repetition in range(self.settings.repetitions)
        ]
        seconds = np.stack([run.seconds for run in runs], axis=1)
        write_times(results.time_file(sequence.name), seconds)
        for number, run in enumerate(runs):
            write_regions(results.run_file(sequence.name, number), run.regions)
        return frames_per_second(seconds, int((seconds > 0).sum()))

    def is_complete(self, results: ResultFolder, sequence: TrackingSequence) -> bool:
        """Check whether times and the regions of all repetitions are on disk."""
        files = [results.run_file(sequence.name, run) for run in range(self.settings.repetitions)]
        if not all(file.exists() for file in files):
            return False
        if read_times(results.time_file(sequence.name), len(sequence)) is None:
            return False
        for file in files:
            read_trajectory(file, len(sequence))
        return True

    def scorer(
        self, dataset: TrackingDataset, results: ResultFolder, rules: ScoringRules
    ) -> ResetScorer:
        """Return a scorer of accuracy, failures and expected average overlap."""
        return ResetScorer(self.benchmark, dataset, results, rules)

    def frame_results(
        self, results: ResultFolder, sequence: TrackingSequence, rules: ScoringRules
    ) -> FrameResults:
        """Read the regions of the first run."""
        return reset_frame_results(results, sequence, rules)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResetRun:
    """The regions that a tracker returned in a run with resets, and how long it took.

    Args:
        regions: T regions or codes, as in a VOT result file.
        seconds: (T,) spent in the tracker for each frame; 0 in skipped frames.
    """

    regions: tuple[np.ndarray, ...]
    seconds: np.ndarray


@dataclass(slots=True)
class _Log:
    """Regions and seconds of the frames so far."""

    regions: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, region: np.ndarray | int, seconds: float) -> None:
        self.regions.append(np.atleast_1d(np.asarray(region, float)))
        self.seconds.append(seconds)


def run_with_resets(tracker: BoxTracker, sequence: TrackingSequence) -> ResetRun:
    """Run a tracker to the last frame; where it fails, restart it five frames later.

    It fails where its region and the ground truth share no pixel of the image, or where it returns
    NaN. Overlap follows the rules `pysot` with the image as bounds, as in the challenges' toolkit.

    Args:
        tracker: gets the box around the ground truth at each start. Its `update` may also return a
            polygon, x1, y1, x2, y2 ...
        sequence: with a region in every frame.

    Raises:
        DatasetError: a frame has no ground truth.
        SourceError: a frame cannot be read.
        TargetError: the tracker does not return a region.

    Source: Kristan et al., TPAMI 2016; the VOT toolkit of 2016 to 2018.
    """
    truth, log = ground_truth_regions(sequence), _Log()
    while len(log.regions) < len(sequence):
        _run_to_failure(tracker, sequence, truth, log)
    return ResetRun(regions=tuple(log.regions), seconds=np.array(log.seconds))


def _run_to_failure(
    tracker: BoxTracker, sequence: TrackingSequence, truth: RegionArray, log: _Log
) -> None:
    """Start on the next frame and run to the first failure, or to the last frame."""
    first = len(log.regions)
    images = sequence.images(first)
    image = next(images)
    bounds = image.shape[1] - 1, image.shape[0] - 1
    started = time.perf_counter()
    tracker.init(image, tuple(xyxy_to_xywh(sequence.boxes[first]).tolist()))
    log.add(INITIALIZED, time.perf_counter() - started)
    for frame, image in enumerate(images, start=first + 1):
        started = time.perf_counter()
        output = tracker.update(image)
        seconds = time.perf_counter() - started
        region = _to_region(output, sequence.name, frame)
        if _overlaps(region, truth[frame], bounds):
            log.add(region, seconds)
            continue
        log.add(FAILED, seconds)
        for _ in range(min(RESTART_AFTER, len(sequence) - frame) - 1):
            log.add(SKIPPED, 0.0)
        return


def _overlaps(region: np.ndarray, truth: Region, bounds: tuple[int, int]) -> bool:
    return bool(np.isfinite(region).all()) and region_overlap(region, truth, bounds, "pysot") > 0


def _to_region(output: object, name: str, frame: int) -> np.ndarray:
    region = np.asarray(output, dtype=np.float64)
    if region.ndim != 1 or not (len(region) == 4 or (len(region) >= 6 and len(region) % 2 == 0)):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must return x, y, w, h or a polygon "
            f"x1, y1, x2, y2 ..., got {output!r}. Mend its update."
        )
    # Files hold four decimals: failures are decided by the numbers that will be scored.
    return np.round(region, 4)
