"""`cyclesiam vot-toolkit` and `cyclesiam trax`: trackers in the official VOT toolkit."""

import io
import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from cyclesiam.cli.options import Device, UsageError, Weights
from cyclesiam.cli.trackers import OURS, REGIONS, make_specs
from cyclesiam.evaluation.vot_toolkit.registry import register
from cyclesiam.evaluation.vot_toolkit.trax import serve
from cyclesiam.video import read_image

TrackerName = Annotated[str, tyro.conf.arg(metavar="TRACKER")]
ModelFiles = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[FILE ...]", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class VotToolkit:
    """Register a tracker in a workspace of the official VOT toolkit.

    The toolkit is a program of its own, in its own environment: docs/guides/vot-toolkit.md.
    cyclesiam vot-toolkit --workspace vot2018
    """

    workspace: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder of the toolkit's config.yaml; trackers.ini is written there."""
    tracker: TrackerName = OURS
    """cyclesiam; OpenCV's csrt, kcf, mil, or nano and vit with their files; MODULE:FACTORY of any
    Python tracker with init and update."""
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Name of the tracker in the toolkit; by default the tracker's own."""
    weights: Weights = "default"
    """Of cyclesiam: name of shipped weights, or a folder that `cyclesiam train` wrote."""
    device: Device = "auto"
    """Of cyclesiam: device to compute on: auto, cpu, cuda or cuda:N."""
    model_files: ModelFiles = ()
    """Model files: of nano, backbone and head; of vit, the network."""

    def __call__(self) -> None:
        """Check that the tracker can be made, write the registry, print the next steps."""
        (spec,) = make_specs(
            [self.tracker], weights=self.weights, device=self.device, model_files=self.model_files
        )
        name = self.name or spec.name
        try:
            path = register(self.workspace, name, self._command(), self._environment())
        except ValueError as error:
            raise UsageError(f"--name: {error}") from error
        print(f"Registry: {path}")
        if not (self.workspace / "config.yaml").is_file():
            print("This is no workspace yet; there: vot initialize --nodownload vot2018/shortterm")
        print(f"Then, there: vot evaluate --experiments baseline {name}")

    def _command(self) -> list[str]:
        """Return the command of `Trax`, which the toolkit starts from another folder."""
        words = [sys.executable, "-m", "cyclesiam", "trax", "--tracker", self.tracker]
        if self.tracker in REGIONS:
            folder = Path(self.weights)
            weights = str(folder.resolve()) if folder.is_dir() else self.weights
            words += ["--weights", weights, "--device", self.device]
        if self.model_files:
            words += ["--model-files", *(str(path.resolve()) for path in self.model_files)]
        return words

    def _environment(self) -> dict[str, str]:
        """Return variables with which Python finds a module of this folder from any other."""
        if ":" not in self.tracker:
            return {}
        places = [os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"PYTHONPATH": os.pathsep.join(places)}


@dataclass(frozen=True, kw_only=True)
class Trax:
    """Serve a tracker to a program that speaks TraX, on standard input and output.

    The VOT toolkit starts this command: see cyclesiam vot-toolkit.
    """

    tracker: TrackerName = OURS
    """cyclesiam; OpenCV's csrt, kcf, mil, or nano and vit with their files; MODULE:FACTORY of any
    Python tracker with init and update."""
    weights: Weights = "default"
    """Of cyclesiam: name of shipped weights, or a folder that `cyclesiam train` wrote."""
    device: Device = "auto"
    """Of cyclesiam: device to compute on: auto, cpu, cuda or cuda:N."""
    model_files: ModelFiles = ()
    """Model files: of nano, backbone and head; of vit, the network."""

    def __call__(self) -> None:
        """Serve until the client quits."""
        (spec,) = make_specs(
            [self.tracker], weights=self.weights, device=self.device, model_files=self.model_files
        )
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
        with (
            os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as output,
            redirect_stdout(sys.stderr),  # output of libraries must not mix with messages
        ):
            serve(
                spec.make(),
                lines,
                lambda line: print(line, file=output, flush=True),
                read_image=read_image,
                name=spec.name,
            )
