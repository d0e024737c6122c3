"""The settings of a training run."""

from dataclasses import dataclass, field
from typing import Literal

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.clips import ClipConfig
from cyclesiam.datasets.label_policy import LabelPolicy
from cyclesiam.models.config import NetworkConfig
from cyclesiam.training.curriculum import CurriculumConfig
from cyclesiam.training.fabric import Precision
from cyclesiam.training.objective import ObjectiveConfig
from cyclesiam.training.optimizer import OptimizerConfig

TrainedPart = Literal["all", "masks"]


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """All settings of a run; its videos, output folder and devices are given to `Trainer`."""

    recipe: str
    """Name of the recipe."""
    steps: int
    """Optimizer steps of the whole run."""
    seed: int = 0
    """Seed of all random numbers."""
    policy: LabelPolicy = "none"
    """Which labels may be read."""
    ema_decay: float = 0.998
    """Decay of the running average (EMA) of the weights, which tracks and is saved; a larger value
    averages over more steps."""
    trained_part: TrainedPart = "all"
    """`masks` trains the mask head alone and freezes the rest."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the device computes it natively."""
    workers: int = 1
    """Processes that decode videos and make clips, beside each training process."""
    accumulation_steps: int = 1
    """Microbatches into which each process splits its part of a batch; more take less memory. The
    statistics of batch norms are then those of a microbatch."""
    save_interval: int = 500
    """Steps between checkpoints, where these take less than a minute."""
    log_interval: int = 25
    """Steps between reports."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.log_interval < 1 or self.save_interval < 1 or self.workers < 0:
            raise ValueError(
                "steps, log_interval and save_interval must be 1 or more, workers 0 or more"
            )
        if not 1 <= self.accumulation_steps <= self.clips.batch_size:
            raise ValueError(
                f"accumulation_steps must lie in 1..{self.clips.batch_size}, the clips of a batch, "
                f"got {self.accumulation_steps}"
            )
        if self.trained_part == "masks" and not self.network.masks:
            raise ValueError("trained_part is masks, but the network has none: set network.masks")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in 0..1, got {self.ema_decay}")
