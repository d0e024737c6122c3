"""The state of a run on disk: all that the next step depends on, in one file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cyclesiam.config_aliases import rename_fields
from cyclesiam.errors import TrainingError
from cyclesiam.files import atomic_path

CHECKPOINT_FILE = "training.ckpt"
NOT_COMPARED = ("save_interval", "log_interval")  # settings that change nothing that is learnt


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a state; it appears whole or not at all, whenever the process or the power ends.

    Raises:
        TrainingError: it cannot be written.
    """
    path = folder / CHECKPOINT_FILE
    try:
        with atomic_path(path, sync=True) as part, part.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"cannot write {path}: {_first_line(error)}") from error


def load_checkpoint(folder: Path, device: torch.device, config: Any) -> dict[str, Any]:
    """Read the state of a run.

    Args:
        folder: the run's.
        device: where its tensors shall lie.
        config: dataclass of the run that goes on; fields that an older version did not know yet
            are taken from it, and those that it named otherwise are renamed.

    Raises:
        TrainingError: there is none, it is damaged, or it belongs to a run with another config.
    """
    file = folder / CHECKPOINT_FILE
    if not file.is_file():
        raise TrainingError(f"there is no run to resume in {folder}: {file} is missing")
    try:
        state = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:
        raise TrainingError(f"cannot resume from {file}: {_first_line(error)}") from error
    ours, theirs = to_plain(config), rename_fields(type(config), state["config"])
    if ours | theirs | {name: ours[name] for name in NOT_COMPARED} != ours:
        raise TrainingError(
            f"{file} belongs to a run with another recipe or settings; "
            "resume with those of the run, or choose another output folder"
        )
    return state


def to_plain(config: Any) -> dict[str, Any]:
    """Give a dataclass as JSON holds it, which compares and loads without any class."""
    return json.loads(json.dumps(asdict(config)))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
