"""`cyclesiam export`: graphs that run outside of PyTorch, checked against the network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from cyclesiam.cli.options import (
    Threads,
    UsageError,
    Weights,
    count_noun,
    load_tracker_config,
    show_progress,
    show_waiting,
    use_threads,
)
from cyclesiam.data.scenes import find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.deployment.bundles import Manifest
from cyclesiam.deployment.export import GraphBatch, export, export_int8
from cyclesiam.deployment.parity import clip_inputs
from cyclesiam.deployment.runtimes import Format
from cyclesiam.files import check_output_folder
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.config import CONFIG_FILE, dump_config
from cyclesiam.validation.calibration import ACCEPTANCE_EXAMPLES, check_score, track_scenes
from cyclesiam.validation.examples import make_examples


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a network as graphs for ONNX Runtime or OpenVINO; both run on CPUs.

    cyclesiam export --weights runs/mine --format onnx --output runs/mine_onnx
    """

    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """A new folder for the bundle. Use it as --weights of track, demo or evaluate."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` wrote."""
    format: Format = "onnx"
    """onnx: for ONNX Runtime and OpenVINO; openvino: for OpenVINO only."""
    batch: GraphBatch = "one"
    """one: graphs for one target, which are faster; several targets run in parallel. any: graphs
    for any number of targets at once, for your own programs."""
    int8: tyro.conf.FlagCreatePairsOff[bool] = False
    """Compute convolutions in 8 bits; written only if the label-free score does not fall."""
    calibration: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="[SOURCE ...]", help_behavior_hint="")
    ] = ()
    """For --int8: videos, images or folders to calibrate and score with; no label is read."""
    threads: Threads = None
    """Threads that compute; few by default."""

    def __call__(self) -> None:
        """Export a network, check the bundle, and print what was measured."""
        if self.int8 != bool(self.calibration):
            raise UsageError("--int8 and --calibration SOURCE ... go together: one needs the other")
        use_threads(self.threads)
        check_output_folder(self.output)
        network, record = load_weights(self.weights, trainable=True)
        write = self._make_int8_export() if self.int8 else export
        clip = make_demo_clip(frames=9)
        manifest = write(
            network,
            record,
            self.output,
            format=self.format,
            batch=self.batch,
            inputs=clip_inputs(network.config, clip.images, clip.boxes),
            files={CONFIG_FILE: dump_config(load_tracker_config(self.weights))},
        )
        self._report(manifest, record.policy)

    def _make_int8_export(self) -> Callable[..., Manifest]:
        with enforce_policy("none"):
            with show_waiting("looking for videos and images"):
                scenes, _ = find_scenes(self.calibration)
            examples = make_examples(scenes, ACCEPTANCE_EXAMPLES, show=show_progress)
        print(
            f"Calibrating on {count_noun(len(scenes), 'scene')}, then scoring float32 and int8 on "
            f"{count_noun(len(examples), 'example')}: some minutes.",
            flush=True,
        )
        return partial(
            export_int8,
            calibrate=partial(track_scenes, scenes=scenes, show=show_progress),
            accept=partial(check_score, examples=examples, show=show_progress),
        )

    def _report(self, manifest: Manifest, policy: str) -> None:
        print(f"Weights {self.weights}, trained by the label policy `{policy}`.")
        for name, measured in manifest.measured.items():
            numbers = ", ".join(f"{key} {value:.2g}" for key, value in measured.items())
            print(f"{name.replace('_', ' ')}: {numbers}")
        print(f"Bundle ({manifest.format}, {manifest.numbers}): {self.output}")
