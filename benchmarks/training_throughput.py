"""Samples/s of whole trainings, with what makes samples cheap and without.

    .venv/bin/python benchmarks/training_throughput.py CLIPS STILLS [--rounds 3] [--arms plain ...]

Each round trains every arm for 64 steps of recipe `objects`, turn 1, one after another, and prints
the samples/s of the last 48. A process makes the clips beside the training. `plain` has the
recipe's settings, `both_ways` shows each clip also back in time and draws longer from a chunk, and
`small_search` searches crops of 207 pixels, too. With `PYTHONPATH=OTHER/src` another checkout
trains. Every tenth video and every twentieth still are taken, so that decoding weighs little.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from cyclesiam.data.scenes import find_scenes
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.recipes import objects
from cyclesiam.training.trainer import Trainer

ARMS = "plain", "both_ways", "small_search"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("stills", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    options = parser.parse_args()
    scenes = find_scenes([options.clips])[0][::10] + find_scenes([options.stills])[0][::20]
    for _ in range(options.rounds):
        for arm in options.arms:
            with tempfile.TemporaryDirectory() as folder:
                reports = [*Trainer(make_config(arm), scenes, folder, device="cpu").fit()]
            speeds = [report.samples_per_second for report in reports[1:]]
            print(f"{arm:12s} {len(speeds) / sum(1 / s for s in speeds):6.1f}", flush=True)


def make_config(arm: str) -> TrainingConfig:
    """Return the config of an arm."""
    config = replace(
        objects(),
        steps=64,
        log_interval=16,
        save_interval=1000,
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 8)), min_steps=1, max_steps=1, review_probability=0.0
        ),
    )
    clips = replace(config.clips, cache_gigabytes=1.0)
    if arm != "plain":
        clips = replace(clips, samples_per_clip=2, batches_per_chunk=32)
    if arm == "small_search":
        config = replace(config, network=replace(config.network, search_size=207))
    return replace(config, clips=clips)


if __name__ == "__main__":
    main()
