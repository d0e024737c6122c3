"""Set up the devices, the precision and the log of curves of a run."""

import os
import re
from pathlib import Path
from typing import Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger
from lightning.fabric.plugins.environments import TorchElasticEnvironment

from cyclesiam.errors import TrainingError

Precision = Literal["auto", "32-true", "bf16-mixed"]


def make_fabric(device: str, precision: Precision, output: Path, *, devices: int = 1) -> Fabric:
    """Set up the devices to train on.

    With more than one device, the program is started again for each further one, with the same
    arguments. If `torchrun` started this process, on one machine or several, it sets the number.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto` takes bf16 where the device computes it natively.
        output: folder in which `curves` is written.
        devices: processes on this machine, each with its own GPU, or all on the CPU.

    Raises:
        TrainingError: there is no such device, or there are too few.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise TrainingError(f"a device is auto, cpu, cuda or cuda:N; got {device!r}")
    number = int(device[5:] or 0) if device.startswith("cuda") else None
    if number is not None and number >= torch.cuda.device_count():
        raise TrainingError(
            f"there is no {device}: PyTorch finds {torch.cuda.device_count()} CUDA devices here; "
            "choose another, or cpu"
        )
    nodes = 1
    if torchrun := TorchElasticEnvironment.detect():
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    several = torchrun or devices > 1
    if several:
        _check_devices(device, devices)
    fabric = Fabric(
        accelerator="auto" if device == "auto" else "cpu" if number is None else "cuda",
        devices=devices if several else 1 if number is None else [number],
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        precision=choose_precision(device) if precision == "auto" else precision,
        loggers=TensorBoardLogger(output, name="", version="curves"),
    )
    fabric.launch()
    return fabric


def is_rank_zero() -> bool:
    """Check whether this process prints and writes for all processes of the run."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))) == 0


def _check_devices(device: str, devices: int) -> None:
    if device.startswith("cuda:"):
        raise TrainingError(f"{devices} devices cannot all be {device}; name them cuda")
    count = torch.cuda.device_count()
    if device != "cpu" and count and devices > count:
        raise TrainingError(
            f"there are no {devices} devices: PyTorch finds {count} CUDA devices here; "
            "take fewer, or cpu"
        )


def choose_precision(device: str) -> Literal["32-true", "bf16-mixed"]:
    """Return bf16 where a device computes it natively: emulation is many times slower."""
    if device != "cpu" and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported()
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if native else "32-true"
