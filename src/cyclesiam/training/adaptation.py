"""Adaptation: train weights further on own footage, and keep the result if it scores better."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from cyclesiam.data.scenes import Scene, find_scenes, split_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.errors import TrainingError
from cyclesiam.models.averaging import average_networks
from cyclesiam.models.checkpoints import load_weights, save_weights
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.metadata import TrainingPolicy, TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.recipes import FAST_OPTIMIZER, small
from cyclesiam.training.trainer import Trainer, TrainingReport
from cyclesiam.validation.examples import Example, ExampleConfig, make_examples
from cyclesiam.validation.progress import ShowProgress, show_nothing
from cyclesiam.validation.score import LabelFreeScores, label_free_score, paired_gain

HELD_OUT = 0.2  # ratio of videos, and of stills, that are scored and not trained on
MIN_GAIN = 2.0  # standard errors that a gain must exceed: examples of one scene are not independent
POLICY_ORDER: tuple[TrainingPolicy, ...] = (
    "untrained",
    "none",
    "first-box",
    "first-mask",
)  # by rising use of labels


def adaptation_recipe(start: str | Path) -> TrainingConfig:
    """Return the recipe that trains weights further, with their network and the data of `small`.

    The learning rate is a tenth of that for random weights: little footage must not undo much
    training. All stages follow at once, as the network tracks already; reviews mix them.

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
        # Own videos have no cutouts of whole objects to train masks on: masks stay as they are.
        objective=replace(plain.objective, mask_weight=0.0),
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 12)),
            min_steps=1,
            max_steps=1,
            review_probability=0.5,
        ),
        optimizer=replace(FAST_OPTIMIZER, start_lr=2e-5, lr=2e-4, end_lr=1e-5),
    )


class HeldOut(NamedTuple):
    """A split of scenes, and the scores of the initial weights.

    Args:
        training: scenes to train on.
        scored: scenes held out.
        examples: made from `scored`; no label was read.
        before: scores of the initial weights on these.
    """

    training: list[Scene]
    scored: list[Scene]
    examples: list[Example]
    before: LabelFreeScores


class Candidate(NamedTuple):
    """Weights that may be kept.

    Args:
        network: trainable.
        record: where its weights come from.
        scores: on the examples held out.
    """

    network: SiamRPN
    record: TrainingRecord
    scores: LabelFreeScores


class Verdict(NamedTuple):
    """The best candidate, and whether it is kept.

    Args:
        best: its name.
        gain: change of the label-free score.
        error: standard error of the gain.
        scores: of all candidates, by name.
        left_out: a line for each file or folder that `adapt` could not use.
    """

    best: str
    gain: float
    error: float
    scores: dict[str, LabelFreeScores]
    left_out: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the score rose by more than noise."""
        return self.gain > MIN_GAIN * self.error


def adapt(
    sources: Iterable[str | Path],
    start: str | Path,
    output: str | Path,
    *,
    config: TrainingConfig | None = None,
    device: str = "auto",
    threads: int = 0,
    on_report: Callable[[TrainingReport], None] | None = None,
) -> Verdict:
    """Train weights further on videos and stills, and write the better weights to a folder.

    Args:
        sources: files and folders; a fifth of them is held out, see `hold_out`.
        start: name or folder of the initial weights.
        output: folder for the weights and the run.
        config: how to train; `adaptation_recipe` by default.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: of PyTorch; 0 for few, see `Trainer`.
        on_report: called with each report of the training.

    Returns:
        The verdict; unless it is `kept`, the folder holds the initial weights.

    Raises:
        CycleSiamError: there are too few scenes, or no such weights, or training fails.
    """
    config = config or adaptation_recipe(start)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with enforce_policy(config.policy):
        scenes, left_out = find_scenes(sources)
        held_out = hold_out(scenes, start, seed=config.seed, device=device)
    trainer = Trainer(
        config, held_out.training, output, device=device, start_weights=start, threads=threads
    )
    for report in trainer.fit():
        if on_report is not None:
            on_report(report)
    verdict = keep_better(output, start, held_out, device=device)
    return verdict._replace(left_out=tuple(left_out))


def hold_out(
    scenes: list[Scene],
    start: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    show: ShowProgress = show_nothing,
) -> HeldOut:
    """Hold out a fifth of the scenes, and score the initial weights on examples from them.

    Args:
        scenes: to split.
        start: name or folder of the initial weights.
        seed: of the examples.
        device: where to track.
        show: shows how many examples are done.

    Raises:
        TrainingError: there is only one scene, so that none can be held out.
    """
    training, scored = split_scenes(scenes, HELD_OUT)
    if not scored:
        raise TrainingError(
            f"{scenes[0].path} alone cannot be both trained on and held out: cut it into two "
            "files or more, or give further videos or images"
        )
    examples = make_examples(scored, ExampleConfig(seed=seed), show=show)
    network = load_weights(start)[0].to(device)
    before = label_free_score(network, examples, device=device, show=show)
    return HeldOut(training, scored, examples, before)


def keep_better(
    output: str | Path,
    start: str | Path,
    held_out: HeldOut,
    *,
    device: str = "cpu",
    show: ShowProgress = show_nothing,
) -> Verdict:
    """Compare the weights in a folder with the initial ones, and leave the better ones there.

    Candidates are the trained weights, and their mean with the initial ones.

    Args:
        output: folder of trained weights.
        start: name or folder of the weights that training started from.
        held_out: examples and initial scores.
        device: where to track.
        show: shows how many examples are done.
    """
    adapted, record = load_weights(output, trainable=True)
    initial, _ = load_weights(start, trainable=True)
    networks = {"adapted": adapted, "mean of both": average_networks(initial, adapted)}
    candidates = {
        name: Candidate(
            network,
            replace(record, recipe=f"{record.recipe}: {name}"),
            label_free_score(
                fuse_for_inference(network).to(device),
                held_out.examples,
                device=device,
                show=show,
            ),
        )
        for name, network in networks.items()
    }
    return keep_best(output, start, held_out.before, candidates)


def keep_best(
    output: str | Path, start: str | Path, before: LabelFreeScores, candidates: dict[str, Candidate]
) -> Verdict:
    """Write the best candidate into a folder if it gained, else the initial weights.

    Args:
        output: folder to write to.
        start: name or folder of the initial weights.
        before: scores of the initial weights.
        candidates: by name, with scores on the same examples.
    """
    scores = {name: candidate.scores for name, candidate in candidates.items()}
    best = max(scores, key=lambda name: scores[name].total)
    verdict = Verdict(best, *paired_gain(before, scores[best]), scores)
    network, record, _ = candidates[best]
    if not verdict.kept:
        network, record = load_weights(start, trainable=True)
    save_weights(output, network, record)
    return verdict
