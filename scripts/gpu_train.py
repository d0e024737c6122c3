"""Train on a bare machine with a GPU, from the folder that `gpu_pack.py` made and this file is in.

    python3 runs/gpu-pack/gpu_train.py --recipe small --steps 20000 --batch 128

It stops in time and saves; the same command goes on. Results are parts of one archive, of less than
16 MB each: `cat run.tar.* | tar x` unpacks them. On a new machine, put the unpacked folder where
`--run` says, and give the same command.
"""

import argparse
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

START = time.monotonic()
PACK = Path(__file__).resolve().parent
PART_BYTES = 15 * 2**20
SAVING_SECONDS = 20  # kept for the last checkpoint and the results


def main() -> int:
    options = parse()
    use_pack()
    from cyclesiam.errors import CycleSiamError

    try:
        train(options)
    except CycleSiamError as error:
        print(f"gpu_train: {error}", file=sys.stderr)
        return 1
    write_results(options.run, options.output)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--from", dest="start", help="weights to continue: a name or a folder")
    parser.add_argument("--steps", type=int, help="of the whole run, over all pieces")
    parser.add_argument("--batch", type=int, help="clips in a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=9.0, help="of this piece, from its start")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true", help="the backbone, by torch.compile")
    parser.add_argument("--run", type=Path, default=Path("runs/gpu"), help="folder of the run")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu-results"))
    return parser.parse_args()


def use_pack() -> None:
    """Import the package from the pack, and what this machine lacks from its wheels."""
    site = PACK / "site"
    wheels = [
        wheel
        for wheel in (PACK / "wheels").glob("*.whl")
        if find_spec(wheel.name.partition("-")[0]) is None
    ]
    if wheels and not site.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        subprocess.run([*pip, "--target", str(site), *map(str, wheels)], check=True)
    sys.path[:0] = [str(PACK / "src")]
    sys.path.append(str(site))  # last: what the machine has fits the machine


def make_config(options: argparse.Namespace) -> Any:
    """Return the recipe with the options.

    Raises:
        TrainingError: there is no such recipe, or an option does not fit it.
    """
    from cyclesiam.errors import TrainingError
    from cyclesiam.training.recipes import RECIPES

    if options.recipe not in RECIPES:
        raise TrainingError(f"there is no recipe {options.recipe}; there are: {', '.join(RECIPES)}")
    config = RECIPES[options.recipe]()
    try:
        return replace(
            config,
            seed=options.seed,
            steps=options.steps or config.steps,
            clips=replace(config.clips, batch_size=options.batch or config.clips.batch_size),
        )
    except ValueError as error:
        raise TrainingError(f"recipe {options.recipe}: {error}") from error


def train(options: argparse.Namespace) -> None:
    """Train one piece: until the run is complete, or the time is up."""
    from cyclesiam.data.scenes import find_scenes
    from cyclesiam.data.tube_store import TUBES_FILE
    from cyclesiam.training.checkpoint import CHECKPOINT_FILE
    from cyclesiam.training.trainer import Trainer

    config = make_config(options)
    sources = [folder for folder in (PACK / "clips", PACK / "stills") if folder.exists()]
    scenes, problems = find_scenes(sources)
    tubes = PACK / TUBES_FILE
    print(f"{len(scenes)} videos and stills; {len(problems)} cannot be read", flush=True)
    trainer = Trainer(
        config,
        scenes,
        options.run,
        device=options.device,
        resume=(options.run / CHECKPOINT_FILE).exists(),
        start_weights=options.start,
        tubes=tubes if tubes.exists() else None,
        resident=True,
        compiled=options.compile,
    )
    print(f"frames on {trainer.fabric.device} after {time.monotonic() - START:.0f} s", flush=True)
    left = 60 * options.minutes - SAVING_SECONDS - (time.monotonic() - START)
    timer = threading.Timer(max(left, 1.0), trainer.stop)
    timer.daemon = True
    timer.start()
    for report in trainer.fit():
        print(
            f"step {report.step} of {report.steps}: turn {report.stage.turn}  "
            f"loss {report.loss:.4f}  matching {report.accuracy:.0%}  "
            f"{report.samples_per_second:.0f} samples/s",
            flush=True,
        )
    timer.cancel()
    done = trainer.state.step >= config.steps
    print(
        "complete" if done else f"stopped at step {trainer.state.step}; go on by the same command"
    )


def write_results(run: Path, output: Path) -> None:
    """Write the run's folder as an archive in parts."""
    output.mkdir(parents=True, exist_ok=True)
    archive = run.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(run, arcname=run.name)
    with archive.open("rb") as whole:
        for number, part in enumerate(iter(lambda: whole.read(PART_BYTES), b"")):
            (output / f"run.tar.{number:02}").write_bytes(part)
    archive.unlink()


if __name__ == "__main__":
    sys.exit(main())
