"""`cyclesiam bench`: how fast weights are on this machine, and where the time goes."""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from cyclesiam import __version__
from cyclesiam.cli.options import (
    Box,
    Device,
    UsageError,
    load_network,
    load_tracker_config,
    resolve_device,
    show_progress,
    wrong_usage,
)
from cyclesiam.cli.outputs import check_json, check_sources_kept
from cyclesiam.cli.trackers import make_specs
from cyclesiam.cli.vot_toolkit import ModelFiles
from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.loading import choose_graphs
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import MissingExtraError, SourceError
from cyclesiam.files import atomic_path
from cyclesiam.geometry.boxes import XYWH, xyxy_to_xywh
from cyclesiam.profiling.speed import (
    RunTiming,
    TimedCycleSiam,
    TimedOpenCV,
    TimedPipelined,
    TimedTracker,
    Timing,
    Workload,
    first_reaching,
    replicate_boxes,
    set_threads,
    summarize,
    time_rounds,
)
from cyclesiam.profiling.timer import STAGES
from cyclesiam.synthetic.demo_clip import make_demo_clip, make_demo_grid
from cyclesiam.threads import describe_processor
from cyclesiam.video import VideoWriter

if TYPE_CHECKING:
    from cyclesiam.models.siamrpn import SiamRPN

WIDTH, HEIGHT, FPS = 640, 480, 25.0  # of the synthetic clip
PeerName = Literal["csrt", "kcf", "mil", "nano", "vit"]
BenchRuntime = Literal["auto", "onnxruntime", "openvino", "openvino-bf16", "pytorch"]
RUNTIMES: dict[BenchRuntime, RuntimeConfig] = {
    "auto": RuntimeConfig(),
    "onnxruntime": RuntimeConfig(runtime="onnxruntime"),
    "openvino": RuntimeConfig(runtime="openvino", precision="f32"),
    "openvino-bf16": RuntimeConfig(runtime="openvino", precision="bf16"),
    "pytorch": RuntimeConfig(runtime="pytorch"),
}
TABLE_WIDTH = 132  # characters, if the output is no terminal


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Time weights on this machine, stage by stage, and OpenCV's trackers for comparison.

    All are measured in turn, in rounds. On a busy machine, compare medians and ratios only.
    cyclesiam bench --weights default --fps 30
    """

    weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WEIGHTS")] = ("default",)
    """Names of shipped weights, folders of weights or exported bundles; the best quality first."""
    runtimes: tuple[BenchRuntime, ...] = ("auto",)
    """Runtimes of weights that have graphs; each is measured."""
    peers: tuple[PeerName, ...] = ("csrt", "kcf")
    """OpenCV's trackers to compare with; CPU time is given as a ratio to the first."""
    model_files: ModelFiles = ()
    """Model files: of nano, backbone and head; of vit, the network."""
    targets: int = 1
    """Objects to track at once."""
    source: Annotated[str | None, tyro.conf.arg(metavar="SOURCE", help_behavior_hint="")] = None
    """Video file or image folder. By default a synthetic clip of 640x480 is written and decoded;
    for several targets, a grid of clips of 320x240."""
    box: tyro.conf.UseAppendAction[tuple[Box, ...]] = ()
    """Object in the source's first frame, in pixels. Repeat for more objects."""
    masks: bool = True
    """Also predict a mask for each object, if the weights can."""
    frames: int = 60
    """Frames to track in each round."""
    rounds: int = 5
    """Rounds in which everything is measured."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    """Threads of torch and of OpenCV; by default as many as `track` uses."""
    fps: Annotated[float | None, tyro.conf.arg(metavar="FPS", help_behavior_hint="")] = None
    """Print the first weights that reach this many frames per second."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Also write the numbers of all rounds to this file."""
    device: Device = "auto"
    """Device to compute on: auto, cpu, cuda or cuda:N."""

    def __call__(self) -> None:
        """Measure, and print the table and which weights are fast enough."""
        self._check()
        check_sources_kept([self.source] if self.source else [], self.json)
        check_json(self.json)
        threads = set_threads(self.threads)
        ours = self._load_trackers(threads)
        trackers: dict[str, TimedTracker] = {**ours, **make_peers(self.peers, self.model_files)}
        with self._workload() as workload:
            measured = time_rounds(trackers, workload, self.rounds)
            rounds = list(show_progress(measured, "measuring", self.rounds))
        runs = {name: [timing[name] for timing in rounds] for name in trackers}
        timings = {name: summarize(timing) for name, timing in runs.items()}
        print(f"{describe_processor()}; {threads} threads.")
        peer = next((name for name in self.peers if name in timings), None)
        print_timings(timings, f"{self.frames} frames, {self.rounds} rounds", peer)
        if self.fps is not None:
            print(self._verdict({name: timings[name] for name in ours}, self.fps))
        if self.json:
            settings = {"threads": threads, "device": self.device, "targets": self.targets}
            write_timings(self.json, settings, runs, timings)

    def _load_trackers(self, threads: int) -> dict[str, TimedTracker]:
        """Load all weights, and those with graphs once for each runtime."""
        trackers: dict[str, TimedTracker] = {}
        for weights in self.weights:
            with wrong_usage():
                graphs = choose_graphs(weights, self.device, RuntimeConfig())
            for runtime in self.runtimes if graphs else ("auto",):
                where = resolve_device(self.device, weights, RUNTIMES[runtime])
                name = weights if runtime == "auto" else f"{weights} {runtime}"
                config = load_tracker_config(weights, masks=self.masks)
                network = self._load(weights, runtime, where, threads)
                trackers[name] = TimedCycleSiam(network, where, config, threads=threads)
                if network.has_masks and self.masks and threads > 1:  # as `track` does
                    network = self._load(weights, runtime, where, threads - 1)
                    pipelined = TimedPipelined(network, where, config, threads=threads - 1)
                    trackers[f"{name}, beside"] = pipelined
        return trackers

    def _load(
        self, weights: str, runtime: BenchRuntime, device: str, threads: int
    ) -> "SiamRPN | ExportedNetwork":
        config = replace(RUNTIMES[runtime], threads=threads)
        return load_network(weights, device, config, masks=self.masks)[0]

    def _check(self) -> None:
        for name in ("targets", "frames", "rounds", "threads"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise UsageError(f"--{name} must be 1 or more, got {count}")
        if self.fps is not None and not self.fps > 0:
            raise UsageError(f"--fps must be above 0, got {self.fps:g}")
        if (self.source is None) != (not self.box):
            raise UsageError("--source and --box X,Y,W,H belong together; give both or none")
        if not self.weights or len(set(self.weights)) < len(self.weights):
            raise UsageError("--weights: give one or more, each only once")

    @contextmanager
    def _workload(self) -> Iterator[Workload]:
        """Yield what is tracked; a synthetic clip is deleted afterwards."""
        if self.source is not None:
            boxes = replicate_boxes(self.box, max(self.targets, len(self.box)))
            yield Workload(source=Path(self.source), boxes=boxes, frames=self.frames)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made.mp4"
            boxes = write_demo_clip(path, self.frames + 1, self.targets)
            yield Workload(source=path, boxes=boxes, frames=self.frames)

    def _verdict(self, timings: dict[str, Timing], fps: float) -> str:
        name = first_reaching(timings, fps)
        if name is not None:
            return f"{name} reaches {fps:g} frames per second here ({timings[name].fps:.1f})."
        best = max(timings, key=lambda one: timings[one].fps)
        return (
            f"None of these reaches {fps:g} frames per second here; the fastest is {best}, "
            f"{timings[best].fps:.1f}."
        )


def write_demo_clip(path: Path, frames: int, targets: int = 1) -> tuple[XYWH, ...]:
    """Write a synthetic clip as a video, and return its targets' first boxes, xywh."""
    if targets > 1:
        images, tracks = make_demo_grid(targets, frames)
        boxes = tracks[0]
    else:
        clip = make_demo_clip(frames=frames, width=WIDTH, height=HEIGHT)
        images, boxes = clip.images, clip.boxes[:1]
    with VideoWriter(path, FPS) as video:
        for image in images:
            video.write(image)
    return tuple(map(tuple, xyxy_to_xywh(boxes).tolist()))


def make_peers(names: Sequence[str], model_files: Sequence[Path]) -> dict[str, TimedTracker]:
    """Return OpenCV's trackers by name, without those that this OpenCV does not have.

    Raises:
        UsageError: a name occurs twice, or a model file is not needed.
        CycleSiamError: a model file is missing.
    """
    peers: dict[str, TimedTracker] = {}
    for spec in make_specs(names, weights="", device="", model_files=model_files):
        try:
            spec.make()
        except MissingExtraError as error:
            print(f"cyclesiam bench: without {spec.name}: {error}", file=sys.stderr)
        else:
            peers[spec.name] = TimedOpenCV(spec.make)
    return peers


def print_timings(timings: dict[str, Timing], title: str, peer: str | None) -> None:
    """Print milliseconds a frame, medians over rounds: one row for each tracker.

    Args:
        timings: by name of the tracker.
        title: of the table.
        peer: tracker to whose CPU time all are given as a ratio; None for no ratio.
    """
    table = Table(title=f"milliseconds a frame; {title}")
    table.add_column("tracker", overflow="fold")
    ratios = [] if peer is None else [f"of {peer.upper()}"]
    for heading in (*STAGES, "decode + step", "fps", "CPU", *ratios):
        table.add_column(heading, justify="right")
    for name, timing in timings.items():
        spent = dict(timing.stages)
        spent["step"] = timing.wall - spent["decode"]
        cells = [f"{spent[stage]:.1f}" if spent[stage] else "" for stage in STAGES]
        whole = f"{timing.wall:.1f} ({timing.least:.1f}..{timing.most:.1f})"
        cells += [whole, f"{timing.fps:.1f}", f"{timing.cpu:.1f}"]
        if peer is not None:
            cells.append(f"{timing.cpu / timings[peer].cpu:.2f}")
        table.add_row(name, *cells)
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    console.print(table, markup=False)


def write_timings(
    file: Path,
    settings: dict[str, str | int],
    runs: dict[str, list[RunTiming]],
    timings: dict[str, Timing],
) -> None:
    """Write all numbers as JSON, milliseconds a frame.

    Raises:
        SourceError: the file cannot be written.
    """
    trackers = {
        name: asdict(timing) | {"fps": timing.fps, "rounds": [asdict(run) for run in runs[name]]}
        for name, timing in timings.items()
    }
    machine = {
        "processor": describe_processor(),
        "cyclesiam": __version__,
    }
    content = {**machine, **settings, "trackers": trackers}
    try:
        with atomic_path(file) as part:
            part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write {file}: {error.strerror}; choose another") from error
