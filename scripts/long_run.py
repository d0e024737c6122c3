"""Train one recipe for days beside other work, and print its curve.

    .venv/bin/python scripts/long_run.py train FOLDER... [--run runs/long]
    .venv/bin/python scripts/long_run.py curve FOLDER... [--run runs/long] [--suite SUITE]

`train` starts the run, or goes on from its checkpoint. It takes one core and gives way to other
programs; start it by `setsid`, so that it gives way to those of other sessions, too. Ctrl-C, or
any signal that can be caught, stops it after a step, with a checkpoint. Every --snapshot steps it
keeps the averaged weights in `RUN/at-STEP`. A tenth of the scenes is held out.

`curve` scores each of them without labels, on the scenes that are held out, and by one pass over
the development suite where that is unpacked. Scores are kept beside the weights.
"""

import argparse
import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cv2
import torch

from cyclesiam.cli.signals import stop_on_signal
from cyclesiam.data.scenes import Scene, find_scenes, split_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.training.checkpoint import CHECKPOINT_FILE, save_ema_weights
from cyclesiam.training.recipes import RECIPES
from cyclesiam.training.trainer import Trainer
from cyclesiam.validation.examples import ExampleConfig, make_examples
from cyclesiam.validation.score import label_free_score

HELD_OUT = 0.1  # ratio of the scenes
NICENESS = 15
SCORES = "label_free.json"


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with enforce_policy("none"):
        scenes, _ = find_scenes(options.sources)
    trained, held = split_scenes(scenes, HELD_OUT)
    if options.command == "train":
        train(options, trained)
    else:
        print_curve(options, held)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("train", "curve"))
    parser.add_argument("sources", nargs="+", type=Path, help="folders of videos and stills")
    parser.add_argument("--run", type=Path, default=Path("runs/long"))
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="pyramid")
    parser.add_argument("--steps", type=int, help="of the whole run; by default the recipe's")
    parser.add_argument("--tubes", type=Path, help="file of tubes that `prepare` wrote")
    parser.add_argument("--snapshot", type=int, default=1600, help="steps between kept weights")
    parser.add_argument("--examples", type=int, default=48, help="of each kind to score by")
    parser.add_argument("--suite", type=Path, help="folder of the development suite")
    return parser.parse_args()


def train(options: argparse.Namespace, scenes: list[Scene]) -> None:
    """Train to the last step, or until a signal stops the run."""
    give_way()
    recipe = RECIPES[options.recipe]()
    config = replace(recipe, steps=options.steps or recipe.steps, workers=0)
    trainer = Trainer(
        config,
        scenes,
        options.run,
        device="cpu",
        resume=(options.run / CHECKPOINT_FILE).exists(),
        tubes=options.tubes,
    )
    with stop_on_signal(trainer.stop):
        for report in trainer.fit():
            print(
                f"step {report.step} of {report.steps}: turn {report.stage.turn} gap "
                f"{report.stage.gap} loss {report.loss:.4f} matching {report.accuracy:.1%} "
                f"{report.samples_per_second:.0f} samples/s",
                flush=True,
            )
            if report.step % options.snapshot == 0:
                save_ema_weights(trainer.state, config, options.run / f"at-{report.step}")
    if trainer.state.step < config.steps:
        print(f"step {trainer.state.step} is saved; the same command goes on", flush=True)


def give_way() -> None:
    """Give way to other programs.

    Where Linux groups processes by session, `nice` counts only within one. In a session of its own
    (`setsid`), the run gives way to all others, too.
    """
    os.nice(NICENESS - os.nice(0))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def print_curve(options: argparse.Namespace, held: list[Scene]) -> None:
    """Score each snapshot that has no score yet, and print them all."""
    count = options.examples
    examples = make_examples(held, ExampleConfig(objects=count, degraded=count))
    snapshots = sorted(options.run.glob("at-*"), key=lambda folder: int(folder.name[3:]))
    for folder in snapshots:
        network, record = load_weights(folder)
        file = folder / SCORES
        if not file.is_file():
            scores = label_free_score(network, examples)
            file.write_text(json.dumps({"total": scores.total, **scores.by_kind}))
        scores = json.loads(file.read_text())
        kinds = ", ".join(f"{kind} {score:.3f}" for kind, score in scores.items())
        print(f"{record.samples} samples: {kinds}{development(folder, options.suite)}", flush=True)


def development(folder: Path, suite: Path | None) -> str:
    """Return the summary of one pass over the development suite, where there is one."""
    if suite is None:
        return ""
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    import development_suite

    file = folder / "development.json"
    if not file.is_file():
        tracker = Tracker(folder, threads=1, masks=False)
        file.write_text(json.dumps(development_suite.evaluate(tracker, suite)))
    return "; " + development_suite.summary(json.loads(file.read_text()))


if __name__ == "__main__":
    main()
