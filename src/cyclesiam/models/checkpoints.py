"""Weights on disk: a folder with `model.safetensors`, `config.json` and `record.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cyclesiam.errors import WeightsError
from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.siamrpn import NetworkConfig, SiamRPN

Policy = Literal["none", "first-box", "first-mask", "untrained"]
SHIPPED = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """Where weights come from."""

    policy: Policy = "untrained"
    """Which labels were read: `none`, `first-box`, `first-mask`; `untrained` weights read none."""
    recipe: str = ""
    """The recipe that trained them."""
    steps: int = 0
    """Steps of training."""
    samples: int = 0
    """Clips seen."""
    seed: int = 0
    """Of all chance."""
    initial_weights: str = "random"
    """What the backbone began with."""


def save_weights(folder: str | Path, network: SiamRPN, record: TrainingRecord) -> None:
    """Write a network's weights, config and origin; the weights appear whole or not at all.

    Raises:
        WeightsError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("config.json", network.config), ("record.json", record)):
            _replace(folder / name, json.dumps(asdict(content), indent=2) + "\n")
        tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
        unfinished = folder / "model.safetensors.part"
        save_file(tensors, unfinished)
        unfinished.replace(folder / "model.safetensors")
    except OSError as error:
        raise WeightsError(f"cannot write weights to {folder}: {error.strerror or error}") from error


def load_weights(name: str | Path) -> tuple[SiamRPN, TrainingRecord]:
    """Read a network and where it comes from.

    Args:
        name: name of shipped weights, or a folder that `save_weights` wrote.

    Raises:
        WeightsError: there are none, or they are unreadable, or of another network.
    """
    folder = _find(name)
    config = _read_json(folder / "config.json")
    record = _read_json(folder / "record.json")
    try:
        anchors = AnchorConfig(**config.pop("anchors"))
        network = SiamRPN(NetworkConfig(anchors=anchors, **config))
        origin = TrainingRecord(**record)
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} describes another kind of network: {error}") from error
    file = folder / "model.safetensors"
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read weights from {file}: {error}") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise WeightsError(
            f"{file} holds the weights of another network than its config.json describes: "
            f"{lines[1].strip() if len(lines) > 1 else lines[0]}"
        ) from error
    return network.eval(), origin


def _find(name: str | Path) -> Path:
    if (folder := Path(name)).is_dir():
        return folder
    if (folder := SHIPPED / str(name)).is_dir():
        return folder
    shipped = sorted(path.name for path in SHIPPED.glob("*/")) if SHIPPED.is_dir() else []
    raise WeightsError(
        f"there are no weights {str(name)!r}: give a folder that `cyclesiam train` wrote, or one of "
        f"the shipped weights: {', '.join(shipped) or 'none'}"
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{file.parent} holds no weights: {file.name} is missing") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file} should hold one JSON object")
    return content


def _replace(file: Path, text: str) -> None:
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
