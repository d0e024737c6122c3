"""Load a network that tracks, by the name of its weights: its graphs, or else PyTorch's modules.

Shipped weights come in both forms: graphs for tracking, and safetensors for training and GPUs.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cyclesiam.deployment.bundles import ExportedNetwork, load_bundle
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import CycleSiamError, missing_extra
from cyclesiam.models.metadata import BUNDLE_FILE, TrainingRecord, resolve_weights
from cyclesiam.threads import set_num_threads

if TYPE_CHECKING:
    from cyclesiam.models.siamrpn import SiamRPN

GRAPHS_FOLDER = "onnx"  # in a folder of weights, holds the same network as graphs


def find_graphs(weights: str | Path) -> Path | None:
    """Return the folder of the graphs of weights, which run without PyTorch; None without graphs.

    Raises:
        WeightsError: there are no such weights.
    """
    folder = resolve_weights(weights)
    places = (folder, folder / GRAPHS_FOLDER)
    return next((place for place in places if (place / BUNDLE_FILE).is_file()), None)


def choose_graphs(weights: str | Path, device: str, runtime: RuntimeConfig) -> Path | None:
    """Return the folder of the graphs that weights run as, on the CPU; None where PyTorch runs.

    Args:
        weights: name of shipped weights, or a folder.
        device: auto, cpu, cuda or cuda:N.
        runtime: what is asked for.

    Raises:
        ValueError: graphs alone cannot run on this device.
        WeightsError: there are no such weights.
    """
    graphs, wants_cuda = find_graphs(weights), device.startswith("cuda")
    if graphs is None:
        return None
    if graphs != resolve_weights(weights):  # both forms are there
        return None if wants_cuda or runtime.runtime == "pytorch" else graphs
    if wants_cuda:
        raise ValueError(f"{weights} was exported for the CPU; leave out the device {device}")
    return graphs


def resolve_device(
    name: str, weights: str | Path | None = None, runtime: RuntimeConfig | None = None
) -> str:
    """Return the device of a name; `auto` is the first CUDA device, or else the CPU.

    Args:
        name: auto, cpu, cuda or cuda:N.
        weights: what is to run there; graphs run on the CPU, so `auto` is the CPU for them.
        runtime: what runs them.

    Raises:
        ValueError: there is no such name, or the weights cannot run there.
        WeightsError: there are no such weights.
        CycleSiamError: the machine has no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"there is no device {name!r}; use auto, cpu, cuda or cuda:N")
    if weights is not None and choose_graphs(weights, name, runtime or RuntimeConfig()):
        return "cpu"
    if name == "cpu":
        return name
    try:
        import torch
    except ModuleNotFoundError:
        plain = weights is not None and name == "auto"
        what = _without_graphs(weights) if plain else f"the device {name}"
        raise missing_extra(what, "torch", "train") from None
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise CycleSiamError(
            f"device {name}: torch {torch.__version__} finds no CUDA device here; use "
            "cpu, or install a driver and a build of torch with CUDA"
        )
    if (torch.device(name).index or 0) >= torch.cuda.device_count():
        raise CycleSiamError(
            f"device {name}: there are only {torch.cuda.device_count()} CUDA devices, "
            "counted from 0"
        )
    return name


def load_network(
    weights: str | Path,
    device: str = "cpu",
    runtime: RuntimeConfig | None = None,
    *,
    masks: bool = True,
) -> tuple["SiamRPN | ExportedNetwork", TrainingRecord]:
    """Read a network for inference, and the record of its training.

    Args:
        weights: name of shipped weights, a folder of weights, or an exported bundle.
        device: where it computes, from `resolve_device`.
        runtime: what runs it; its threads are set for OpenCV and PyTorch, too.
        masks: whether masks will be asked for; without, graphs compute less.

    Raises:
        ValueError: a runtime or precision was chosen for weights without graphs.
        WeightsError: there are no such weights, or they cannot be run.
        MissingExtraError: what runs them is not installed.
    """
    runtime = runtime or RuntimeConfig()
    if graphs := choose_graphs(weights, device, runtime):
        network, record = load_bundle(graphs, runtime, masks=masks)
    elif runtime.runtime in ("onnxruntime", "openvino") or runtime.precision == "bf16":
        raise ValueError(
            f"runtime and precision are for graphs, and {weights} has none on the device "
            f"{device}: cyclesiam export --weights {weights} --output FOLDER makes some"
        )
    else:
        network, record = _load_pytorch(weights, device)
    if runtime.threads:
        set_num_threads(runtime.threads)
    return network, record


def _load_pytorch(weights: str | Path, device: str) -> tuple["SiamRPN", TrainingRecord]:
    try:
        from cyclesiam.models.checkpoints import load_weights
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise missing_extra(_without_graphs(weights), error.name, "train") from None
    network, record = load_weights(weights)
    return network.to(device), record


def _without_graphs(weights: str | Path | None) -> str:
    return f"{weights}, which has no graphs,"
