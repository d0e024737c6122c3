"""`cyclesiam demo`: track through a synthetic clip, which needs no data and under a minute."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.cli.options import (
    Device,
    Runtime,
    UsageError,
    Weights,
    count_noun,
    describe_runtime,
    load_network,
    load_tracker_config,
    make_output_folder,
    resolve_device,
    show_progress,
)
from cyclesiam.cli.track import track_frames
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import SourceError
from cyclesiam.evaluation.metrics.boxes import frame_ious
from cyclesiam.files import atomic_path, check_output_folder
from cyclesiam.synthetic.demo_clip import DemoClip, make_demo_clip
from cyclesiam.tracking.drawing import contact_sheet, draw_box, draw_results
from cyclesiam.tracking.results import FrameResult, ResultWriter, TrackResult
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import Frame, VideoWriter

FPS = 25.0
SHEET_IMAGES = 12
SHEET_COLUMNS = 4
SHEET_WIDTH = 320  # pixels of each image


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Track a beetle through a small synthetic clip, and compare with the true boxes.

    Needs no data and under a minute. cyclesiam demo --output runs/demo
    """

    output: Path = Path("runs/demo")
    """Folder for demo.mp4, demo.jsonl and demo.jpg."""
    frames: int = 120
    """Frames of the clip."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` or `cyclesiam export` wrote."""
    device: Device = "auto"
    """Device to compute on: auto, cpu, cuda or cuda:N."""
    runtime: Runtime = field(default_factory=RuntimeConfig)

    def __call__(self) -> None:
        """Make the clip, track, draw the results, and print the mean overlap."""
        if self.frames < 1:
            raise UsageError(f"--frames must be 1 or more, got {self.frames}")
        check_output_folder(self.output)
        device = resolve_device(self.device, self.weights, self.runtime)
        network, record = load_network(self.weights, device, self.runtime)
        make_output_folder(self.output)
        print(f"Making a clip of {count_noun(self.frames, 'frame')} ...", flush=True)
        clip = make_demo_clip(frames=self.frames)
        started = time.perf_counter()
        tracker = Tracker(network, load_tracker_config(self.weights), device=device)
        results = track_clip(tracker, clip)
        seconds = time.perf_counter() - started
        self._write(clip, results)
        found = np.array([result.targets[0].box for result in results])
        print(
            f"Weights {self.weights}, trained for {count_noun(record.steps, 'step')} by the label "
            f"policy `{record.policy}`.\n"
            f"Mean overlap with the truth: {frame_ious(found, clip.boxes).mean():.2f} "
            f"({len(results) / seconds:.1f} frames a second; "
            f"{describe_runtime(network, device)}).\n"
            f"Look at {self.output / 'demo.mp4'} or {self.output / 'demo.jpg'}: the tracker's box "
            f"has a color, the true box is thin and white. Boxes: {self.output / 'demo.jsonl'}"
        )

    def _write(self, clip: DemoClip, results: list[FrameResult]) -> None:
        images = [
            draw_results(draw_box(image, box), result.targets)
            for image, box, result in zip(clip.images, clip.boxes.tolist(), results, strict=True)
        ]
        with VideoWriter(self.output / "demo.mp4", FPS) as video:
            for image in images:
                video.write(image)
        with ResultWriter(self.output / "demo.jsonl") as lines:
            for result in results:
                lines.write(result)
        write_sheet(self.output / "demo.jpg", images)


def track_clip(tracker: Tracker, clip: DemoClip) -> list[FrameResult]:
    """Track a clip's target from its true box in the first frame."""
    left, top, right, bottom = clip.boxes[0].tolist()
    box = (left, top, right - left, bottom - top)
    frames = (Frame(index, index / FPS, image) for index, image in enumerate(clip.images))

    def as_result(frame: Frame, targets: tuple[TrackResult, ...]) -> FrameResult:
        return FrameResult(frame=frame.index, time=frame.time, targets=targets)

    tracked = show_progress(track_frames(tracker, frames, [box]), "tracking", len(clip.images))
    return [as_result(frame, targets) for frame, targets in tracked]


def write_sheet(path: Path, images: list[np.ndarray]) -> None:
    """Write evenly spaced images, from the first to the last, as one JPEG.

    Raises:
        SourceError: the file cannot be written.
    """
    chosen = np.linspace(0, len(images) - 1, min(SHEET_IMAGES, len(images))).round()
    columns = min(SHEET_COLUMNS, len(chosen))
    sheet = contact_sheet([images[int(i)] for i in chosen], columns=columns, width=SHEET_WIDTH)
    write_image(path, sheet)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image as a JPEG.

    Raises:
        SourceError: the file cannot be written.
    """
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    try:
        with atomic_path(path) as part:
            part.write_bytes(data.tobytes())
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror}); choose another"
        ) from error
