"""The curriculum: how long the cycles are and how far their frames lie apart, as success allows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cyclesiam.config_aliases import accepts_old_names


class Stage(NamedTuple):
    """A kind of cycle: its turn, and the widest gap between frames of the walk."""

    turn: int
    gap: int


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class CurriculumConfig:
    """Which stages follow each other, and when."""

    stages: tuple[Stage, ...] = (Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 20))
    """From easy to hard; an untrained network can do none but turn 0."""
    success_threshold: float = 0.6
    """Share of found targets from which on the next stage begins."""
    min_steps: int = 200
    """Steps that a stage lasts at least."""
    max_steps: int = 1000
    """Steps after which the next stage begins in any case; the weights of doubtful cycles see
    to it that a stage begun too soon does no harm."""
    review_probability: float = 0.3
    """Share of steps that repeat an earlier stage."""

    def __post_init__(self) -> None:
        if not self.stages or self.stages[0].turn != 0:
            raise ValueError("the first stage must have turn 0: who knows nothing follows nothing")
        if any(stage.turn < 0 or (stage.turn and stage.gap < 1) for stage in self.stages):
            raise ValueError(f"a stage with a walk needs a gap of 1 or more, got {self.stages}")
        if not 0 <= self.review_probability <= 1 or not 0 <= self.success_threshold <= 1:
            raise ValueError("success_threshold and review_probability are shares, 0..1")


@accepts_old_names
@dataclass(frozen=True, slots=True)
class Curriculum:
    """How far the learner has come; `after` gives the next state.

    Args:
        level: index of the current stage.
        since: steps taken at this level.
        accuracy: running share of found targets at this level.
    """

    level: int = 0
    steps_at_level: int = 0
    accuracy: float = 0.0

    def sample_stage(self, config: CurriculumConfig, step: int, seed: int) -> Stage:
        """Give the stage to practise at a step: the current one or, for review, an earlier one."""
        random = np.random.default_rng((seed, 3, step))
        if self.level and random.random() < config.review_probability:
            return config.stages[random.integers(self.level)]
        return config.stages[self.level]

    def advance(self, config: CurriculumConfig, stage: Stage, accuracy: float) -> "Curriculum":
        """Give the state after a step at `stage` in which `accuracy` of the targets were found."""
        if stage != config.stages[self.level]:
            return self
        share = 1 / min(self.steps_at_level + 1, 50)  # a plain mean at first, then a running one
        running = self.accuracy + share * (accuracy - self.accuracy)
        since = self.steps_at_level + 1
        ready = since >= config.min_steps and running >= config.success_threshold
        if (ready or since >= config.max_steps) and self.level + 1 < len(config.stages):
            return Curriculum(self.level + 1)
        return Curriculum(self.level, since, running)
