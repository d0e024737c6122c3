"""`cyclesiam export`: graphs that run without PyTorch's arithmetic, checked against the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from cyclesiam.cli.options import UsageError, Weights, load_tracker_config
from cyclesiam.data.discovery import moving_regions
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.deployment.bundles import ExportedNetwork, Manifest
from cyclesiam.deployment.export import GraphBatch, export, export_int8
from cyclesiam.deployment.parity import ParityInput
from cyclesiam.deployment.runtimes import Format
from cyclesiam.errors import SourceError, TargetError, WeightsError
from cyclesiam.geometry.crops import boxes_to_crop, context_windows, crop
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.config import CONFIG_FILE, dump_config
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.validation.examples import MOTION_GAP, Example, ExampleConfig, make_examples
from cyclesiam.validation.score import label_free_score, paired_gain
from cyclesiam.video import read_frames

CALIBRATED = 12  # scenes that are followed to calibrate
CALIBRATED_FRAMES = 40  # of each
MOST_LOST = 0.01  # of the label-free score, 0..1, that 8 bits may cost
FEWER = ExampleConfig(
    zooms=6, pasted=10, cycles=10, frames=50, cycle_frames=30
)  # two networks track these


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a network as graphs for ONNX Runtime or OpenVINO; both run on CPUs.

    cyclesiam export --weights runs/mine --format onnx --output runs/mine_onnx
    """

    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where the bundle goes; a new folder. Give it as --weights to track, demo or evaluate."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` wrote."""
    format: Format = "onnx"
    """onnx: for ONNX Runtime and OpenVINO; openvino: for OpenVINO alone."""
    batch: GraphBatch = "one"
    """one: graphs for one target, which are faster; several are run side by side. any: graphs that
    take any number at once, for programs of your own."""
    int8: tyro.conf.FlagCreatePairsOff[bool] = False
    """Let convolutions compute in 8 bits; kept only if the label-free score stays."""
    calibration: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="[SOURCE ...]", help_behavior_hint="")
    ] = ()
    """For --int8: videos, pictures or folders to calibrate and judge by; no label is read."""

    def __call__(self) -> None:
        """Export, compare, and say what was found."""
        if self.int8 != bool(self.calibration):
            raise UsageError("--int8 and --calibration SOURCE ... go together: one needs the other")
        network, record = load_weights(self.weights, trainable=True)
        views = demo_inputs(network.config)
        files = {CONFIG_FILE: dump_config(load_tracker_config(self.weights))}
        if not self.int8:
            manifest = export(
                network,
                record,
                self.output,
                format=self.format,
                batch=self.batch,
                views=views,
                files=files,
            )
        else:
            with enforce_policy("none"):
                scenes, _ = find_scenes(self.calibration)
                examples = make_examples(scenes, FEWER)
            manifest = export_int8(
                network,
                record,
                self.output,
                format=self.format,
                batch=self.batch,
                views=views,
                files=files,
                follow=lambda exported: track_scenes(exported, scenes),
                judge=lambda exact, rough: check_score(exact, rough, examples),
            )
        self._report(manifest, record.policy)

    def _report(self, manifest: Manifest, policy: str) -> None:
        print(f"Weights {self.weights}, trained by the label policy `{policy}`.")
        for name, found in manifest.measured.items():
            numbers = ", ".join(f"{key} {value:.2g}" for key, value in found.items())
            print(f"{name.replace('_', ' ')}: {numbers}")
        print(f"Bundle ({manifest.format}, {manifest.numbers}): {self.output}")


def demo_inputs(config: NetworkConfig) -> list[ParityInput]:
    """Give crops of the made clip, of one target and of three at once."""
    clip = make_demo_clip(frames=9)
    frames = [np.moveaxis(image, -1, 0)[None] for image in clip.images]
    boxes = clip.boxes.astype(np.float32)
    views = []
    for times in ((4,), (2, 5, 8)):
        windows = context_windows(boxes[[0] * len(times)])
        scale = config.search_size / config.template_size
        around = context_windows(boxes[[*times]], scale=scale)
        later = np.concat([frames[time] for time in times])
        views.append(
            ParityInput(
                crop(frames[0], windows, config.template_size),
                boxes_to_crop(boxes[:1], windows, config.template_size),
                crop(later, around, config.search_size),
            )
        )
    return views


def track_scenes(network: ExportedNetwork, scenes: list[Scene]) -> None:
    """Follow what moves through some videos, so that a network sees what it will see."""
    tracker, followed = Tracker(network), 0
    for scene in scenes:
        try:
            run = read_frames(scene.path, 0, CALIBRATED_FRAMES)
            moving = moving_regions(run[0], run[MOTION_GAP]) if len(run) > MOTION_GAP else []
            if not len(moving):
                continue
            left, top, right, bottom = moving[0].tolist()
            tracker.init(run[0], (left, top, right - left, bottom - top))
            for image in run[1:]:
                tracker.update(image)
        except (SourceError, TargetError):  # another scene will do
            continue
        followed += 1
        if followed == CALIBRATED:
            return


def check_score(
    exact: ExportedNetwork, rough: ExportedNetwork, examples: list[Example]
) -> dict[str, float]:
    """Compare the label-free scores of two networks.

    Raises:
        WeightsError: the rough one's is lower by more than `MOST_LOST`.
    """
    before, after = (label_free_score(network, examples) for network in (exact, rough))
    rise, error = paired_gain(before, after)
    if rise < -MOST_LOST:
        raise WeightsError(
            f"in 8 bits the label-free score falls from {before.total:.3f} to {after.total:.3f}, "
            f"by more than {MOST_LOST:g}; nothing was written. Give clips more like those to track"
        )
    return {"float32": before.total, "int8": after.total, "rise": rise, "error": error}
