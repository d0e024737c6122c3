"""`cyclesiam track`: track objects through a video."""

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
    Box,
    Device,
    Runtime,
    UsageError,
    Weights,
    count_noun,
    describe_runtime,
    load_network,
    load_tracker_config,
    resolve_device,
    show_progress,
)
from cyclesiam.cli.signals import hold_signals
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.geometry.boxes import XYWH
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

LIVE_LATENCY = 0.2  # seconds; people notice longer delays


@dataclass(frozen=True, kw_only=True)
class Track:
    """Follow one or more objects through a video.

    cyclesiam track street.mp4 --box 120,80,64,48 --video followed.mp4
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Video file, folder of images, camera number or stream URL."""
    box: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """Object in the first frame: left, top, width, height in pixels. Repeat for more objects."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE.jsonl", help_behavior_hint="")] = (
        None
    )
    """File for results, one line of JSON a frame; by default named after SOURCE, in this folder."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4", help_behavior_hint="")] = None
    """Also write a video with the boxes drawn in."""
    masks: bool = True
    """Also predict a mask and a rotated box for each object, if the weights can."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` or `cyclesiam export` wrote."""
    device: Device = "auto"
    """Device to compute on: auto, cpu, cuda or cuda:N."""
    latency: Annotated[float | None, tyro.conf.arg(metavar="MS", help_behavior_hint="")] = None
    """Track only the newest frame, if it was decoded at most so many milliseconds ago; drop others.
    Default for cameras and streams: 200 (`inf` drops none); for files: drop none."""
    reconnect: float = 30.0
    """Seconds for which a broken camera or stream is tried again; 0 for not at all."""
    runtime: Runtime = field(default_factory=RuntimeConfig)

    def __call__(self) -> None:
        """Track to the source's end, or to where it breaks, and print where the results are."""
        output = self.output or default_output(self.source)
        self._check(output)
        tracker, runtime = self._make_tracker()  # before a live source is opened
        source = open_frames(self.source, reconnect_timeout=self.reconnect, on_event=_print_event)
        latency = self._latency(source)
        frames = ReadAhead(source, latency=latency)
        frame_count, started = 0, time.perf_counter()
        lost: Counter[int] = Counter()  # frames, by object
        try:
            with ExitStack() as stack:
                stack.enter_context(frames)
                results = stack.enter_context(ResultWriter(output))
                video = self.video and stack.enter_context(VideoWriter(self.video, source.fps))
                tracked = track_frames(tracker, frames, self.box, pipelined=self.is_pipelined)
                for frame, targets in show_progress(tracked, "tracking", source.count):
                    result = FrameResult(frame=frame.index, time=frame.time, targets=targets)
                    with hold_signals():  # the video has the frames of the results
                        results.write(result)
                        if video:
                            video.write(draw_results(frame.image, targets), frame.time)
                        frame_count += 1
                        lost.update(target.id for target in targets if target.state == "lost")
        finally:  # results are kept, and reported, after an error, too
            if frame_count:
                self._report(frame_count, time.perf_counter() - started, output, runtime)
                if lost:
                    _report_lost(lost)
                if latency is not None:
                    _report_dropped(frames.dropped, frame_count, latency)

    def _make_tracker(self) -> tuple[Tracker, str]:
        """Return the tracker, and what runs its network."""
        runtime = self.runtime
        if self.is_pipelined:
            runtime = replace(runtime, threads=self._threads - 1)
        device = resolve_device(self.device, self.weights, runtime)
        network, _ = load_network(self.weights, device, runtime, masks=self.masks)
        config = load_tracker_config(self.weights, masks=self.masks)
        return Tracker(network, config, device=device), describe_runtime(network, device)

    @property
    def _threads(self) -> int:
        return self.runtime.threads or get_num_threads()

    @property
    def is_pipelined(self) -> bool:
        """Whether a second thread updates targets and predicts masks; never if latency matters."""
        is_live = is_camera(self.source) or is_url(self.source)
        is_urgent = is_live if self.latency is None else self.latency < math.inf
        if not self.masks or self._threads == 1 or is_urgent:
            return False
        return load_metadata(resolve_weights(self.weights))[0].masks

    def _latency(self, source: Frames) -> float | None:
        """Return the age at which frames are dropped, in seconds; None for never."""
        if self.latency is None:
            return LIVE_LATENCY if source.live else None
        return None if math.isinf(self.latency) else self.latency / 1000

    def _check(self, output: Path) -> None:
        if not self.box:
            raise UsageError(
                f"{self.source}: name an object by its box in the first frame, "
                "--box X,Y,W,H in pixels; repeat it for more objects"
            )
        if self.latency is not None and not self.latency > 0:
            raise UsageError(f"--latency must be milliseconds above 0, got {self.latency:g}")
        if not 0 <= self.reconnect < math.inf:
            raise UsageError(f"--reconnect must be 0 seconds or more, got {self.reconnect:g}")
        source = Path(self.source).resolve()
        if source in (output.resolve(), self.video and self.video.resolve()):
            raise UsageError(f"{self.source} would be overwritten; choose another output file")
        if self.video and self.video.resolve() == output.resolve():
            raise UsageError(f"{output}: --output and --video name the same file; name two files")

    def _report(self, frame_count: int, seconds: float, output: Path, runtime: str) -> None:
        print(
            f"Tracked {count_noun(len(self.box), 'object')} through "
            f"{count_noun(frame_count, 'frame')} in {seconds:.1f} s, "
            f"{frame_count / max(seconds, 1e-9):.1f} frames a second ({runtime})."
        )
        print(f"Boxes: {output}")
        if self.video:
            print(f"Video: {self.video}")


def _report_lost(frames: Counter[int]) -> None:
    counts = (
        f"object {id} in {count_noun(count, 'frame')}" for id, count in sorted(frames.items())
    )
    print(f"Lost: {', '.join(counts)}; the boxes of these frames are guesses.")


def _report_dropped(dropped: int, tracked: int, latency: float) -> None:
    total = dropped + tracked
    print(
        f"Dropped {dropped} of {count_noun(total, 'frame')} ({dropped / total:.0%}), "
        f"to stay within {1000 * latency:g} ms."
    )


def _print_event(event: str) -> None:
    print(f"cyclesiam track: {event}", file=sys.stderr)


def track_frames(
    tracker: Tracker, frames: Iterable[Frame], boxes: Sequence[XYWH], *, pipelined: bool = False
) -> Iterator[tuple[Frame, tuple[TrackResult, ...]]]:
    """Track targets through frames; yield each frame with its results.

    Args:
        tracker: it is started anew.
        frames: of a source.
        boxes: xywh in pixels, of the targets in the first frame.
        pipelined: whether a second thread updates targets and predicts masks; each result then
            comes one frame later.
    """
    remaining = iter(frames)
    for frame in islice(remaining, 1):
        yield frame, tracker.start(frame.image, boxes)
    if not pipelined:
        for frame in remaining:
            yield frame, tracker.step(frame.image)
        return
    submitted: deque[Frame] = deque()

    def images() -> Iterator[np.ndarray]:
        for frame in remaining:
            submitted.append(frame)
            yield frame.image

    with PipelinedTracker(tracker) as pipeline:
        for results in pipeline.track(images()):
            yield submitted.popleft(), results


def default_output(source: str) -> Path:
    """Return a file for the results in the current folder, named after the source.

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
