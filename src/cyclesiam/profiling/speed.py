"""How long trackers take on this machine, measured in turn, and where our own spends it.

Nothing is measured apart from tracking: a network in a `TimedNetwork` notes when a real step calls
it, and what lies between its calls is named by what the tracker does there.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.evaluation.trackers.opencv import OPENCV_TRACKERS
from cyclesiam.geometry.boxes import XYWH
from cyclesiam.profiling.timer import STAGES, StageTimer, TimedNetwork
from cyclesiam.threads import get_num_threads, set_num_threads
from cyclesiam.tracking.drawing import draw_results
from cyclesiam.tracking.following import at_once
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.siamese import Network
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from cyclesiam.video import open_frames

BUSY_WAIT = 0.1  # seconds: for so long at most OpenCV's idle threads burn time that is not ours


@dataclass(frozen=True, kw_only=True, slots=True)
class RunTiming:
    """One tracker, once over the frames; milliseconds a frame.

    Args:
        stages: wall time of each of `STAGES`.
        cpu: CPU time of all threads, decoding and the step; not `paste`.
    """

    stages: dict[str, float]
    cpu: float

    @property
    def wall(self) -> float:
        """Decoding and the step; not `paste`, which only those who want a video do."""
        return sum(spent for stage, spent in self.stages.items() if stage != "paste")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What is tracked.

    Args:
        source: a video file or picture folder.
        boxes: targets in its first frame, xywh.
        frames: how many are tracked after the first.

    Raises:
        SourceError: while tracking: the source has fewer.
    """

    source: Path
    boxes: tuple[XYWH, ...]
    frames: int

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.boxes:
            raise ValueError(f"there must be frames and boxes to track, got {self}")


class TimedTracker(Protocol):
    """Whatever can be timed over a workload."""

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], watch: StageTimer) -> None:
        """Begin anew in the first frame."""
        ...

    def step(self, image: np.ndarray, watch: StageTimer) -> None:
        """Follow into the next frame, and end in no stage but those of the step."""
        ...

    def draw(self, image: np.ndarray) -> None:
        """Draw what was found."""
        ...


class TimedCycleSiam:
    """Our tracker over a network; all targets are one batch.

    Args:
        network: searches.
        device: where it is.
        config: of the tracker.
        threads: that torch may use; None for as many as it does.
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

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], watch: StageTimer) -> None:
        """Begin anew in the first frame."""
        if self._threads is not None:
            set_num_threads(self._threads)
        if self._device.startswith("cuda"):
            watch.finish = torch.cuda.synchronize
        network = TimedNetwork(self._network, watch)
        self._tracker = Tracker(network, self._config, device=self._device)
        self._results = self._tracker.start(image, boxes)

    def step(self, image: np.ndarray, watch: StageTimer) -> None:
        """Follow into the next frame."""
        watch.start("crop")
        self._results = self._tracker.step(image)

    def draw(self, image: np.ndarray) -> None:
        """Draw boxes and masks."""
        draw_results(image, self._results)


class TimedPipelined:
    """Our tracker with a thread that learns and draws masks beside; only whole steps are timed.

    Args:
        network: searches.
        device: where it is.
        config: of the tracker.
        threads: that torch may use, beside that one.
    """

    def __init__(
        self, network: Network, device: str, config: TrackerConfig, *, threads: int
    ) -> None:
        self._network, self._device, self._threads = network, device, threads
        self._config = config

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], watch: StageTimer) -> None:
        """Begin anew in the first frame."""
        set_num_threads(self._threads)
        tracker = Tracker(self._network, self._config, device=self._device)
        self._results = tracker.start(image, boxes)
        self._ahead, self._promise = PipelinedTracker(tracker), at_once(lambda: self._results)

    def step(self, image: np.ndarray, watch: StageTimer) -> None:
        """Follow into the next frame, and take the results of the one before."""
        watch.start("step")
        before, self._promise = self._promise, self._ahead.submit(image)
        self._results = before.result()

    def draw(self, image: np.ndarray) -> None:
        """Draw nothing: no masks are there yet that belong to this frame."""


class TimedOpenCV:
    """One of OpenCV's trackers, once for each target.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], BoxTracker]) -> None:
        self._make = make

    def start(self, image: np.ndarray, boxes: Sequence[XYWH], watch: StageTimer) -> None:
        """Begin anew in the first frame."""
        self._trackers = [self._make() for _ in boxes]
        for tracker, box in zip(self._trackers, boxes, strict=True):
            tracker.init(image, box)

    def step(self, image: np.ndarray, watch: StageTimer) -> None:
        """Follow into the next frame."""
        watch.start("step")
        for tracker in self._trackers:
            tracker.update(image)

    def draw(self, image: np.ndarray) -> None:
        """Draw nothing: of these trackers only the step counts."""


OPENCV_BASELINES = {name: TimedOpenCV(OPENCV_TRACKERS[name]) for name in ("csrt", "kcf")}
"""OpenCV's trackers to compare with, by name."""


def time_once(contestant: TimedTracker, workload: Workload) -> RunTiming:
    """Time a contestant over all frames; starting is not counted."""
    watch, cpu = StageTimer(), 0.0
    with open_frames(workload.source) as frames:
        contestant.start(next(frames).image, workload.boxes, watch)
        watch.start(None)
        watch.spent = dict.fromkeys(STAGES, 0.0)
        for number in range(workload.frames):
            cpu_before = time.process_time()
            watch.start("decode")
            frame = next(frames, None)
            if frame is None:
                raise SourceError(
                    f"{workload.source}: has only {number + 1} frames; ask for at most "
                    f"{number} after the first"
                )
            contestant.step(frame.image, watch)
            watch.start(None)
            cpu += time.process_time() - cpu_before
            watch.start("paste")
            contestant.draw(frame.image)
            watch.start(None)
    stages = {stage: spent / workload.frames for stage, spent in watch.spent.items()}
    return RunTiming(stages=stages, cpu=1000 * cpu / workload.frames)


def time_rounds(
    contestants: dict[str, TimedTracker], workload: Workload, rounds: int
) -> Iterable[dict[str, RunTiming]]:
    """Time all contestants in turn, again and again; each round has one pass of each.

    Before the first, a few frames warm everything up.
    """
    if rounds < 1:
        raise ValueError(f"there must be a round or more, got {rounds}")
    few = Workload(source=workload.source, boxes=workload.boxes, frames=min(3, workload.frames))
    for contestant in contestants.values():
        time_once(contestant, few)
    for _ in range(rounds):
        passes = {}
        for name, contestant in contestants.items():
            time.sleep(BUSY_WAIT)
            passes[name] = time_once(contestant, workload)
        yield passes


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """A contestant over all rounds; milliseconds a frame.

    Args:
        stages: median of each of `STAGES`.
        wall: median of decoding and the step together.
        least: the quickest round.
        most: the slowest.
        cpu: median of the CPU time.
    """

    stages: dict[str, float]
    wall: float
    least: float
    most: float
    cpu: float

    @property
    def fps(self) -> float:
        """Frames per second: decoded and tracked, one after the other."""
        return 1000 / self.wall


def summarize(passes: Sequence[RunTiming]) -> Timing:
    """Give medians and range of one contestant's passes."""
    walls = [one.wall for one in passes]
    return Timing(
        stages={stage: statistics.median(p.stages[stage] for p in passes) for stage in STAGES},
        wall=statistics.median(walls),
        least=min(walls),
        most=max(walls),
        cpu=statistics.median(one.cpu for one in passes),
    )


def first_reaching(timings: dict[str, Timing], fps: float) -> str | None:
    """Name the first, in the order given, that takes no longer than 1 / fps; None of none."""
    return next((name for name, timing in timings.items() if timing.fps >= fps), None)


def replicate_boxes(boxes: Sequence[XYWH], count: int) -> tuple[XYWH, ...]:
    """Give `count` boxes: those given, then the same moved right by a tenth of their width each.

    >>> replicate_boxes([(10.0, 20.0, 30.0, 40.0)], 3)
    ((10.0, 20.0, 30.0, 40.0), (13.0, 20.0, 30.0, 40.0), (16.0, 20.0, 30.0, 40.0))
    """

    def moved(number: int) -> XYWH:
        x, y, w, h = boxes[number % len(boxes)]
        return x + w * (number // len(boxes)) / 10, y, w, h

    return tuple(moved(number) for number in range(count))


def set_threads(count: int | None) -> int:
    """Let torch and OpenCV use so many threads each, or what they use anyway; give how many."""
    if count is not None:
        set_num_threads(count)
    return get_num_threads()
