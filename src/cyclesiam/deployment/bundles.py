"""Bundles: exported graphs in a folder, and the network that they are.

Beside the graphs, `embed`, `search` and maybe `segment`, lie `config.json` and `record.json` as in
any folder of weights, and `bundle.json`: the format, what was measured, and a digest of each file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.deployment.runtimes import Format, Graph, RuntimeConfig, open_graph
from cyclesiam.deployment.signatures import (
    GraphName,
    flatten_windows,
    signatures,
    stage_name,
    to_graph_layout,
    to_network_layout,
)
from cyclesiam.errors import WeightsError
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.mask_windows import MaskFeatures, slice_mask_windows
from cyclesiam.models.metadata import (
    BUNDLE_FILE,
    TrainingRecord,
    load_metadata,
    read_json,
    resolve_weights,
)

SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}
VERSION = 2  # of what lies in a bundle


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a bundle says of itself."""

    version: int = VERSION
    """Of the graphs' inputs and outputs."""
    format: Format
    """`onnx` or `openvino`."""
    numbers: Literal["float32", "int8"] = "float32"
    """In which convolutions compute."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What was found when it was exported."""


class ExportedNetwork:
    """A network whose graphs run outside of PyTorch, on a CPU; see `tracking.siamese.Network`.

    It takes and gives NumPy's arrays.

    Args:
        config: of the network that was exported.
        graphs: by name; without `segment` there are no masks.
        digest: of the graphs; tells one network from another.
    """

    def __init__(
        self, config: NetworkConfig, graphs: Mapping[GraphName, Graph], digest: str
    ) -> None:
        self.config = config
        self.graphs = dict(graphs)
        self.digest = digest
        self._signatures = signatures(config)

    @property
    def template_size(self) -> int:
        """Side of the crops that `embed` takes, in pixels."""
        return self.config.template_size

    @property
    def search_size(self) -> int:
        """Side of the crops that `search` takes, in pixels."""
        return self.config.search_size

    @property
    def stride(self) -> int:
        """Crop pixels from one cell of the features to the next."""
        return self.config.anchors.stride

    @property
    def has_masks(self) -> bool:
        """Whether `segment` can be called."""
        return self.config.masks

    def embed(self, crops: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Embed (B, 3, 127, 127) crops, 0..255, with their targets (B, 4) xyxy in them."""
        return tuple(self._run("embed", (crops, boxes)).values())

    def search(self, template: tuple[np.ndarray, ...], crops: np.ndarray) -> Proposals:
        """Search (B, 3, 255, 255) crops, 0..255, for templates as `embed` gives them."""
        own = template[: len(self._signatures["search"].inputs) - 1]
        seen = self._run("search", (crops, *own))
        features, masks = seen["features"], None
        if self.has_masks:
            stages = {stride: seen[stage_name(stride)] for stride in self.config.stage_strides}
            masks = MaskFeatures(template[-1], crops, stages, features, reduced=True)
        return Proposals(seen["boxes"], seen["scores"], masks, features)

    def segment(self, proposals: Proposals, chosen: np.ndarray, beliefs: np.ndarray) -> np.ndarray:
        """Give (B, T, T) probabilities; arguments as `SiamRPN.segment`.

        Raises:
            ValueError: the network has no masks, or the proposals are of another network.
        """
        if not isinstance(proposals.response, MaskFeatures):
            raise ValueError("these proposals have no masks: search with an exported network")
        rows = np.arange(len(chosen))
        boxes, positions = proposals.boxes[rows, chosen], self.config.proposal_cells(chosen)
        layout = self.config.mask_layout
        windows = slice_mask_windows(proposals.response, beliefs, rows, positions, boxes, layout)
        return self._run("segment", flatten_windows(windows))["masks"]

    def mask_windows(self, chosen: np.ndarray) -> np.ndarray:
        """Give the (M, 4) cxcywh that the masks of (M,) proposals cover, in crop pixels."""
        return self.config.mask_windows(chosen)

    def _run(self, name: GraphName, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Give a graph's outputs by name; without a copy where the memory is as it wants it."""
        signature = self._signatures[name]
        taken = zip(signature.inputs, inputs, strict=True)
        arrays = [np.ascontiguousarray(to_graph_layout(*part), np.float32) for part in taken]
        outputs = self.graphs[name](arrays)
        return {
            key: to_network_layout(key, array)
            for key, array in zip(signature.outputs, outputs, strict=True)
        }


def is_bundle(name: str | Path) -> bool:
    """Whether weights of that name are an exported bundle."""
    return (Path(name) / BUNDLE_FILE).is_file()


def load_bundle(
    name: str | Path, config: RuntimeConfig | None = None, *, masks: bool = True
) -> tuple[ExportedNetwork, TrainingRecord]:
    """Read an exported network and where it comes from.

    Args:
        name: a folder that `export` wrote.
        config: what runs it, and how.
        masks: whether masks will be asked for; without, less is computed.

    Raises:
        WeightsError: it is no bundle, or a file is missing or not as it was written.
        MissingExtraError: what runs it is not installed.
    """
    folder = resolve_weights(name)
    manifest = read_manifest(folder)
    network_config, record = load_metadata(folder)
    files = [
        f"{name}{end}" for name in signatures(network_config) for end in SUFFIXES[manifest.format]
    ]
    found = digest_files(folder, files)
    for file in files:
        if found[file] != manifest.digests.get(file):
            raise WeightsError(
                f"{folder / file} is not the file that was exported: it was changed or copied in "
                "part; copy the folder again, or export again"
            )
    network_config = replace(network_config, masks=masks and network_config.masks)
    graphs: dict[GraphName, Graph] = {
        name: open_graph(
            folder / f"{name}{SUFFIXES[manifest.format][0]}",
            signature.outputs,
            config or RuntimeConfig(),
            manifest.format,
        )
        for name, signature in signatures(network_config).items()
    }
    digest = hashlib.sha256(repr((network_config, config, sorted(found.items()))).encode())
    return ExportedNetwork(network_config, graphs, digest.hexdigest()[:16]), record


def read_manifest(folder: Path) -> Manifest:
    """Read what a bundle says of itself.

    Raises:
        WeightsError: the folder holds no bundle, or one of another version.
    """
    content = read_json(folder / BUNDLE_FILE)
    try:
        manifest = Manifest(**content)
        known = manifest.version == VERSION and manifest.format in SUFFIXES
        digests = dict(manifest.digests)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{folder / BUNDLE_FILE} describes no bundle: {error}") from error
    if not known or not digests:
        raise WeightsError(
            f"{folder} is a bundle of version {manifest.version} and format {manifest.format!r}, "
            f"which this version of cyclesiam cannot read; export it again"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what `read_manifest` reads."""
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    (folder / BUNDLE_FILE).write_text(text, encoding="utf-8")


def digest_files(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Give the SHA-256 of files.

    Raises:
        WeightsError: one cannot be read.
    """
    try:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    except OSError as error:
        raise WeightsError(
            f"cannot read {error.filename} of the exported bundle ({error.strerror}); copy the "
            "folder again, or export again"
        ) from error
