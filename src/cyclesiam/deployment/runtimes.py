"""What runs a graph on a CPU: ONNX Runtime or OpenVINO, behind one call.

A graph's file is `.onnx`, which both read, or OpenVINO's `.xml` with its `.bin`.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from cyclesiam.deployment.signal_stack import preserve_signal_stack
from cyclesiam.errors import MissingExtraError, WeightsError
from cyclesiam.threads import get_num_threads, parallel_map

RuntimeName = Literal["onnxruntime", "openvino"]
Format = Literal["onnx", "openvino"]
EXTRAS: dict[RuntimeName, str] = {"onnxruntime": "export", "openvino": "openvino"}
READERS: dict[Format, tuple[RuntimeName, ...]] = {  # the quicker one first
    "onnx": ("onnxruntime", "openvino"),
    "openvino": ("openvino",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """What runs a bundle, and how."""

    runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """Of an exported bundle: what runs it; auto takes the quicker one that is installed."""
    precision: Literal["f32", "bf16"] = "f32"
    """Of an exported bundle: bf16 is faster on some CPUs, and a little less exact (OpenVINO)."""
    threads: int = 0
    """Threads that compute; 0 for PyTorch's choice, or OpenCV's where that is not loaded."""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads must be 0 or more, got {self.threads}")
        if self.precision == "bf16" and self.runtime == "onnxruntime":
            raise ValueError("onnxruntime computes in f32; bf16 is openvino's")


class Graph(Protocol):
    """A graph that can be run."""

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of (B, ...) float32 inputs, in order; the arrays stay as they are."""
        ...


Writer = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], None]  # from inputs to outputs


def installed_runtimes(format: Format) -> list[RuntimeName]:
    """Give what is installed and reads a format, the quicker one first."""
    return [name for name in READERS[format] if find_spec(name)]


def choose_runtime(format: Format, config: RuntimeConfig) -> RuntimeName:
    """Give what is to run a bundle's graphs.

    Raises:
        WeightsError: what was asked for does not read the bundle's format.
        MissingExtraError: it is not installed.
    """
    readers = READERS[format]
    if config.runtime != "auto" and config.runtime not in readers:
        raise WeightsError(
            f"{config.runtime} cannot run a bundle of format {format}; take {readers[0]}, or "
            "export it as onnx"
        )
    wanted = readers if config.runtime == "auto" else (config.runtime,)
    if config.precision == "bf16":
        wanted = ("openvino",)
    for name in wanted:
        if find_spec(name):
            return name
    extras = " or ".join(f'pip install "cyclesiam[{EXTRAS[name]}]"' for name in wanted)
    raise MissingExtraError(f"to run an exported bundle, {' or '.join(wanted)} is needed: {extras}")


def open_graph(file: Path, outputs: Sequence[str], config: RuntimeConfig, format: Format) -> Graph:
    """Read a graph to be run.

    Args:
        file: of the graph.
        outputs: the names of those that are wanted, in their order.
        config: what runs it, and how.
        format: of the file.

    Raises:
        WeightsError: it cannot be read.
        MissingExtraError: what runs it is not installed.
    """
    name = choose_runtime(format, config)
    threads = config.threads or get_num_threads()
    try:
        if name == "openvino":
            return OpenVinoGraph(file, outputs, config.precision, threads)
        return OnnxRuntimeGraph(file, outputs, threads)
    except Exception as error:  # each runtime has classes of its own, some of them private
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"{name} cannot read {file}: {reason}; export it again") from error


class PerTargetGraph:
    """Runs a graph for several targets: each by itself, on a thread of its own.

    One by one, what a target needs stays in a core's cache; a batch of 16 took 1.9 times as long.

    Args:
        make: gives what runs the graph for one target on one thread, and writes its outputs where
            it is told; called once a thread.
        shapes: of the outputs of one target, without the batch.
        threads: how many.
    """

    def __init__(
        self, make: Callable[[], Writer], shapes: Sequence[tuple[int, ...]], threads: int
    ) -> None:
        self.threads = threads
        self._make, self._shapes, self._local = make, shapes, threading.local()

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of inputs; see `Graph`."""
        outputs = [np.empty((len(inputs[0]), *shape), np.float32) for shape in self._shapes]

        def fill(row: int) -> None:
            if not hasattr(self._local, "write"):
                self._local.write = self._make()
            here = slice(row, row + 1)
            self._local.write([part[here] for part in inputs], [part[here] for part in outputs])

        parallel_map(fill, range(len(inputs[0])), threads=self.threads)
        return outputs


class OnnxRuntimeGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, file: Path, outputs: Sequence[str], threads: int) -> None:
        self._alone = _open_session(file, outputs, threads)
        self._abreast: PerTargetGraph | None = None  # opened when several targets are first met
        # One session runs on any thread.
        self._open = lambda: self._alone if threads == 1 else _open_session(file, outputs, 1)
        self._threads = threads

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of inputs; see `Graph`."""
        if len(inputs[0]) == 1:
            return self._alone(inputs)
        if self._abreast is None:
            self._abreast = self._open_abreast([part[:1] for part in inputs])
        return self._abreast(inputs)

    def _open_abreast(self, one: Sequence[np.ndarray]) -> PerTargetGraph:
        session = self._open()

        def write(inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
            for output, found in zip(outputs, session(inputs), strict=True):
                output[:] = found

        return PerTargetGraph(
            lambda: write, [part.shape[1:] for part in session(one)], self._threads
        )


def _open_session(file: Path, outputs: Sequence[str], threads: int) -> Graph:
    """Give what runs a file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Between two graphs others compute: threads that wait busily would be in its way.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        results = session.run(outputs, dict(zip(names, inputs, strict=True)))
        return [np.asarray(result) for result in results]

    return run


class OpenVinoGraph:
    """A graph in OpenVINO, compiled for one target: up to a third faster than for any number."""

    def __init__(
        self,
        file: Path,
        outputs: Sequence[str],
        precision: Literal["f32", "bf16"],
        threads: int,
    ) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(file)
        for result, given in zip(model.get_results(), model.outputs, strict=True):
            if given.any_name not in outputs:
                model.remove_result(result)  # nor is computed what only that needs
        shapes = {}
        for given in model.inputs:
            _, *rest = given.partial_shape
            shapes[given.any_name] = [1, *(length.get_length() for length in rest)]
        model.reshape(shapes)
        settings = {
            "INFERENCE_PRECISION_HINT": precision,  # its own default is bf16 where a CPU has it
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # several processes may share a machine
        }

        def compile(streams: int) -> Any:
            with preserve_signal_stack():
                return core.compile_model(model, "CPU", {**settings, "NUM_STREAMS": streams})

        self._compile = compile
        self._shapes = [tuple(output.shape)[1:] for output in model.outputs]
        self._alone = _writer(compile(1))
        self._streams: Any = None  # compiled when several targets are first met
        self._lock = threading.Lock()
        self._abreast = PerTargetGraph(self._open_stream, self._shapes, threads)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of inputs; see `Graph`."""
        if len(inputs[0]) > 1:
            return self._abreast(inputs)
        outputs = [np.empty((1, *shape), np.float32) for shape in self._shapes]
        self._alone(inputs, outputs)
        return outputs

    def _open_stream(self) -> Writer:
        """Give what runs one target, beside other threads that do so."""
        with self._lock:
            if self._streams is None:
                self._streams = self._compile(self._abreast.threads)
        return _writer(self._streams)


def _writer(compiled: Any) -> Writer:
    """Give what runs a graph compiled by OpenVINO, without copies: in the arrays as they are."""
    from openvino import Tensor

    request = compiled.create_infer_request()

    def write(inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        for index, part in enumerate(inputs):
            request.set_input_tensor(index, Tensor(part, shared_memory=True))
        for index, part in enumerate(outputs):
            request.set_output_tensor(index, Tensor(part, shared_memory=True))
        request.infer(share_outputs=True)

    return write
