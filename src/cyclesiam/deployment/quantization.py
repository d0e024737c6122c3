"""Convolutions in 8 bits: what a network saw while it tracked says which numbers must fit.

No label takes part: ranges of activations are those of crops cut on the way through any clip.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cyclesiam.deployment.bundles import ExportedNetwork
from cyclesiam.deployment.runtimes import Graph
from cyclesiam.deployment.signatures import GraphName, signatures
from cyclesiam.errors import MissingExtraError, WeightsError

MOST_SAMPLES = 96  # of each graph; more change ranges no further
OUTPUT_LAYERS = "predict"  # part of the names of weights whose convolutions give answers
Samples = dict[GraphName, list[dict[str, np.ndarray]]]


class CalibrationRecorder:
    """A graph that remembers some of what it is given, of one target each time.

    Args:
        graph: answers.
        names: of its inputs.
        every: of so many runs one is remembered, up to `MOST_SAMPLES`.
    """

    def __init__(self, graph: Graph, names: Sequence[str], every: int) -> None:
        self.samples: list[dict[str, np.ndarray]] = []
        self._graph, self._names, self._every, self._runs = graph, names, every, 0

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the graph's outputs."""
        if self._runs % self._every == 0 and len(self.samples) < MOST_SAMPLES:
            pairs = zip(self._names, inputs, strict=True)
            self.samples.append({name: array[:1].copy() for name, array in pairs})
        self._runs += 1
        return self._graph(inputs)


def collect_samples(
    network: ExportedNetwork, follow: Callable[[ExportedNetwork], None], every: int = 4
) -> Samples:
    """Give what each graph is given while a network tracks.

    Args:
        network: float32.
        follow: tracks with the network that it is given.
        every: of so many runs of a graph one counts.

    Raises:
        WeightsError: nothing was tracked.
    """
    known = signatures(network.config)
    recorders: dict[GraphName, CalibrationRecorder] = {
        name: CalibrationRecorder(graph, known[name].inputs, every)
        for name, graph in network.graphs.items()
    }
    follow(ExportedNetwork(network.config, recorders, network.digest))
    for name, recorder in recorders.items():
        if not recorder.samples:
            raise WeightsError(
                f"nothing to calibrate by: the graph {name} was never run; give clips in which "
                "there is something to follow"
            )
    return {name: recorder.samples for name, recorder in recorders.items()}


def quantize_graphs(folder: Path, feeds: Samples) -> None:
    """Let the convolutions of `.onnx` graphs in a folder compute in 8 bits.

    Weights have a scale for each output channel, activations one for each tensor. Only 3x3
    convolutions do, in which most of the arithmetic is, and none that gives an answer: of all that
    is lost in 8 bits, most is lost elsewhere.

    Args:
        folder: holds the graphs; they are replaced.
        feeds: what each graph is given.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingExtraError(
            'onnxruntime is not installed, and makes 8 bits: pip install "cyclesiam[export]"'
        ) from error
    for name, samples in feeds.items():
        file, quantised = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
        with silence_logger("root"):
            quantization.quantize_static(
                file,
                quantised,
                _reader(quantization, samples),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                nodes_to_exclude=_in_float(file),
            )
        quantised.replace(file)


def _in_float(file: Path) -> list[str]:
    """Name the convolutions of a graph that stay in float."""
    import onnx

    graph = onnx.load(file).graph
    kernels = {weights.name: tuple(weights.dims[2:]) for weights in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and (kernels.get(node.input[1]) != (3, 3) or OUTPUT_LAYERS in node.input[1])
    ]


def _reader(quantization, samples: list[dict[str, np.ndarray]]):
    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterator[dict[str, np.ndarray]] = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    return Reader()


@contextmanager
def silence_logger(name: str) -> Iterator[None]:
    """Keep advice to the developers of models from those who export one."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
