"""The reset-based protocol of the VOT challenges: a tracker that loses its target starts again.

T: frames of a sequence.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.metrics.region_overlap import region_overlap
from cyclesiam.evaluation.metrics.regions import Region, RegionArray
from cyclesiam.evaluation.metrics.vot import FAILED, INITIALIZED, RESTART_AFTER, SKIPPED
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.geometry.boxes import xyxy_to_xywh


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResetRun:
    """What a tracker answered under supervision, and how long it took.

    Args:
        regions: T regions or codes, as in a VOT result file.
        seconds: (T,) spent in the tracker for each frame; 0 where it was not asked.
    """

    regions: tuple[np.ndarray, ...]
    seconds: np.ndarray


@dataclass(slots=True)
class _Log:
    """Grows by one frame after the other."""

    regions: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, region: np.ndarray | int, seconds: float) -> None:
        self.regions.append(np.atleast_1d(np.asarray(region, float)))
        self.seconds.append(seconds)


def ground_truth_regions(sequence: TrackingSequence) -> RegionArray:
    """Give the truth as the benchmark has it: its regions, or else its boxes.

    Raises:
        DatasetError: a frame has none.
    """
    corner, far = sequence.boxes[:, :2], sequence.boxes[:, 2:]
    boxes = np.concatenate((corner, far - corner), axis=1)
    regions = boxes if sequence.regions is None else [np.array(r) for r in sequence.regions]
    try:
        return RegionArray.from_regions(regions)
    except ValueError as error:
        raise DatasetError(
            f"{sequence.name}: the protocol `reset` needs a region in every frame: {error}. "
            "Use --protocol ope."
        ) from error


def run_with_resets(tracker: BoxTracker, sequence: TrackingSequence) -> ResetRun:
    """Run a tracker to the end; where it fails, start it again five frames later.

    It fails where its region and the truth share no pixel of the image, by the rules `pysot` with
    the image as bounds, as in the challenges' own toolkit; or where it gives NaN.

    Args:
        tracker: told the truth's extent at each start. Its `update` may also answer a polygon,
            x1, y1, x2, y2 ...
        sequence: with a region in every frame.

    Raises:
        DatasetError: a frame has no truth.
        SourceError: a frame cannot be read.
        TargetError: the tracker's answer is no region.

    Source: Kristan et al., TPAMI 2016; the VOT toolkit of 2016 to 2018.
    """
    truth, log = ground_truth_regions(sequence), _Log()
    while len(log.regions) < len(sequence):
        _run_to_failure(tracker, sequence, truth, log)
    return ResetRun(regions=tuple(log.regions), seconds=np.array(log.seconds))


def _run_to_failure(
    tracker: BoxTracker, sequence: TrackingSequence, truth: RegionArray, log: _Log
) -> None:
    """Start on the next frame and go on to the first failure, or to the end."""
    first = len(log.regions)
    images = sequence.images(first)
    image = next(images)
    bounds = image.shape[1] - 1, image.shape[0] - 1
    started = time.perf_counter()
    tracker.init(image, tuple(xyxy_to_xywh(sequence.boxes[first]).tolist()))
    log.add(INITIALIZED, time.perf_counter() - started)
    for frame, image in enumerate(images, start=first + 1):
        started = time.perf_counter()
        answer = tracker.update(image)
        seconds = time.perf_counter() - started
        region = _to_region(answer, sequence.name, frame)
        if _meet(region, truth[frame], bounds):
            log.add(region, seconds)
            continue
        log.add(FAILED, seconds)
        for _ in range(min(RESTART_AFTER, len(sequence) - frame) - 1):
            log.add(SKIPPED, 0.0)
        return


def _meet(region: np.ndarray, truth: Region, bounds: tuple[int, int]) -> bool:
    return bool(np.isfinite(region).all()) and region_overlap(region, truth, bounds, "pysot") > 0


def _to_region(answer: object, name: str, frame: int) -> np.ndarray:
    region = np.asarray(answer, dtype=np.float64)
    if region.ndim != 1 or not (len(region) == 4 or (len(region) >= 6 and len(region) % 2 == 0)):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must answer x, y, w, h or a polygon "
            f"x1, y1, x2, y2 ..., got {answer!r}. Mend its update."
        )
    # What is judged is what will be written: files hold four decimals.
    return np.round(region, 4)
