"""Convolutions in 8 bits, with ranges of activations measured while a network tracks.

No label is needed: the network may track through any clip.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.runtimes import Graph
from cyclesiam.deployment.signatures import GraphName, signatures
from cyclesiam.deployment.telemetry import no_telemetry
from cyclesiam.errors import MissingExtraError, WeightsError

MAX_SAMPLES = 96  # of each graph; more do not change the ranges
OUTPUT_LAYERS = "predict"  # part of the names of the weights of output convolutions
Samples = dict[GraphName, list[dict[str, np.ndarray]]]


class CalibrationRecorder:
    """A graph that records some of its inputs, for one target each time.

    Args:
        graph: computes the outputs.
        names: of its inputs.
        interval: runs from one recorded input to the next, up to `MAX_SAMPLES` inputs.
    """

    def __init__(self, graph: Graph, names: Sequence[str], interval: int) -> None:
        self.samples: list[dict[str, np.ndarray]] = []
        self._graph, self._names, self._interval, self._runs = graph, names, interval, 0

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the graph."""
        if self._runs % self._interval == 0 and len(self.samples) < MAX_SAMPLES:
            pairs = zip(self._names, inputs, strict=True)
            self.samples.append({name: array[:1].copy() for name, array in pairs})
        self._runs += 1
        return self._graph(inputs)


def collect_samples(
    network: ExportedNetwork, calibrate: Callable[[ExportedNetwork], None], interval: int = 4
) -> Samples:
    """Return inputs of each graph, recorded while a network tracks.

    Args:
        network: float32.
        calibrate: tracks through clips with the network that it is called with.
        interval: runs of a graph from one recorded input to the next.

    Raises:
        WeightsError: a graph was never run.
    """
    known = signatures(network.config)
    recorders: dict[GraphName, CalibrationRecorder] = {
        name: CalibrationRecorder(graph, known[name].inputs, interval)
        for name, graph in network.graphs.items()
    }
    calibrate(ExportedNetwork(network.config, recorders, network.digest, network.runtime))
    for name, recorder in recorders.items():
        if not recorder.samples:
            raise WeightsError(
                f"nothing to calibrate with: the graph {name} was never run; give clips in which "
                "something moves"
            )
    return {name: recorder.samples for name, recorder in recorders.items()}


def quantize_graphs(folder: Path, samples: Samples) -> None:
    """Quantize the 3x3 convolutions of the `.onnx` graphs in a folder to 8 bits.

    Weights have a scale for each output channel, activations one for each tensor. Most of the
    arithmetic is in 3x3 convolutions. All others stay in float, output layers too: most of the
    accuracy would be lost there.

    Args:
        folder: holds the graphs; they are replaced.
        samples: inputs of each graph.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        with no_telemetry():
            from onnxruntime import quantization
    except ImportError as error:
        raise MissingExtraError(
            "to export in 8 bits, onnxruntime must be installed: pip install onnxruntime"
        ) from error
    for name, inputs in samples.items():
        file, quantized = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
        with silence_logger("root"):
            quantization.quantize_static(
                file,
                quantized,
                _make_reader(quantization, inputs),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                nodes_to_exclude=_float_convolutions(file),
            )
        quantized.replace(file)


def _float_convolutions(file: Path) -> list[str]:
    """Return the names of the convolutions of a graph that stay in float."""
    import onnx

    graph = onnx.load(file).graph
    kernels = {weights.name: tuple(weights.dims[2:]) for weights in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and (kernels.get(node.input[1]) != (3, 3) or OUTPUT_LAYERS in node.input[1])
    ]


def _make_reader(quantization, inputs: list[dict[str, np.ndarray]]):
    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[dict[str, np.ndarray]] = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    return Reader()


@contextmanager
def silence_logger(name: str) -> Iterator[None]:
    """Hide the warnings of a logger: advice to developers of networks, not to users."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
