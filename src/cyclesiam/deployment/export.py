"""Write a bundle: trace a network's graphs and check them; the folder appears only if they pass."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cyclesiam.deployment.bundles import (
    SUFFIXES,
    ExportedNetwork,
    Manifest,
    digest_files,
    load_bundle,
    write_manifest,
)
from cyclesiam.deployment.graphs import make_graphs
from cyclesiam.deployment.parity import ParityInput, check_parity, measure_differences, random_input
from cyclesiam.deployment.quantization import collect_samples, quantize_graphs, silence_logger
from cyclesiam.deployment.runtimes import (
    INSTALL,
    READERS,
    Format,
    RuntimeConfig,
    RuntimeName,
    installed_runtimes,
)
from cyclesiam.deployment.signatures import GraphName, flatten_windows, signatures, to_graph_layout
from cyclesiam.deployment.telemetry import no_telemetry
from cyclesiam.errors import MissingExtraError, WeightsError, missing_extra
from cyclesiam.files import atomic_folder
from cyclesiam.models.fusion import fuse_for_inference, pad_channels
from cyclesiam.models.mask_windows import slice_mask_windows
from cyclesiam.models.metadata import TrainingRecord, save_metadata
from cyclesiam.models.siamrpn import SiamRPN

EXACT = RuntimeConfig(precision="f32")
GRAPH_FILES = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
EXPORTER = "torch.onnx._internal.exporter._registration"  # warns of packages that are not needed
GraphBatch = Literal["one", "any"]
CalibrationRun = Callable[[ExportedNetwork], None]
AcceptanceCheck = Callable[[ExportedNetwork, ExportedNetwork], dict[str, float]]
TRACED: dict[GraphBatch, int] = {"one": 1, "any": 2}  # targets while tracing; 1 would stay 1


def export(
    network: SiamRPN,
    record: TrainingRecord,
    output: str | Path,
    *,
    format: Format = "onnx",
    batch: GraphBatch = "one",
    inputs: Sequence[ParityInput] = (),
    files: Mapping[str, str] | None = None,
) -> Manifest:
    """Write a float32 bundle that computes the same as its network.

    Args:
        network: on the CPU, in any mode.
        record: of the training of its weights.
        output: a folder that does not exist yet, or is empty.
        format: of the graphs.
        batch: for how many targets each graph is. `one` is faster; several targets then run in
            parallel. `any` is for programs that run the graphs themselves.
        inputs: what network and bundle are compared on, besides noise.
        files: texts to write into the bundle, by name.

    Returns:
        The manifest, with the largest differences by runtime.

    Raises:
        WeightsError: the folder cannot be written, or the bundle computes otherwise than the
            network; then nothing is written.
        MissingExtraError: a package is not installed.
    """
    check_packages(format)
    network = fuse_for_inference(network)
    with _new_folder(Path(output)) as folder:
        _write_float32(network, record, folder, batch, files or {})
        _convert(folder, format, [*signatures(network.config)])
        inputs = [*inputs, *(random_input(network.config, targets) for targets in (1, 3))]
        manifest = _write_digests(folder, Manifest(format=format))
        measured = {
            name: check_parity(network, _open(folder, name), inputs, f"the bundle in {name}")
            for name in installed_runtimes(format)
        }
        return _write_digests(folder, manifest, measured)


def _write_float32(
    network: SiamRPN,
    record: TrainingRecord,
    folder: Path,
    batch: GraphBatch,
    files: Mapping[str, str],
) -> None:
    """Write the ONNX graphs, the metadata and other files, but no manifest."""
    write_onnx(network, folder, batch)
    save_metadata(folder, network.config, record)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def export_int8(
    network: SiamRPN,
    record: TrainingRecord,
    output: str | Path,
    *,
    format: Format = "onnx",
    batch: GraphBatch = "one",
    inputs: Sequence[ParityInput] = (),
    files: Mapping[str, str] | None = None,
    calibrate: CalibrationRun,
    accept: AcceptanceCheck,
) -> Manifest:
    """Write a bundle whose convolutions compute in 8 bits.

    Args:
        network: on the CPU, in any mode.
        record: of the training of its weights.
        output: a folder that does not exist yet, or is empty.
        format: of the graphs.
        batch: for how many targets each graph is, see `export`.
        inputs: what the differences from the network are measured on.
        files: texts to write into the bundle, by name.
        calibrate: tracks through clips with a network; its crops give the ranges of activations.
        accept: compares the float32 bundle with this one. It returns what it measured, or raises a
            `WeightsError` if this one is not good enough.

    Returns:
        The manifest, with the largest differences by runtime and what `accept` measured.

    Raises:
        WeightsError: the folder cannot be written, or `accept` refused; then nothing is written.
        MissingExtraError: a package is not installed.
    """
    check_packages(format)
    network = fuse_for_inference(network)
    with _new_folder(Path(output)) as folder:
        _write_float32(network, record, folder, batch, files or {})
        _write_digests(folder, Manifest(format="onnx"))
        original, _ = load_bundle(folder, EXACT)
        quantize_graphs(folder, collect_samples(original, calibrate))
        _convert(folder, format, [*signatures(network.config)])
        manifest = _write_digests(folder, Manifest(format=format, numbers="int8"))
        measured = {
            name: measure_differences(network, _open(folder, name), inputs)
            for name in installed_runtimes(format)
        }
        measured["label_free_score"] = accept(original, load_bundle(folder, EXACT)[0])
        return _write_digests(folder, manifest, measured)


def check_packages(format: Format) -> None:
    """Check that the packages are installed that write and check a format.

    Raises:
        MissingExtraError: a package is not installed; the message says how to install it.
    """
    missing = [name for name in ("onnx", "onnxscript") if not find_spec(name)]
    if missing:
        raise missing_extra("to export", missing[0], "export")
    if not installed_runtimes(format):
        first = READERS[format][0]
        raise MissingExtraError(
            f"to export as {format}, {first} must be installed to check the bundle: "
            f"{INSTALL[first]}"
        )


def write_onnx(network: SiamRPN, folder: Path, batch: GraphBatch = "one") -> None:
    """Trace a fused network's graphs, for one target or any number, and write `.onnx` files."""
    known = signatures(network.config)
    targets = torch.export.Dim("targets", min=1, max=4096)
    examples = _examples(network, TRACED[batch])
    for name, graph in make_graphs(pad_channels(network)).items():
        pairs = zip(known[name].inputs, examples[name], strict=True)
        inputs = tuple(to_graph_layout(key, tensor).contiguous() for key, tensor in pairs)
        dynamic_shapes = (({0: targets},) * len(inputs),)  # of all `*inputs`
        with warnings.catch_warnings(), silence_logger(EXPORTER):
            warnings.simplefilter("ignore")  # about internals of torch and onnxscript
            torch.onnx.export(
                graph.eval(),
                inputs,
                folder / f"{name}.onnx",
                input_names=known[name].inputs,
                output_names=known[name].outputs,
                dynamo=True,
                dynamic_shapes=dynamic_shapes if batch == "any" else None,
                external_data=False,
                verbose=False,
            )


@torch.no_grad()
def _examples(network: SiamRPN, targets: int) -> dict[GraphName, tuple[Tensor, ...]]:
    """Return inputs of each graph, in the network's layout."""
    noise = random_input(network.config, targets)
    templates, boxes, crops = map(torch.from_numpy, (noise.templates, noise.boxes, noise.crops))
    template = network.embed(templates, boxes)
    known = signatures(network.config)
    examples: dict[GraphName, tuple[Tensor, ...]] = {
        "embed": (templates, boxes),
        "search": (crops, *template[: len(known["search"].inputs) - 1]),
    }
    if "segment" in known:
        proposals = network.search(template, crops)
        rows, searched = torch.arange(targets), proposals.response.masks
        assert network.mask is not None
        windows = slice_mask_windows(
            searched._replace(stages=network.mask.reduce(searched), reduced=True),
            crops[:, :2, ::2, ::2] / 255,
            rows,
            network.proposal_cells(rows),
            proposals.boxes[rows, rows],
            network.config.mask_layout,
        )
        examples["segment"] = flatten_windows(windows)
    return examples


def _convert(folder: Path, format: Format, names: Sequence[GraphName]) -> None:
    """Convert `.onnx` graphs into a format, and remove them."""
    if format == "onnx":
        return
    with no_telemetry():
        import openvino

    for name in names:
        file = folder / f"{name}.onnx"
        model = openvino.Core().read_model(file)
        openvino.save_model(model, file.with_suffix(".xml"), compress_to_fp16=False)
        file.unlink()


def _open(folder: Path, runtime: RuntimeName) -> ExportedNetwork:
    return load_bundle(folder, replace(EXACT, runtime=runtime))[0]


def _write_digests(
    folder: Path, manifest: Manifest, measured: Mapping[str, Mapping[str, float]] | None = None
) -> Manifest:
    """Write the manifest with the digests of the graphs and what was measured."""
    names = [path.name for path in sorted(folder.iterdir()) if path.suffix in GRAPH_FILES]
    digests = digest_files(folder, names)
    manifest = replace(manifest, digests=digests, measured=measured or {})
    write_manifest(folder, manifest)
    return manifest


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `output` only if no error occurs.

    Raises:
        WeightsError: `output` exists and is not empty, or cannot be written.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise WeightsError(f"{output} exists already; remove it, or choose another --output")
    try:
        with atomic_folder(output) as folder:
            yield folder
    except OSError as error:
        raise WeightsError(f"cannot write {output}: {error.strerror}; choose another") from error
