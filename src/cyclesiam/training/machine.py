"""The machine that trains: its device, its arithmetic, its curves."""

import re
from pathlib import Path
from typing import Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import TensorBoardLogger

from cyclesiam.errors import TrainingError

Precision = Literal["auto", "32-true", "bf16-mixed"]


def make_fabric(device: str, precision: Precision, output: Path) -> Fabric:
    """Set up the device to train on.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: of the arithmetic; `auto` takes bf16 where the device is quick at it.
        output: folder in which `curves` is written.

    Raises:
        TrainingError: there is no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise TrainingError(f"a device is auto, cpu, cuda or cuda:N; got {device!r}")
    number = int(device[5:] or 0) if device.startswith("cuda") else None
    if number is not None and number >= torch.cuda.device_count():
        raise TrainingError(
            f"there is no {device}: PyTorch finds {torch.cuda.device_count()} CUDA devices here; "
            "choose another, or cpu"
        )
    return Fabric(
        accelerator="auto" if device == "auto" else "cpu" if number is None else "cuda",
        devices=1 if number is None else [number],
        precision=choose_precision(device) if precision == "auto" else precision,
        loggers=TensorBoardLogger(output, name="", version="curves"),
    )


def choose_precision(device: str) -> Literal["32-true", "bf16-mixed"]:
    """Take bf16 where a device has arithmetic for it; emulated, it is many times slower."""
    if device != "cpu" and torch.cuda.is_available():
        quick = torch.cuda.is_bf16_supported()
    else:
        quick = torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if quick else "32-true"
