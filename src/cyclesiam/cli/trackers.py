"""The option `--tracker`: this package's tracker, OpenCV's, or anyone's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cyclesiam.cli.options import UsageError, load_network, load_tracker_config, resolve_device
from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.trackers.cyclesiam import CycleSiamTracker, OutputRegion
from cyclesiam.evaluation.trackers.opencv import OPENCV_NETWORKS, OPENCV_TRACKERS
from cyclesiam.evaluation.trackers.specs import TrackerSpec, opencv_tracker, python_tracker
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.tracking.tracker import Tracker, TrackerConfig

if TYPE_CHECKING:
    from cyclesiam.models.siamrpn import SiamRPN

OURS = "cyclesiam"
REGIONS: dict[str, OutputRegion] = {
    OURS: "box",
    f"{OURS}-no-masks": "bare_box",
    f"{OURS}-rotated": "rotated",
    f"{OURS}-mask": "mask",
}
# Code that results depend on.
IDENTITY_PARTS = ("arrays.py", "geometry", "models", "tracking", "deployment")


@dataclass(frozen=True, slots=True)
class CycleSiamFactory:
    """Make this package's tracker in any process; each process reads the network once.

    Args:
        weights: name of shipped weights, or a folder.
        device: to compute on.
        region: that the tracker returns.
        runtime: of an exported bundle.
    """

    weights: str
    device: str
    region: OutputRegion = "box"
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __call__(self) -> CycleSiamTracker:
        """Make a tracker for one target."""
        network, _ = _network(self.weights, self.device, self.runtime)
        tracker = Tracker(network, load_tracker_config(self.weights), device=self.device)
        return CycleSiamTracker(tracker, region=self.region)


@lru_cache(maxsize=1)
def _network(
    weights: str, device: str, runtime: RuntimeConfig
) -> tuple["SiamRPN | ExportedNetwork", TrainingRecord]:
    return load_network(weights, device, runtime)


def make_specs(
    names: Sequence[str],
    *,
    weights: str,
    device: str,
    runtime: RuntimeConfig | None = None,
    model_files: Sequence[Path] = (),
) -> list[TrackerSpec]:
    """Return the trackers that values of `--tracker` name.

    Args:
        names: `cyclesiam`; `cyclesiam-no-masks`, whose boxes use no masks and cost less;
            `cyclesiam-rotated` and `cyclesiam-mask`, which return the rectangle of least area
            around the mask and the upright one; a name of OpenCV's trackers; or MODULE:FACTORY.
        weights: of `cyclesiam`.
        device: of `cyclesiam`.
        runtime: of `cyclesiam`: backend and threads of an exported bundle.
        model_files: of OpenCV's networks, in the order of the trackers that need them.

    Raises:
        UsageError: a name is unknown or occurs twice, or a model file is not needed.
        CycleSiamError: a tracker cannot be made.
    """
    files, specs = list(model_files), []
    for name in names:
        count = len(OPENCV_NETWORKS[name][1]) if name in OPENCV_NETWORKS else 0
        own, files = files[:count], files[count:]
        if name in REGIONS:
            specs.append(_our_spec(name, weights, device, runtime or RuntimeConfig()))
        elif name in OPENCV_TRACKERS or name in OPENCV_NETWORKS:
            specs.append(opencv_tracker(name, own))
        elif ":" in name:
            specs.append(python_tracker(name))
        else:
            known = ", ".join([*REGIONS, *OPENCV_TRACKERS, *OPENCV_NETWORKS])
            raise UsageError(
                f"there is no tracker {name!r}; give {known}, or MODULE:FACTORY of a Python tracker"
            )
    if files:
        raise UsageError(f"no tracker here needs the model file {files[0]}; leave it out")
    duplicates = {spec.name for spec in specs if [s.name for s in specs].count(spec.name) > 1}
    if duplicates:
        raise UsageError(
            f"two trackers have the name {min(duplicates)}; rename one with NAME=MODULE:FACTORY"
        )
    return specs


def _our_spec(name: str, weights: str, device: str, runtime: RuntimeConfig) -> TrackerSpec:
    resolved = resolve_device(device, weights)
    network, record = _network(weights, resolved, runtime)
    if not network.has_masks and REGIONS[name] in ("rotated", "mask"):
        raise UsageError(f"{name} needs weights with masks; those of {weights} have none")
    digests = f"{_network_digest(network)}{_config_digest(weights)} code {_code_digest()}"
    return TrackerSpec(
        name=name,
        make=CycleSiamFactory(weights, resolved, REGIONS[name], runtime),
        identity=f"weights {digests}",
        weights=weights,
        policy=record.policy,
        initial_weights=record.initial_weights,
    )


def _config_digest(weights: str) -> str:
    """Return a digest of the tracker config that lies with the weights; empty of the default."""
    config = load_tracker_config(weights)
    if config == TrackerConfig():
        return ""
    return f" settings {hashlib.sha256(repr(config).encode()).hexdigest()[:16]}"


def _network_digest(network: "SiamRPN | ExportedNetwork") -> str:
    if isinstance(network, ExportedNetwork):
        return network.digest
    digest = hashlib.sha256(repr(network.config).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _code_digest() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for part in IDENTITY_PARTS:
        root = package / part
        for path in [root] if root.suffix else sorted(root.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
