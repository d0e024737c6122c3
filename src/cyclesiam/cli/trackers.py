"""What `--tracker` means: this package's tracker, OpenCV's, or anyone's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cyclesiam.cli.options import UsageError, load_network, load_tracker_config, resolve_device
from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.trackers.cyclesiam import CycleSiamTracker, OutputRegion
from cyclesiam.evaluation.trackers.opencv import OPENCV_NETWORKS, OPENCV_TRACKERS
from cyclesiam.evaluation.trackers.specs import TrackerSpec, opencv_tracker, python_tracker
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.tracker import Tracker, TrackerConfig

OURS = "cyclesiam"
REGIONS: dict[str, OutputRegion] = {
    OURS: "box",
    f"{OURS}-no-masks": "bare_box",
    f"{OURS}-rotated": "rotated",
    f"{OURS}-mask": "mask",
}
# Code that answers depend on.
IDENTITY_PARTS = ("arrays.py", "geometry", "models", "tracking", "deployment")


@dataclass(frozen=True, slots=True)
class CycleSiamFactory:
    """Makes this package's tracker in any process; the network is read once in each."""

    weights: str
    device: str
    region: OutputRegion = "box"
    running: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __call__(self) -> CycleSiamTracker:
        """Make a tracker for one target."""
        network, _ = _network(self.weights, self.device, self.running)
        tracker = Tracker(network, load_tracker_config(self.weights), device=self.device)
        return CycleSiamTracker(tracker, region=self.region)


@lru_cache(maxsize=1)
def _network(
    weights: str, device: str, running: RuntimeConfig
) -> tuple[SiamRPN | ExportedNetwork, TrainingRecord]:
    return load_network(weights, device, running)


def make_specs(
    names: Sequence[str],
    *,
    weights: str,
    device: str,
    running: RuntimeConfig | None = None,
    model_files: Sequence[Path] = (),
) -> list[TrackerSpec]:
    """Find trackers by what `--tracker` says of each.

    Args:
        names: `cyclesiam`; `cyclesiam-no-masks`, whose boxes heed none and cost less;
            `cyclesiam-rotated` and `cyclesiam-mask`, which answer the least rectangle around the
            mask and its extent; a name of OpenCV's trackers; or MODULE:FACTORY.
        weights: of `cyclesiam`.
        device: of `cyclesiam`.
        running: of `cyclesiam`: what runs an exported bundle, and threads.
        model_files: of OpenCV's networks, in the order of the trackers that need them.

    Raises:
        UsageError: two have the same name, or a file is left over.
        CycleSiamError: a tracker cannot be made.
    """
    files, sources = list(model_files), []
    for name in names:
        count = len(OPENCV_NETWORKS[name][1]) if name in OPENCV_NETWORKS else 0
        own, files = files[:count], files[count:]
        if name in REGIONS:
            sources.append(_our_source(name, weights, device, running or RuntimeConfig()))
        elif name in OPENCV_TRACKERS or name in OPENCV_NETWORKS:
            sources.append(opencv_tracker(name, own))
        elif ":" in name:
            sources.append(python_tracker(name))
        else:
            known = ", ".join([*REGIONS, *OPENCV_TRACKERS, *OPENCV_NETWORKS])
            raise UsageError(
                f"there is no tracker {name!r}; give {known}, or MODULE:FACTORY of a Python tracker"
            )
    if files:
        raise UsageError(f"no tracker here needs the model file {files[0]}; leave it out")
    twice = {source.name for source in sources if [s.name for s in sources].count(source.name) > 1}
    if twice:
        raise UsageError(
            f"two trackers are called {min(twice)}; name one otherwise, as NAME=MODULE:FACTORY"
        )
    return sources


def _our_source(name: str, weights: str, device: str, running: RuntimeConfig) -> TrackerSpec:
    where = resolve_device(device, weights)
    network, record = _network(weights, where, running)
    if not network.has_masks and REGIONS[name] in ("rotated", "mask"):
        raise UsageError(f"{name} needs weights with masks; those of {weights} have none")
    return TrackerSpec(
        name=name,
        make=CycleSiamFactory(weights, where, REGIONS[name], running),
        identity=f"weights {_digest_of(network)}{_settings(weights)} code {_digest_of_code()}",
        weights=weights,
        policy=record.policy,
        initial_weights=record.initial_weights,
    )


def _settings(weights: str) -> str:
    """Tell settings that are not the usual ones from others."""
    config = load_tracker_config(weights)
    if config == TrackerConfig():
        return ""
    return f" settings {hashlib.sha256(repr(config).encode()).hexdigest()[:16]}"


def _digest_of(network: SiamRPN | ExportedNetwork) -> str:
    if isinstance(network, ExportedNetwork):
        return network.digest
    digest = hashlib.sha256(repr(network.config).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _digest_of_code() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for part in IDENTITY_PARTS:
        place = package / part
        for path in [place] if place.suffix else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
