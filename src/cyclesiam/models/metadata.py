"""The metadata of a folder of weights or an exported bundle: `config.json` and `record.json`.

This module works without PyTorch, because bundles do.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cyclesiam.errors import WeightsError
from cyclesiam.files import atomic_path
from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.config import NetworkConfig

TrainingPolicy = Literal["none", "first-box", "first-mask", "untrained"]
BUNDLE_FILE = "bundle.json"  # marks a folder that `cyclesiam export` wrote
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """How weights were trained."""

    policy: TrainingPolicy = "untrained"
    """Which labels training read: `none`, `first-box` or `first-mask`; else `untrained`."""
    recipe: str = ""
    """The recipe that trained them."""
    steps: int = 0
    """Steps of training."""
    samples: int = 0
    """Clips that training read."""
    seed: int = 0
    """Seed of all random numbers."""
    initial_weights: str = "random"
    """Weights that the backbone began with."""


def load_metadata(folder: Path) -> tuple[NetworkConfig, TrainingRecord]:
    """Read the config and the record of a folder of weights or an exported bundle.

    Raises:
        WeightsError: a file is missing, or describes another kind of network.
    """
    config = read_json(folder / "config.json")
    record = read_json(folder / "record.json")
    try:
        anchors = AnchorConfig(**config.pop("anchors"))
        return NetworkConfig(anchors=anchors, **config), TrainingRecord(**record)
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder} describes another kind of network: {error}") from error


def save_metadata(folder: Path, config: NetworkConfig, record: TrainingRecord) -> None:
    """Write the config and the record, which `load_metadata` reads."""
    for name, content in (("config.json", config), ("record.json", record)):
        with atomic_path(folder / name) as part:
            part.write_text(json.dumps(asdict(content), indent=2) + "\n", encoding="utf-8")


def resolve_weights(name: str | Path) -> Path:
    """Return the folder of weights, given its path or the name of shipped weights.

    Raises:
        WeightsError: there is no such folder.
    """
    if (folder := Path(name)).is_dir():
        return folder
    if (folder := SHIPPED_WEIGHTS / str(name)).is_dir():
        return folder
    shipped = (
        sorted(path.name for path in SHIPPED_WEIGHTS.glob("*/")) if SHIPPED_WEIGHTS.is_dir() else []
    )
    raise WeightsError(
        f"there are no weights {str(name)!r}: give a folder that `cyclesiam train` wrote, or one "
        f"of the shipped weights: {', '.join(shipped) or 'none'}"
    )


def read_json(file: Path) -> dict[str, Any]:
    """Read a file with one JSON object.

    Raises:
        WeightsError: it is missing, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{file.parent} holds no weights: {file.name} is missing") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file} should hold one JSON object")
    return content
