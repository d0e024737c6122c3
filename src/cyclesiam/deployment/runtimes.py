"""What runs a graph on a CPU: ONNX Runtime or OpenVINO, behind one call.

A graph's file is `.onnx`, which both read, or OpenVINO's `.xml` with its `.bin`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from cyclesiam.errors import MissingExtraError, WeightsError

RuntimeName = Literal["onnxruntime", "openvino"]
Format = Literal["onnx", "openvino"]
EXTRAS: dict[RuntimeName, str] = {"onnxruntime": "export", "openvino": "openvino"}
READERS: dict[Format, tuple[RuntimeName, ...]] = {  # the quicker one first
    "onnx": ("onnxruntime", "openvino"),
    "openvino": ("openvino",),
}
MOST_FITTED = 4  # targets; up to so many, OpenVINO compiles a graph for their very number


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """What runs a bundle, and how."""

    runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """Of an exported bundle: what runs it; auto takes the quicker one that is installed."""
    precision: Literal["f32", "bf16"] = "f32"
    """Of an exported bundle: bf16 is faster on some CPUs, and a little less exact (OpenVINO)."""
    threads: int = 0
    """Threads that compute; 0 for PyTorch's choice."""

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


def open_graph(file: Path, config: RuntimeConfig, format: Format) -> Graph:
    """Read a graph to be run.

    Raises:
        WeightsError: it cannot be read.
        MissingExtraError: what runs it is not installed.
    """
    name = choose_runtime(format, config)
    threads = config.threads or torch.get_num_threads()
    try:
        if name == "openvino":
            return OpenVinoGraph(file, config.precision, threads)
        return OnnxRuntimeGraph(file, threads)
    except Exception as error:  # each runtime has classes of its own, some of them private
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"{name} cannot read {file}: {reason}; export it again") from error


class OnnxRuntimeGraph:
    """A graph in ONNX Runtime."""

    def __init__(self, file: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Between two graphs PyTorch computes: threads that wait busily would be in its way.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [given.name for given in self._session.get_inputs()]

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of inputs; see `Graph`."""
        results = self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))
        return [np.asarray(result) for result in results]


class OpenVinoGraph:
    """A graph in OpenVINO.

    Compiled for one number of targets it is up to a third faster than for any: that is done for
    few targets, when they are first met.
    """

    def __init__(self, file: Path, precision: Literal["f32", "bf16"], threads: int) -> None:
        import openvino

        self._core = openvino.Core()
        self._model = self._core.read_model(file)
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,  # its own default is bf16 where a CPU has it
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # several processes may share a machine
        }
        self._requests: dict[int, Any] = {}  # by the number of targets; 0 is any

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the outputs of inputs; see `Graph`."""
        fitted = len(inputs[0]) if len(inputs[0]) <= MOST_FITTED else 0
        if fitted not in self._requests:
            self._requests[fitted] = self._compile(fitted)
        # Inputs are read where they are; outputs are copies, since the next run writes over them.
        results = self._requests[fitted].infer(list(inputs), share_inputs=True, share_outputs=False)
        return list(results.values())

    def _compile(self, targets: int) -> Any:
        model = self._model.clone()
        if targets:
            shapes = {}
            for given in model.inputs:
                _, *rest = given.partial_shape
                shapes[given.any_name] = [targets, *(length.get_length() for length in rest)]
            model.reshape(shapes)
        return self._core.compile_model(model, "CPU", self._settings).create_infer_request()
