"""`cyclesiam vot-toolkit` and `cyclesiam trax`: our trackers in the official VOT toolkit."""

import io
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cyclesiam.cli.options import Device, UsageError, Weights, find_device, load_network
from cyclesiam.cli.trackers import TrackerName
from cyclesiam.evaluation.opencv_trackers import OPENCV_TRACKERS
from cyclesiam.evaluation.protocols import BoxTracker
from cyclesiam.evaluation.siamese_tracker import SiameseTracker
from cyclesiam.evaluation.trax import serve
from cyclesiam.evaluation.vot_registry import register
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import read_image


@dataclass(frozen=True, kw_only=True)
class VotToolkit:
    """Register a tracker in a workspace of the official VOT toolkit.

    The toolkit is a program of its own, in its own environment: docs/vot_toolkit.md.
    cyclesiam vot-toolkit --workspace vot2018
    """

    workspace: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where the toolkit's config.yaml is; trackers.ini is written there."""
    tracker: TrackerName = "cyclesiam"
    """This package's tracker, or one of OpenCV's to compare with."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """What the toolkit is to call it; by default as the tracker."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` wrote."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""

    def __call__(self) -> None:
        """See that the tracker can be made, write the registry, say what to do next."""
        make_tracker(self.tracker, self.weights, self.device)
        name = self.name or self.tracker
        try:
            path = register(self.workspace, name, self._command())
        except ValueError as error:
            raise UsageError(f"--name: {error}") from error
        print(f"Registry: {path}")
        if not (self.workspace / "config.yaml").is_file():
            print("This is no workspace yet; there: vot initialize --nodownload vot2018/shortterm")
        print(f"Then, there: vot evaluate --experiments baseline {name}")

    def _command(self) -> list[str]:
        words = [sys.executable, "-m", "cyclesiam", "trax", "--tracker", self.tracker]
        if self.tracker == "cyclesiam":
            folder = Path(self.weights)  # the toolkit starts us from another folder
            weights = str(folder.resolve()) if folder.is_dir() else self.weights
            words += ["--weights", weights, "--device", self.device]
        return words


@dataclass(frozen=True, kw_only=True)
class Trax:
    """Serve a tracker to a program that speaks TraX, on standard input and output.

    The VOT toolkit starts this by itself: see cyclesiam vot-toolkit.
    """

    tracker: TrackerName = "cyclesiam"
    """This package's tracker, or one of OpenCV's."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` wrote."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""

    def __call__(self) -> None:
        """Answer until the client has had enough."""
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
        with (
            os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers,
            redirect_stdout(sys.stderr),  # a chatty library must not break a line of ours
        ):
            serve(
                make_tracker(self.tracker, self.weights, self.device),
                lines,
                lambda line: print(line, file=answers, flush=True),
                read_image=read_image,
                name=self.tracker,
            )


def make_tracker(tracker: TrackerName, weights: str, device: str) -> BoxTracker:
    """Make a tracker by its name."""
    if tracker != "cyclesiam":
        return OPENCV_TRACKERS[tracker]()
    place = find_device(device)
    network, _ = load_network(weights, place)
    return SiameseTracker(Tracker(network, device=place))
