"""Bundles: exported graphs in a folder, and the network that runs them.

A bundle holds the graphs `embed`, `search` and maybe `segment`; `config.json` and `record.json`, as
any folder of weights; and `bundle.json`: the format, measurements, and a digest of each file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cyclesiam.deployment.runtimes import (
    Format,
    Graph,
    RuntimeConfig,
    choose_runtime,
    open_graph,
)
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
from cyclesiam.models.config import ConfiguredNetwork, NetworkConfig
from cyclesiam.models.mask_windows import MaskFeatures, slice_mask_windows
from cyclesiam.models.metadata import (
    BUNDLE_FILE,
    TrainingRecord,
    load_metadata,
    read_json,
    resolve_weights,
)

SUFFIXES: dict[Format, tuple[str, ...]] = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}
VERSION = 2  # of the files in a bundle


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The content of `bundle.json`."""

    version: int = VERSION
    """Version of the graphs' inputs and outputs."""
    format: Format
    """`onnx` or `openvino`."""
    numbers: Literal["float32", "int8"] = "float32"
    """What convolutions compute with."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file."""
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What was measured at export: the largest differences from the network, by runtime."""


class ExportedNetwork(ConfiguredNetwork):
    """A network whose graphs run outside of PyTorch, on a CPU.

    It has the methods of `SiamRPN` that a tracker calls, for NumPy arrays only.

    Args:
        config: of the network that was exported.
        graphs: by name; `segment` is needed if `config.masks`.
        digest: of the graphs, which identifies the network.
        runtime: what runs the graphs, and how.
    """

    def __init__(
        self,
        config: NetworkConfig,
        graphs: Mapping[GraphName, Graph],
        digest: str,
        runtime: RuntimeConfig,
    ) -> None:
        self.config, self.runtime = config, runtime
        self.graphs = dict(graphs)
        self.digest = digest
        self.signatures = signatures(config)

    def embed(self, crops: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Embed templates.

        Args:
            crops: (B, 3, template_size, template_size) in 0..255.
            boxes: (B, 4) xyxy, the targets in crop pixels.
        """
        return tuple(self._run("embed", (crops, boxes)).values())

    def search(self, template: tuple[np.ndarray, ...], crops: np.ndarray) -> Proposals:
        """Search crops for templates.

        Args:
            template: of B targets, from `embed`.
            crops: (B, 3, search_size, search_size) in 0..255.

        Returns:
            Boxes in crop pixels and their probabilities; `segment` takes them.
        """
        inputs = template[: len(self.signatures["search"].inputs) - 1]
        outputs = self._run("search", (crops, *inputs))
        features, masks = outputs["features"], None
        if self.has_masks:
            stages = {stride: outputs[stage_name(stride)] for stride in self.config.stage_strides}
            masks = MaskFeatures(template[-1], crops, stages, features, reduced=True)
        return Proposals(outputs["boxes"], outputs["scores"], masks, features)

    def segment(
        self, proposals: Proposals, chosen: np.ndarray, color_priors: np.ndarray
    ) -> np.ndarray:
        """Return the (B, T, T) masks of chosen proposals, 0..1; see `SiamRPN.segment`.

        Raises:
            ValueError: the network has no masks, or the proposals are another network's.
        """
        if not isinstance(proposals.response, MaskFeatures):
            raise ValueError("these proposals have no masks: search with an exported network")
        rows = np.arange(len(chosen))
        boxes, cells = proposals.boxes[rows, chosen], self.proposal_cells(chosen)
        layout = self.config.mask_layout
        windows = slice_mask_windows(proposals.response, color_priors, rows, cells, boxes, layout)
        return self._run("segment", flatten_windows(windows))["masks"]

    def _run(self, name: GraphName, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Run a graph and return its outputs by name; inputs are copied only if need be."""
        signature = self.signatures[name]
        named = zip(signature.inputs, inputs, strict=True)
        arrays = [np.ascontiguousarray(to_graph_layout(*pair), np.float32) for pair in named]
        outputs = self.graphs[name](arrays)
        return {
            key: to_network_layout(key, array)
            for key, array in zip(signature.outputs, outputs, strict=True)
        }


def is_bundle(name: str | Path) -> bool:
    """Check whether the weights of a name are an exported bundle."""
    return (Path(name) / BUNDLE_FILE).is_file()


def load_bundle(
    name: str | Path, config: RuntimeConfig | None = None, *, masks: bool = True
) -> tuple[ExportedNetwork, TrainingRecord]:
    """Read an exported network and the record of its training.

    Args:
        name: a folder that `export` wrote.
        config: the runtime and its options.
        masks: whether masks will be asked for; without, less is computed.

    Raises:
        WeightsError: it is no bundle, or a file is missing or was changed.
        MissingExtraError: the runtime is not installed.
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
    runtime = choose_runtime(manifest.format, config or RuntimeConfig())
    graphs: dict[GraphName, Graph] = {
        name: open_graph(
            folder / f"{name}{SUFFIXES[manifest.format][0]}",
            signature.outputs,
            runtime,
        )
        for name, signature in signatures(network_config).items()
    }
    digest = hashlib.sha256(repr((network_config, runtime, sorted(found.items()))).encode())
    return ExportedNetwork(network_config, graphs, digest.hexdigest()[:16], runtime), record


def read_manifest(folder: Path) -> Manifest:
    """Read the `bundle.json` of a bundle.

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
    """Write the `bundle.json` of a bundle."""
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    (folder / BUNDLE_FILE).write_text(text, encoding="utf-8")


def digest_files(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of files in a folder.

    Raises:
        WeightsError: a file cannot be read.
    """
    try:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    except OSError as error:
        raise WeightsError(
            f"cannot read {error.filename} of the exported bundle ({error.strerror}); copy the "
            "folder again, or export again"
        ) from error
