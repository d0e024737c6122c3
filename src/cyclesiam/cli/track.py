"""`cyclesiam track`: follow objects through a video."""

import math
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlparse

import numpy as np
import tyro

from cyclesiam.cli.options import (
    XYWH,
    Box,
    Device,
    Runtime,
    UsageError,
    Weights,
    count_noun,
    load_network,
    load_tracker_config,
    resolve_device,
    show_progress,
)
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.models.metadata import load_metadata, resolve_weights
from cyclesiam.threads import get_num_threads
from cyclesiam.tracking.drawing import draw_results
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.results import FrameResult, ResultWriter, TrackResult
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import (
    Frame,
    Frames,
    ReadAhead,
    VideoWriter,
    is_camera,
    is_url,
    open_frames,
)

LIVE_LATENCY = 0.2  # seconds: about what a person notices


@dataclass(frozen=True, kw_only=True)
class Track:
    """Follow one or more objects through a video.

    cyclesiam track street.mp4 --box 120,80,64,48 --video followed.mp4
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Video file, folder of pictures, camera number or stream URL."""
    box: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """An object in the first frame: left, top, width, height in pixels. Once for each object."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE.jsonl", help_behavior_hint="")] = (
        None
    )
    """Where the boxes go, a line of JSON for each frame; else SOURCE's name in this folder."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4", help_behavior_hint="")] = None
    """Also write the video with the boxes drawn into it."""
    masks: bool = True
    """Also give the pixels of each object, and a rotated box, where the weights can."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` or `cyclesiam export` wrote."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    latency: Annotated[float | None, tyro.conf.arg(metavar="MS", help_behavior_hint="")] = None
    """Follow only the newest frame, and none that was decoded more milliseconds ago; count the
    others as dropped. Cameras and streams: 200, or `inf` to drop none; files: drop none."""
    reconnect: float = 30.0
    """Seconds for which a camera or stream that broke is tried again; 0 for not at all."""
    running: Runtime = field(default_factory=RuntimeConfig)

    def __call__(self) -> None:
        """Follow the boxes to the source's end, or to where it breaks; say where results are."""
        output = self.output or default_output(self.source)
        self._check(output)
        tracker = self._make_tracker()  # before live frames begin to come
        source = open_frames(self.source, reconnect_timeout=self.reconnect, on_event=_warn)
        latency = self._latency(source)
        frames = ReadAhead(source, latency=latency)
        frame_count, started = 0, time.perf_counter()
        lost: Counter[int] = Counter()  # frames, by object
        try:
            with ExitStack() as stack:
                stack.enter_context(frames)
                results = stack.enter_context(ResultWriter(output))
                video = self.video and stack.enter_context(VideoWriter(self.video, source.fps))
                followed = track_frames(
                    tracker, frames, self.box, beside=self._with_a_thread_beside
                )
                for frame, targets in show_progress(followed, "tracking", source.count):
                    results.write(FrameResult(frame=frame.index, time=frame.time, targets=targets))
                    frame_count += 1
                    lost.update(target.id for target in targets if target.state == "lost")
                    if video:
                        video.write(draw_results(frame.image, targets), frame.time)
        finally:  # whatever ended it: what is written stays, and counts
            if frame_count:
                self._report(frame_count, time.perf_counter() - started, output)
                if lost:
                    _report_lost(lost)
                if latency is not None:
                    _report_dropped(frames.dropped, frame_count, latency)

    def _make_tracker(self) -> Tracker:
        device = resolve_device(self.device, self.weights)
        running = self.running
        if self._with_a_thread_beside:
            running = replace(running, threads=self._threads - 1)
        network, _ = load_network(self.weights, device, running, masks=self.masks)
        return Tracker(network, load_tracker_config(self.weights, masks=self.masks), device=device)

    @property
    def _threads(self) -> int:
        return self.running.threads or get_num_threads()

    @property
    def _with_a_thread_beside(self) -> bool:
        """Whether one of the threads learns and draws masks; what is live is answered at once."""
        named_live = is_camera(self.source) or is_url(self.source)
        at_once = named_live if self.latency is None else self.latency < math.inf
        if not self.masks or self._threads == 1 or at_once:
            return False
        return load_metadata(resolve_weights(self.weights))[0].masks

    def _latency(self, source: Frames) -> float | None:
        """Give the age, in seconds, at which frames are dropped; None for never."""
        if self.latency is None:
            return LIVE_LATENCY if source.live else None
        return None if math.isinf(self.latency) else self.latency / 1000

    def _check(self, output: Path) -> None:
        if not self.box:
            raise UsageError(
                f"{self.source}: which object? Give its box in the first frame, "
                "--box X,Y,W,H in pixels, once for each object"
            )
        if self.latency is not None and not self.latency > 0:
            raise UsageError(f"--latency must be milliseconds above 0, got {self.latency:g}")
        if not 0 <= self.reconnect < math.inf:
            raise UsageError(f"--reconnect must be 0 seconds or more, got {self.reconnect:g}")
        source = Path(self.source).resolve()
        if source in (output.resolve(), self.video and self.video.resolve()):
            raise UsageError(f"{self.source} would be overwritten; write to another file")
        if self.video and self.video.resolve() == output.resolve():
            raise UsageError(f"{output}: --output and --video are one file; name two")

    def _report(self, frame_count: int, seconds: float, output: Path) -> None:
        print(
            f"Followed {count_noun(len(self.box), 'object')} through "
            f"{count_noun(frame_count, 'frame')} in {seconds:.1f} s, "
            f"{frame_count / max(seconds, 1e-9):.1f} frames a second."
        )
        print(f"Boxes: {output}")
        if self.video:
            print(f"Video: {self.video}")


def _report_lost(frames: Counter[int]) -> None:
    counts = (
        f"object {id} in {count_noun(count, 'frame')}" for id, count in sorted(frames.items())
    )
    print(f"Lost: {', '.join(counts)}; their boxes there are guesses.")


def _report_dropped(dropped: int, followed: int, latency: float) -> None:
    total = dropped + followed
    print(
        f"Dropped {dropped} of {count_noun(total, 'frame')} ({dropped / total:.0%}), so as not to "
        f"fall behind by more than {1000 * latency:g} ms."
    )


def _warn(news: str) -> None:
    print(f"cyclesiam track: {news}", file=sys.stderr)


def track_frames(
    tracker: Tracker, frames: Iterable[Frame], boxes: Sequence[XYWH], *, beside: bool = False
) -> Iterator[tuple[Frame, tuple[TrackResult, ...]]]:
    """Start a tracker on the boxes, xywh, in the first frame; give each frame and its results.

    Args:
        tracker: follows.
        frames: all of them.
        boxes: of the targets.
        beside: let a second thread learn and draw masks; each result then comes a frame later.
    """
    waiting = iter(frames)
    for frame in islice(waiting, 1):
        yield frame, tracker.start(frame.image, boxes)
    if not beside:
        for frame in waiting:
            yield frame, tracker.step(frame.image)
        return
    at_work: deque[Frame] = deque()

    def images() -> Iterator[np.ndarray]:
        for frame in waiting:
            at_work.append(frame)
            yield frame.image

    with PipelinedTracker(tracker) as ahead:
        for results in ahead.track(images()):
            yield at_work.popleft(), results


def default_output(source: str) -> Path:
    """Name the results after the source, in the current folder.

    >>> default_output("clips/street.mp4").name, default_output("0").name
    ('street.jsonl', 'camera0.jsonl')
    >>> default_output("rtsp://10.0.0.5:554/live/door?user=me").name
    'door.jsonl'
    """
    if is_camera(source):
        return Path(f"camera{source}.jsonl")
    if is_url(source):
        url = urlparse(source)
        return Path(f"{Path(url.path).stem or url.hostname or 'stream'}.jsonl")
    path = Path(source).resolve()
    return Path(f"{path.name if path.is_dir() else path.stem}.jsonl")
