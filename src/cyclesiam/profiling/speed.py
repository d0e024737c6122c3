"""Speed of trackers on this machine, measured in turn, and the stages of CycleSiam's step.

Only real tracking is measured. A network in a `TimedNetwork` notes when a step calls it; the time
between its calls is named after what the tracker does there.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.geometry.boxes import XYWH
from cyclesiam.profiling.timer import STAGES, StageTimer, TimedNetwork
from cyclesiam.threads import get_num_threads, set_num_threads
from cyclesiam.tracking.drawing import draw_results
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from cyclesiam.video import open_frames

BUSY_WAIT = 0.1  # seconds; idle threads of OpenCV stop spinning within this time


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTiming:
    """The time of one tracker over all frames once, in milliseconds a frame.

    Args:
        stages: wall time of each of `STAGES`.
        cpu: CPU time of all threads for decoding and the step, without `paste`.
    """

    stages: dict[str, float]
    cpu: float

    @property
    def wall(self) -> float:
        """Wall time of decoding and the step, without `paste`, which only a video needs."""
        return sum(spent for stage, spent in self.stages.items() if stage != "paste")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A source, targets in it, and the number of frames to track.

    Args:
        source: a video file or image folder.
        boxes: targets in the first frame, xywh in pixels.
        frames: number of frames to track after the first.
    """

    source: Path
    boxes: tuple[XYWH, ...]
    frames: int

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.boxes:
            raise ValueError(f"there must be frames and boxes to track, got {self}")


class TimedTracker(Protocol):
    """A tracker that can be timed over a workload."""

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], timer: StageTimer) -> None:
        """Start tracking in the first frame."""
        ...

    def step(self, image: np.ndarray, timer: StageTimer) -> None:
        """Track into the next frame, and start only stages of the step."""
        ...

    def draw(self, image: np.ndarray) -> None:
        """Draw the results into the frame."""
        ...


class TimedCycleSiam:
    """CycleSiam, timed stage by stage; all targets are one batch.

    Args:
        network: of the tracker.
        device: of the network.
        config: of the tracker.
        threads: that PyTorch and OpenCV may use; None to leave them as they are.
    """

    def __init__(
        self,
        network: Network,
        device: str,
        config: TrackerConfig,
        *,
        threads: int | None = None,
    ) -> None:
        self._network, self._device, self._threads = network, device, threads
        self._config = config

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], timer: StageTimer) -> None:
        """Start tracking in the first frame."""
        if self._threads is not None:
            set_num_threads(self._threads)
        if self._device.startswith("cuda"):
            import torch  # found the device, so it is installed

            timer.finish = torch.cuda.synchronize
        network = TimedNetwork(self._network, timer)
        self._tracker = Tracker(network, self._config, device=self._device)
        self._results = self._tracker.start(image, boxes)

    def step(self, image: np.ndarray, timer: StageTimer) -> None:
        """Track into the next frame."""
        timer.start("crop")
        self._results = self._tracker.step(image)

    def draw(self, image: np.ndarray) -> None:
        """Draw boxes and masks."""
        draw_results(image, self._results)


class TimedPipelined:
    """CycleSiam with its update in a second thread; only whole steps are timed.

    Args:
        network: of the tracker.
        device: of the network.
        config: of the tracker.
        threads: that PyTorch and OpenCV may use, beside the second thread.
    """

    def __init__(
        self, network: Network, device: str, config: TrackerConfig, *, threads: int
    ) -> None:
        self._network, self._device, self._threads = network, device, threads
        self._config = config

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], timer: StageTimer) -> None:
        """Start tracking in the first frame."""
        set_num_threads(self._threads)
        tracker = Tracker(self._network, self._config, device=self._device)
        self._results = tracker.start(image, boxes)
        self._pipelined, self._pending = PipelinedTracker(tracker), None

    def step(self, image: np.ndarray, timer: StageTimer) -> None:
        """Track into the next frame, and wait for the results of the one before."""
        timer.start("step")
        before, self._pending = self._pending, self._pipelined.submit(image)
        if before is not None:
            self._results = before.result()

    def draw(self, image: np.ndarray) -> None:
        """Draw nothing: the masks of this frame are not there yet."""


class TimedOpenCV:
    """One of OpenCV's trackers, an instance for each target.

    Args:
        make: makes an instance.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make: Callable[[], BoxTracker] = make

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], timer: StageTimer) -> None:
        """Start tracking in the first frame."""
        self._trackers = [self._make() for _ in boxes]
        for tracker, box in zip(self._trackers, boxes, strict=True):
            tracker.init(image, box)

    def step(self, image: np.ndarray, timer: StageTimer) -> None:
        """Track into the next frame."""
        timer.start("step")
        for tracker in self._trackers:
            tracker.update(image)

    def draw(self, image: np.ndarray) -> None:
        """Draw nothing: only the step of these trackers is compared."""


def time_once(tracker: TimedTracker, workload: Workload) -> RunTiming:
    """Time a tracker over all frames of a workload, without its start.

    Raises:
        SourceError: the source has fewer frames than the workload.
    """
    timer, cpu = StageTimer(), 0.0
    with open_frames(workload.source) as frames:
        tracker.start(next(frames).image, workload.boxes, timer)
        timer.start(None)
        timer.spent = dict.fromkeys(STAGES, 0.0)
        for number in range(workload.frames):
            cpu_before = time.process_time()
            timer.start("decode")
            frame = next(frames, None)
            if frame is None:
                raise SourceError(
                    f"{workload.source}: has only {number + 1} frames; ask for at most "
                    f"{number} after the first"
                )
            tracker.step(frame.image, timer)
            timer.start(None)
            cpu += time.process_time() - cpu_before
            timer.start("paste")
            tracker.draw(frame.image)
            timer.start(None)
    stages = {stage: spent / workload.frames for stage, spent in timer.spent.items()}
    return RunTiming(stages=stages, cpu=1000 * cpu / workload.frames)


def time_rounds(
    trackers: dict[str, TimedTracker], workload: Workload, rounds: int
) -> Iterable[dict[str, RunTiming]]:
    """Time trackers in turn, in several rounds; yield the timings of each round by tracker.

    Before the first round each tracker runs over a few frames to warm up.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be 1 or more, got {rounds}")
    warm_up = Workload(source=workload.source, boxes=workload.boxes, frames=min(3, workload.frames))
    for tracker in trackers.values():
        time_once(tracker, warm_up)
    for _ in range(rounds):
        timings = {}
        for name, tracker in trackers.items():
            time.sleep(BUSY_WAIT)
            timings[name] = time_once(tracker, workload)
        yield timings


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The time of a tracker over all rounds, in milliseconds a frame.

    Args:
        stages: median of each of `STAGES`.
        wall: median of decoding and the step together.
        least: wall time of the fastest round.
        most: wall time of the slowest round.
        cpu: median of the CPU time of all threads.
    """

    stages: dict[str, float]
    wall: float
    least: float
    most: float
    cpu: float

    @property
    def fps(self) -> float:
        """Frames decoded and tracked in a second."""
        return 1000 / self.wall


def summarize(runs: Sequence[RunTiming]) -> Timing:
    """Return medians and range of the runs of one tracker."""
    walls = [run.wall for run in runs]
    return Timing(
        stages={stage: statistics.median(run.stages[stage] for run in runs) for stage in STAGES},
        wall=statistics.median(walls),
        least=min(walls),
        most=max(walls),
        cpu=statistics.median(run.cpu for run in runs),
    )


def first_reaching(timings: dict[str, Timing], fps: float) -> str | None:
    """Return the name of the first tracker that reaches a frame rate; None if there is none."""
    return next((name for name, timing in timings.items() if timing.fps >= fps), None)


def replicate_boxes(boxes: Sequence[XYWH], count: int) -> tuple[XYWH, ...]:
    """Return `count` boxes: the given ones, then copies shifted right by a tenth of their width.

    >>> replicate_boxes([(10.0, 20.0, 30.0, 40.0)], 3)
    ((10.0, 20.0, 30.0, 40.0), (13.0, 20.0, 30.0, 40.0), (16.0, 20.0, 30.0, 40.0))
    """

    def shifted(number: int) -> XYWH:
        x, y, w, h = boxes[number % len(boxes)]
        return x + w * (number // len(boxes)) / 10, y, w, h

    return tuple(shifted(number) for number in range(count))


def set_threads(count: int | None) -> int:
    """Set the threads of PyTorch and OpenCV if a count is given; return their number."""
    if count is not None:
        set_num_threads(count)
    return get_num_threads()
