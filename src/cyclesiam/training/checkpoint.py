"""Checkpoints of a run: its state in one file, and the averaged weights beside it.

The keys of the file are those of version 0.1: `guide` is the average, `chance` the generator, and
`asked` the stages of requested batches.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cyclesiam.config_aliases import rename_fields
from cyclesiam.errors import TrainingError
from cyclesiam.files import atomic_path
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import Curriculum, Stage
from cyclesiam.training.train_state import TrainState

CHECKPOINT_FILE = "training.ckpt"
NOT_COMPARED = ("save_interval", "log_interval")  # settings that do not change the weights


def save_checkpoint(state: TrainState, config: TrainingConfig, folder: Path) -> None:
    """Write the state of a run and its averaged weights.

    The state comes first: a run that dies between the two writes its weights when it resumes.

    Raises:
        TrainingError: it cannot be written.
    """
    values = {
        "network": state.network.state_dict(),
        "guide": state.ema.state_dict(),
        "optimiser": state.optimizer.state_dict(),
        "chance": state.rng.get_state(),
        "curriculum": asdict(state.curriculum),
        "step": state.step,
        "asked": [(number, *stage) for number, stage in state.requested.items()],
        "initial_weights": state.initial_weights,
        "config": to_plain(config),
    }
    file = folder / CHECKPOINT_FILE
    try:
        with atomic_path(file, sync=True) as part, part.open("wb") as stream:
            torch.save(values, stream)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"cannot write {file}: {_first_line(error)}") from error
    save_ema_weights(state, config, folder)


def save_ema_weights(state: TrainState, config: TrainingConfig, folder: Path) -> None:
    """Write the averaged weights, and which run they are from."""
    record = TrainingRecord(
        policy=config.policy,
        recipe=config.recipe,
        steps=state.step,
        samples=state.step * config.clips.batch_size,
        seed=config.seed,
        initial_weights=state.initial_weights,
    )
    save_weights(folder, state.ema_network, record)


def load_checkpoint(state: TrainState, config: TrainingConfig, folder: Path) -> None:
    """Set a state to the one that is saved in a folder.

    Args:
        state: changed in place; its tensors stay on their devices.
        config: the run that resumes. Fields that the checkpoint lacks are taken from it, and old
            names of fields are renamed.
        folder: output folder of the run.

    Raises:
        TrainingError: there is no checkpoint, it is damaged, or it is of another config.
    """
    file = folder / CHECKPOINT_FILE
    if not file.is_file():
        raise TrainingError(f"there is no run to resume in {folder}: {file} is missing")
    try:
        saved = torch.load(file, map_location=state.rng.device, weights_only=True)
    except Exception as error:
        raise TrainingError(f"cannot resume from {file}: {_first_line(error)}") from error
    _check_config(file, to_plain(config), saved["config"])
    state.network.load_state_dict(saved["network"])
    state.ema.load_state_dict(saved["guide"])
    state.optimizer.load_state_dict(saved["optimiser"])
    state.rng.set_state(saved["chance"].cpu())
    state.curriculum = Curriculum(**rename_fields(Curriculum, saved["curriculum"]))
    state.step = saved["step"]
    state.requested = {number: Stage(*stage) for number, *stage in saved.get("asked", [])}
    state.initial_weights = saved.get("initial_weights", "random")


def to_plain(config: Any) -> dict[str, Any]:
    """Return a dataclass as JSON holds it, to be compared and loaded without its class."""
    return json.loads(json.dumps(asdict(config)))


def fill_fields(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return values, and the defaults of what they lack, in parts of parts too."""
    filled = defaults | values
    for name, part in filled.items():
        default = defaults.get(name)
        if isinstance(part, dict) and isinstance(default, dict):
            filled[name] = fill_fields(part, default)
    return filled


def _check_config(file: Path, ours: dict[str, Any], saved: dict[str, Any]) -> None:
    try:
        theirs = rename_fields(TrainingConfig, saved)
    except ValueError as error:
        raise TrainingError(f"cannot resume from {file}: {error}") from error
    if fill_fields(theirs, ours) | {name: ours[name] for name in NOT_COMPARED} != ours:
        raise TrainingError(
            f"{file} belongs to a run with another recipe or settings; "
            "resume with those of the run, or choose another output folder"
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
