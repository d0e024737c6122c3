"""The curriculum: cycles get longer, and their frames farther apart, as matching succeeds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cyclesiam.config_aliases import accepts_old_names


class Stage(NamedTuple):
    """A kind of cycle: its turn, and the largest gap between its frames; see `training.cycle`."""

    turn: int
    gap: int


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class CurriculumConfig:
    """The stages, and when the next one begins."""

    stages: tuple[Stage, ...] = (Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 20))
    """From easy to hard; an untrained network can only train with turn 0."""
    success_threshold: float = 0.6
    """Ratio of matched targets at which the next stage begins; a larger value lets stages last
    longer."""
    min_steps: int = 200
    """Smallest number of steps of a stage."""
    max_steps: int = 1000
    """Largest number of steps of a stage. If the next one begins too early, the low weights of
    uncertain cycles limit the harm."""
    review_probability: float = 0.3
    """Probability that a step repeats an earlier stage."""

    def __post_init__(self) -> None:
        if not self.stages or self.stages[0].turn != 0:
            raise ValueError("the first stage must have turn 0: an untrained network cannot track")
        if any(stage.turn < 0 or (stage.turn and stage.gap < 1) for stage in self.stages):
            raise ValueError(
                f"a stage of turn 1 or more needs a gap of 1 or more, got {self.stages}"
            )
        if not 0 <= self.review_probability <= 1 or not 0 <= self.success_threshold <= 1:
            raise ValueError("success_threshold and review_probability must lie in 0..1")


@accepts_old_names
@dataclass(frozen=True, slots=True)
class Curriculum:
    """The state of a curriculum; `advance` returns the next one.

    Args:
        level: index of the current stage.
        steps_at_level: steps taken at this level.
        accuracy: running mean of the ratio of matched targets at this level.
    """

    level: int = 0
    steps_at_level: int = 0
    accuracy: float = 0.0

    def sample_stage(self, config: CurriculumConfig, step: int, seed: int) -> Stage:
        """Return the stage to train at a step: the current one or, for review, an earlier one."""
        rng = np.random.default_rng((seed, 3, step))
        if self.level and rng.random() < config.review_probability:
            return config.stages[rng.integers(self.level)]
        return config.stages[self.level]

    def advance(self, config: CurriculumConfig, stage: Stage, accuracy: float) -> "Curriculum":
        """Return the state after a step at `stage` with some `accuracy`, 0..1."""
        if stage != config.stages[self.level]:
            return self
        weight = 1 / min(self.steps_at_level + 1, 50)  # a plain mean at first, then a running one
        running = self.accuracy + weight * (accuracy - self.accuracy)
        steps = self.steps_at_level + 1
        ready = steps >= config.min_steps and running >= config.success_threshold
        if (ready or steps >= config.max_steps) and self.level + 1 < len(config.stages):
            return Curriculum(self.level + 1)
        return Curriculum(self.level, steps, running)
