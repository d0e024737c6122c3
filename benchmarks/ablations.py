"""Train the same network with and without one ingredient, with several seeds.

    .venv/bin/python benchmarks/ablations.py FOLDER... --output OUT [--steps 700] [--seeds 1 2 3]
        [--arms turn0 curriculum random_boxes ...] [--start OUT/turn0-{seed}]

All arms start from random weights, or from each seed's of an earlier run, and see as many samples.
They use no composites, except in the arm `made_clips`: their known boxes would train what the cycle
is to be credited for. The arms after the first two change one ingredient of either of these. Runs
follow each other; each leaves a folder of weights, `OUT/ARM-SEED`, and is not repeated if it is
there. Score them with

    .venv/bin/python -m cyclesiam evaluate DATASET --root ... --weights OUT/ARM-SEED
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from cyclesiam.data.scenes import find_scenes
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.recipes import small
from cyclesiam.training.trainer import Trainer

STAGES = (Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 12))


def cycles(steps: int, seed: int) -> TrainingConfig:
    """Return the recipe's curriculum, scaled to the number of steps; no synthetic clips."""
    config = small()
    compositing = replace(config.clips.compositing, probability=0.0)
    curriculum = CurriculumConfig(
        stages=STAGES, min_steps=steps // 10, max_steps=steps // 6, review_probability=0.5
    )
    return replace(
        config,
        steps=steps,
        seed=seed,
        ema_decay=0.99,
        curriculum=curriculum,
        clips=replace(config.clips, compositing=compositing, cache_gigabytes=4.0),
    )


def turn0(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 alone: template and search from one frame."""
    return replace(config, curriculum=CurriculumConfig(stages=STAGES[:1]))


def random_boxes(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 with boxes anywhere, of any content."""
    plain = turn0(config)
    discovery = replace(plain.clips.discovery, motion_probability=0.0, contrast_sharpness=0.0)
    return replace(plain, clips=replace(plain.clips, discovery=discovery))


def no_negatives(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 without negative pairs, and without hard negative anchors."""
    plain = turn0(config)
    labels = replace(plain.objective.labels, hard_negative_ratio=0.0)
    return replace(
        plain, objective=replace(plain.objective, negative_probability=0.0, labels=labels)
    )


def no_occlusion(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 with nothing pasted over targets."""
    plain = turn0(config)
    augmentation = replace(plain.objective.augmentation, occlusion_probability=0.0)
    return replace(plain, objective=replace(plain.objective, augmentation=augmentation))


def no_doubt(config: TrainingConfig) -> TrainingConfig:
    """Return the curriculum without dropping cycles of low scores."""
    return replace(config, objective=replace(config.objective, min_cycle_score=0.0))


def made_clips(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 with the composites of the recipe."""
    plain = turn0(config)
    compositing = small().clips.compositing
    return replace(plain, clips=replace(plain.clips, compositing=compositing))


def each_frame_alike(config: TrainingConfig) -> TrainingConfig:
    """Return turn 0 with videos drawn by length, and a still in one clip of six."""
    plain = turn0(config)
    return replace(plain, clips=replace(plain.clips, length_exponent=1.0, still_probability=0.16))


def middle(config: TrainingConfig) -> TrainingConfig:
    """Return the curriculum with pairs in the middle, at full weight."""
    return replace(config, objective=replace(config.objective, middle=1.0))


ARMS: dict[str, Callable[[TrainingConfig], TrainingConfig]] = {
    "turn0": turn0,
    "curriculum": lambda config: config,
    "random_boxes": random_boxes,
    "no_negatives": no_negatives,
    "no_occlusion": no_occlusion,
    "no_doubt": no_doubt,
    "middle": middle,
    "each_frame_alike": each_frame_alike,
    "made_clips": made_clips,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--start", help="folder of weights to begin at; {seed} is each run's")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes, _ = find_scenes(options.folders)
    for seed in options.seeds:
        for arm in options.arms:
            folder = options.output / f"{arm}-{seed}"
            if (folder / "done").exists():
                continue
            start = options.start and options.start.format(seed=seed)
            config = ARMS[arm](cycles(options.steps, seed))
            trainer = Trainer(config, scenes, folder, device="cpu", start_weights=start)
            for report in trainer.fit():
                print(
                    f"{arm} {seed} step {report.step} turn {report.stage.turn} gap "
                    f"{report.stage.gap} loss {report.loss:.3f} found {report.accuracy:.3f} "
                    f"{report.samples_per_second:.0f} samples/s",
                    flush=True,
                )
            (folder / "done").touch()


if __name__ == "__main__":
    main()
