"""Adapting: trained weights learn on from somebody's own footage, and are kept if they gain."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cyclesiam.models.checkpoints import load_weights, save_weights
from cyclesiam.models.metadata import TrainingPolicy, TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.recipes import FAST_OPTIMIZER, small
from cyclesiam.training.trainer import TrainingConfig
from cyclesiam.validation.score import LabelFreeScores, paired_gain

HELD_OUT = 0.2  # share of videos, and of pictures, that only judge
MIN_GAIN = 2.0  # standard errors that a gain must exceed: examples of one scene are not independent
POLICY_ORDER: tuple[TrainingPolicy, ...] = (
    "untrained",
    "none",
    "first-box",
    "first-mask",
)  # ever more


def adaptation_recipe(start: str | Path) -> TrainingConfig:
    """Give the recipe that goes on from weights, of the same network, as `small` learns.

    The rate is a tenth of that of random weights: little footage shall not undo much training.
    The stages follow at once, as the network can follow already; reviews practise all of them.

    Raises:
        WeightsError: there are no such weights.
    """
    network, record = load_weights(start, trainable=True)
    plain = small()
    return replace(
        plain,
        recipe="adapt",
        steps=300,
        policy=max(plain.policy, record.policy, key=POLICY_ORDER.index),
        save_interval=100,
        ema_decay=0.98,
        network=network.config,
        # One's own videos have no cut-outs of objects to teach masks by: these stay as they are.
        objective=replace(plain.objective, mask_weight=0.0),
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 12)),
            min_steps=1,
            max_steps=1,
            review_probability=0.5,
        ),
        optimizer=replace(FAST_OPTIMIZER, start_lr=2e-5, lr=2e-4, end_lr=1e-5),
    )


class Candidate(NamedTuple):
    """Weights that might be kept.

    Args:
        network: trainable.
        record: where its weights come from.
        scores: on scenes held out.
    """

    network: SiamRPN
    record: TrainingRecord
    scores: LabelFreeScores


class Verdict(NamedTuple):
    """Whether the best candidate is kept: the `rise` of its score, and its standard `error`."""

    best: str
    gain: float
    error: float

    @property
    def kept(self) -> bool:
        """Whether the score rose by more than noise."""
        return self.gain > MIN_GAIN * self.error


def keep_best(
    output: str | Path, start: str | Path, before: LabelFreeScores, candidates: dict[str, Candidate]
) -> Verdict:
    """Write the best candidate into a folder if it gained, else the weights at the start.

    Args:
        output: folder to write to.
        start: name or folder of the weights that all began with.
        before: scores of `start`.
        candidates: by name, with scores on the same examples.
    """
    best = max(candidates, key=lambda name: candidates[name].scores.total)
    network, record, scores = candidates[best]
    verdict = Verdict(best, *paired_gain(before, scores))
    if not verdict.kept:
        network, record = load_weights(start, trainable=True)
    save_weights(output, network, record)
    return verdict
