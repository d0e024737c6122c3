"""Runtimes that run a graph on a CPU: ONNX Runtime and OpenVINO, behind one interface.

A graph's file is `.onnx`, which both read, or OpenVINO's `.xml` with its `.bin`.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from cyclesiam.deployment.signal_stack import preserve_signal_stack
from cyclesiam.deployment.telemetry import no_telemetry
from cyclesiam.errors import MissingExtraError, WeightsError
from cyclesiam.threads import few_threads, parallel_map

RuntimeName = Literal["onnxruntime", "openvino"]
RuntimeChoice = Literal["auto", "onnxruntime", "openvino", "pytorch"]
Precision = Literal["auto", "f32", "bf16"]
Format = Literal["onnx", "openvino"]
INSTALL: dict[RuntimeName, str] = {
    "onnxruntime": "pip install onnxruntime",
    "openvino": "pip install openvino",
}
TITLES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "pytorch": "PyTorch"}
READERS: dict[Format, tuple[RuntimeName, ...]] = {  # the faster one first
    "onnx": ("onnxruntime", "openvino"),
    "openvino": ("openvino",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """The runtime of a bundle, and its options."""

    runtime: RuntimeChoice = "auto"
    """What runs the network. auto takes the fastest that is installed: of OpenVINO in bf16, where
    the processor computes that, and ONNX Runtime; PyTorch for weights without graphs."""
    precision: Precision = "auto"
    """Precision of the numbers; bf16 is faster on some processors and less exact (OpenVINO)."""
    threads: int = 0
    """Threads that compute; 0 for PyTorch's choice, or OpenCV's where PyTorch is not loaded."""

    def __post_init__(self) -> None:
        for name, known in (("runtime", RuntimeChoice), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(known))}, "
                    f"got {getattr(self, name)!r}"
                )
        if self.threads < 0:
            raise ValueError(f"threads must be 0 or more, got {self.threads}")
        if self.precision == "bf16" and self.runtime in ("onnxruntime", "pytorch"):
            raise ValueError(f"{self.runtime} computes in f32; only openvino computes in bf16")

    def __str__(self) -> str:
        return f"{TITLES.get(self.runtime, self.runtime)}, {self.precision}"


class Graph(Protocol):
    """A graph that can be run."""

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of (B, ...) float32 inputs, in order; the inputs are not changed."""
        ...


Writer = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], None]  # of inputs into outputs


def installed_runtimes(format: Format) -> list[RuntimeName]:
    """Return the installed runtimes that read a format, the faster one first."""
    return [name for name in READERS[format] if find_spec(name)]


def choose_runtime(format: Format, config: RuntimeConfig) -> RuntimeConfig:
    """Return the config with `auto` replaced by what runs graphs fastest here.

    Args:
        format: of the graphs.
        config: what is asked for.

    Raises:
        WeightsError: the chosen runtime does not read the format.
        MissingExtraError: no fitting runtime is installed.
    """
    readers = READERS[format]
    if config.runtime != "auto" and config.runtime not in readers:
        raise WeightsError(
            f"{config.runtime} cannot run a bundle of format {format}; use {readers[0]}, or "
            "export as onnx"
        )
    candidates = readers if config.runtime == "auto" else (config.runtime,)
    wants_bf16 = config.precision == "bf16" or (
        config.precision == "auto" and "openvino" in candidates and computes_bf16()
    )
    if wants_bf16:
        candidates = ("openvino",)
    for name in candidates:
        if find_spec(name):
            return replace(config, runtime=name, precision="bf16" if wants_bf16 else "f32")
    commands = " or ".join(INSTALL[name] for name in candidates)
    raise MissingExtraError(
        f"to run an exported network, {' or '.join(candidates)} must be installed: {commands}"
    )


@cache
def computes_bf16() -> bool:
    """Check whether OpenVINO is installed and computes bf16 on this processor natively."""
    if not find_spec("openvino"):
        return False
    with no_telemetry():
        import openvino

    try:
        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except RuntimeError:  # there is no plugin for this processor
        return False


def open_graph(file: Path, outputs: Sequence[str], config: RuntimeConfig) -> Graph:
    """Open a graph in a runtime.

    Args:
        file: of the graph.
        outputs: names of the outputs to return, in order.
        config: what `choose_runtime` returned.

    Raises:
        WeightsError: the file cannot be read.
    """

    def open_here() -> Graph:
        threads = config.threads or few_threads()
        if config.runtime == "openvino":
            return OpenVinoGraph(file, outputs, config.precision, threads)
        return OnnxRuntimeGraph(file, outputs, threads)

    try:
        return ReopenedInForks(open_here)
    except Exception as error:  # each runtime has classes of its own, some of them private
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"{config.runtime} cannot read {file}: {reason}; export it again"
        ) from error


class ReopenedInForks:
    """A graph that a forked process opens anew: the threads of its parent are not there.

    Args:
        open: opens the graph.
    """

    def __init__(self, open: Callable[[], Graph]) -> None:
        self._open, self._graphs = open, {os.getpid(): open()}

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of inputs; see `Graph`."""
        process = os.getpid()
        if process not in self._graphs:  # the parent's stays: to close it would wait for threads
            self._graphs[process] = self._open()
        return self._graphs[process](inputs)


class PerTargetGraph:
    """A graph that runs several targets in parallel, each alone on one thread.

    The data of one target fit into a core's cache: a batch of 16 took 1.9 times as long.

    Args:
        make: returns a function that runs the graph for one target on one thread; called once by
            each thread.
        shapes: of the outputs of one target, without the batch.
        threads: number of threads.
    """

    def __init__(
        self, make: Callable[[], Writer], shapes: Sequence[tuple[int, ...]], threads: int
    ) -> None:
        self.threads = threads
        self._make, self._shapes, self._local = make, shapes, threading.local()

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of inputs; see `Graph`."""
        outputs = [np.empty((len(inputs[0]), *shape), np.float32) for shape in self._shapes]

        def fill(row: int) -> None:
            if not hasattr(self._local, "write"):
                self._local.write = self._make()
            target = slice(row, row + 1)
            self._local.write([one[target] for one in inputs], [one[target] for one in outputs])

        parallel_map(fill, range(len(inputs[0])), threads=self.threads)
        return outputs


class OnnxRuntimeGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, file: Path, outputs: Sequence[str], threads: int) -> None:
        self._single = open_session(file, outputs, threads)
        self._several: PerTargetGraph | None = None  # opened for the first batch of several
        # One session may run on any thread.
        self._open = lambda: self._single if threads == 1 else open_session(file, outputs, 1)
        self._threads = threads

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of inputs; see `Graph`."""
        if len(inputs[0]) == 1:
            return self._single(inputs)
        if self._several is None:
            self._several = self._open_per_target([one[:1] for one in inputs])
        return self._several(inputs)

    def _open_per_target(self, example: Sequence[np.ndarray]) -> PerTargetGraph:
        session = self._open()

        def write(inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
            for output, result in zip(outputs, session(inputs), strict=True):
                output[:] = result

        shapes = [output.shape[1:] for output in session(example)]
        return PerTargetGraph(lambda: write, shapes, self._threads)


def open_session(file: Path, outputs: Sequence[str], threads: int) -> Graph:
    """Open a file in ONNX Runtime, for any number of targets at once."""
    with no_telemetry():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Busy waiting would slow down what is computed between two graphs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

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
        precision: str,
        threads: int,
    ) -> None:
        with no_telemetry():
            import openvino

        core = openvino.Core()
        model = core.read_model(file)
        for result, output in zip(model.get_results(), model.outputs, strict=True):
            if output.any_name not in outputs:
                model.remove_result(result)  # what only this output needs is not computed either
        shapes = {}
        for entry in model.inputs:
            _, *rest = entry.partial_shape
            shapes[entry.any_name] = [1, *(length.get_length() for length in rest)]
        model.reshape(shapes)
        options = {
            "INFERENCE_PRECISION_HINT": precision,  # the default is bf16 on CPUs that have it
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # several processes may share a machine
        }

        def compile(streams: int) -> Any:
            with preserve_signal_stack():
                return core.compile_model(model, "CPU", {**options, "NUM_STREAMS": streams})

        self._compile = compile
        self._shapes = [tuple(output.shape)[1:] for output in model.outputs]
        self._single, self._local = compile(1), threading.local()
        self._streams: Any = None  # compiled for the first batch of several
        self._lock = threading.Lock()
        self._several = PerTargetGraph(self._open_stream, self._shapes, threads)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs of inputs; see `Graph`."""
        if len(inputs[0]) > 1:
            return self._several(inputs)
        outputs = [np.empty((1, *shape), np.float32) for shape in self._shapes]
        if not hasattr(self._local, "write"):  # a request serves one thread
            self._local.write = _make_writer(self._single)
        self._local.write(inputs, outputs)
        return outputs

    def _open_stream(self) -> Writer:
        """Return a function that runs one target while other threads run others."""
        with self._lock:
            if self._streams is None:
                self._streams = self._compile(self._several.threads)
        return _make_writer(self._streams)


def _make_writer(compiled: Any) -> Writer:
    """Return a function that runs a graph compiled by OpenVINO, without copies of arrays."""
    from openvino import Tensor

    request = compiled.create_infer_request()

    def write(inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        for index, array in enumerate(inputs):
            request.set_input_tensor(index, Tensor(array, shared_memory=True))
        for index, array in enumerate(outputs):
            request.set_output_tensor(index, Tensor(array, shared_memory=True))
        request.infer(share_outputs=True)

    return write
