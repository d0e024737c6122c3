"""`cyclesiam track`: track objects through a video."""

import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
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
    describe_runtime,
    show_progress,
    wrong_usage,
)
from cyclesiam.cli.outputs import check_sources_kept
from cyclesiam.cli.signals import hold_signals
from cyclesiam.cli.track_report import Report
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import SourceError
from cyclesiam.files import check_output, is_same_file
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
    is_pattern,
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
    """Video file, folder of images, camera number or stream URL; `-` is standard input."""
    box: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """Object in the first frame that is tracked: left, top, width, height in pixels. Repeat for
    more objects."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """File for results, by its name `.csv`, `.json` or else JSON lines; `-` is standard output.
    By default SOURCE's name with `.jsonl`, in this folder."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4", help_behavior_hint="")] = None
    """Also write a video with the boxes drawn in."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace results and a video that are there already."""
    start_frame: int = 0
    """Frame in which the objects are given; frames count from 0, and those before are skipped."""
    end_frame: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Last frame to track; by default the source's last."""
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
    skip_broken: bool = False
    """Leave out images of a folder that cannot be read; else the first one ends the command."""
    runtime: Runtime = field(default_factory=RuntimeConfig)

    def __call__(self) -> None:
        """Track to the source's end, or to where it breaks, and print where the results are."""
        output = self.output or default_output(self.source)
        self._check(output)
        check_output(output, overwrite=self.overwrite)
        if self.video:
            VideoWriter(self.video, 1, overwrite=self.overwrite)  # checks its name, too
        tracker, runtime = self._make_tracker()  # before a live source is opened
        source = open_frames(
            self.source,
            reconnect_timeout=self.reconnect,
            on_event=_print_event,
            skip_broken=self.skip_broken,
        )
        latency = self._latency(source)
        frames = ReadAhead(source, latency=latency)
        report = Report(len(self.box), runtime, frames, latency)
        try:
            with ExitStack() as stack:
                stack.enter_context(frames)
                results = stack.enter_context(ResultWriter(output, overwrite=self.overwrite))
                video = self.video and stack.enter_context(
                    VideoWriter(
                        self.video,
                        source.fps,
                        overwrite=self.overwrite,
                        pixel_aspect=source.pixel_aspect,
                    )
                )
                for frame, targets in self._track(tracker, frames, source.count):
                    result = FrameResult(frame=frame.index, time=frame.time, targets=targets)
                    with hold_signals():  # the video has the frames of the results
                        results.write(result)
                        if video:
                            drawn = draw_results(frame.image, targets)
                            video.write(drawn, frame.time - report.begin(frame.time))
                        report.count(targets)
        finally:  # results are kept, and reported, after an error, too
            report.print(output, self.video)

    def _track(
        self, tracker: Tracker, frames: ReadAhead, count: int | None
    ) -> Iterator[tuple[Frame, tuple[TrackResult, ...]]]:
        """Track through the frames that were asked for."""
        if count is not None:
            end = count if self.end_frame is None else min(count, self.end_frame + 1)
            count = max(end - self.start_frame, 0)
        asked = self._asked_frames(frames)
        tracked = track_frames(tracker, asked, self.box, pipelined=self.is_pipelined)
        return show_progress(tracked, "tracking", count)

    def _asked_frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames from `start_frame` to `end_frame`, and read no more.

        Raises:
            SourceError: the source ends before.
        """
        frame = None
        for frame in frames:
            if frame.index >= self.start_frame:
                yield frame
            if frame.index == self.end_frame:
                return
        last = -1 if frame is None else frame.index
        if last < self.start_frame:
            raise SourceError(
                f"{self.source}: the last frame is {last}, counted from 0, but --start-frame is "
                f"{self.start_frame}; choose an earlier one"
            )

    def _make_tracker(self) -> tuple[Tracker, str]:
        """Return the tracker, and what runs its network."""
        runtime = self.runtime
        if self.is_pipelined:
            runtime = replace(runtime, threads=self._threads - 1)
        with wrong_usage():
            tracker = Tracker(self.weights, device=self.device, masks=self.masks, **asdict(runtime))
        return tracker, describe_runtime(tracker.network, tracker.device)

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
        end = math.inf if self.end_frame is None else self.end_frame
        if not 0 <= self.start_frame <= end:
            raise UsageError("--start-frame must be 0 or more, and --end-frame not before it")
        check_sources_kept([self.source], output, self.video)
        if self.video and is_same_file(self.video, output):
            raise UsageError(f"{output}: --output and --video name the same file; name two files")


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
    >>> default_output("-").name
    'stdin.jsonl'
    >>> default_output("rtsp://10.0.0.5:554/live/door?user=me").name
    'door.jsonl'
    """
    if source == "-":
        return Path("stdin.jsonl")
    if is_camera(source):
        return Path(f"camera{source}.jsonl")
    if is_url(source):
        url = urlparse(source)
        return Path(f"{Path(url.path).stem or url.hostname or 'stream'}.jsonl")
    path = Path(source).resolve()
    if is_pattern(source):  # of files in a folder, which has a name
        path = next((above for above in path.parents if not is_pattern(above)), path)
        return Path(f"{path.name}.jsonl")
    return Path(f"{path.name if path.is_dir() else path.stem}.jsonl")
