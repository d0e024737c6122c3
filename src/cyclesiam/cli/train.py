"""`cyclesiam train`: learn a tracker from unlabelled videos and pictures."""

import logging
import os
import shlex
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from cyclesiam.cli.adapting import prepare
from cyclesiam.cli.options import Device, UsageError, count_noun, make_output_folder, resolve_device
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.errors import MissingExtraError, TrainingError

if TYPE_CHECKING:
    from cyclesiam.training.trainer import Trainer, TrainingConfig, TrainingReport

NEEDS_WEIGHTS = "adapt", "objects", "masks"  # recipes that need weights to begin with
Recipe = Literal["smoke", "small", "objects", "masks", "cyclesiam", "cyclesiam_plus"]
SHOWN_PROBLEMS = 5
PROBLEMS_FILE = "left_out.txt"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Learn a tracker from videos and pictures; no label is read.

    cyclesiam train my_videos more/pictures --recipe small --output runs/mine
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, pictures, or folders to search for both."""
    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where weights, curves and the state to resume from go."""
    recipe: Annotated[Recipe | Literal["adapt"] | None, tyro.conf.arg(help_behavior_hint="")] = None
    """smoke: a minute's trial; small, then objects, then masks: as the shipped weights, hours;
    cyclesiam, cyclesiam_plus: as the paper, without and with masks; adapt: go on from other
    weights. Without one, small; with --from, adapt."""
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="WEIGHTS", help_behavior_hint="")
    ] = None
    """Weights to begin with: a name or a folder. The new ones are kept only where they score
    better on scenes held out for it; masks, which change no box, are kept in any case."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --output; give the same recipe, steps and seed."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Length of the run; the recipe's where not given."""
    seed: int = 0
    """Of all chance."""
    backbone: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Weights that a ResNet-50 begins with: torchvision's, MoCo's, DINO's."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    devices: int = 1
    """Processes that share each batch, one a GPU; torchrun has its own word for it."""
    accumulate: int = 1
    """Parts in which each process learns its share of a batch; more take less memory."""
    save_every: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Steps between checkpoints; the recipe's where not given."""

    def __call__(self) -> None:
        """Find what to learn from, train, and say where the weights are."""
        if not self.sources:
            raise UsageError("nothing to learn from: give videos, pictures or folders of them")
        require_extra()
        from cyclesiam.training.fabric import is_rank_zero

        with nullcontext() if is_rank_zero() else discard_output():
            self._carry_out()

    def _carry_out(self) -> None:
        from cyclesiam.training.fabric import is_rank_zero
        from cyclesiam.training.trainer import Trainer

        config, device = self._config(), resolve_device(self.device)
        self._check_output()
        with enforce_policy(config.policy):
            scenes, problems = self._find_scenes()
            judge = None
            if self.start is not None and config.trained_part == "all":
                scenes, judge = prepare(scenes, self.start, self.seed, device)
        make_output_folder(self.output)
        self._list_problems(problems)
        with quiet_lightning():
            trainer = Trainer(
                config,
                scenes,
                self.output,
                device=device,
                devices=self.devices,
                resume=self.resume,
                backbone_weights=self.backbone,
                start_weights=self.start,
            )
            if trainer.step >= config.steps:
                print(f"This run is complete: {count_noun(trainer.step, 'step')}.")
            else:
                self._train(trainer)
        if judge is not None and is_rank_zero():  # whose word it is, with several
            trainer.save()  # what is there may have been put back before
            judge(self.output)
        print(
            f"Weights: {self.output}\n"
            f"Try them: cyclesiam demo --weights {shlex.quote(str(self.output))}\n"
            f"Curves: tensorboard --logdir {shlex.quote(str(self.output))}"
        )

    def _config(self) -> "TrainingConfig":
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}")
        if self.start is not None and self.backbone is not None:
            raise UsageError("--from brings a whole network: leave out --backbone")
        config = self._recipe()
        steps = config.steps if self.steps is None else self.steps
        save_every = config.save_interval if self.save_every is None else self.save_every
        if self.devices < 1:
            raise UsageError(f"--devices must be 1 or more, got {self.devices}")
        try:
            return replace(
                config,
                steps=steps,
                seed=self.seed,
                accumulation_steps=self.accumulate,
                save_interval=save_every,
            )
        except ValueError as error:
            raise UsageError(f"recipe {config.recipe}: {error}") from error

    def _recipe(self) -> "TrainingConfig":
        """Give the recipe that is meant, with the policy of the weights to begin with."""
        from cyclesiam.training.adaptation import adaptation_recipe
        from cyclesiam.training.recipes import RECIPES

        if self.start is None:
            if self.recipe in NEEDS_WEIGHTS:
                raise UsageError(
                    f"the recipe {self.recipe} goes on from other weights: give --from"
                )
            return RECIPES[self.recipe or "small"]()
        adapted = adaptation_recipe(self.start)
        if self.recipe in (None, "adapt"):
            return adapted
        recipe = replace(RECIPES[self.recipe](), policy=adapted.policy)
        if recipe.trained_part == "masks":
            return replace(recipe, network=replace(adapted.network, masks=True))
        if recipe.network != adapted.network:
            raise UsageError(
                f"the recipe {self.recipe} trains another network than that of the weights "
                f"{self.start}; leave out --recipe, or choose other weights"
            )
        return recipe

    def _check_output(self) -> None:
        """Neither overwrite a run nor go on with none, and find that out before hours of work."""
        state = self._state_file()
        if self.resume and not state.is_file():
            raise TrainingError(
                f"there is no run to resume in {self.output}: {state} is missing; "
                "start one without --resume"
            )
        if not self.resume and state.exists():
            raise TrainingError(
                f"{self.output} holds a run already; go on with it by --resume, or choose "
                "another --output"
            )
        if not self.resume and (self.output / "model.safetensors").exists():
            raise TrainingError(f"{self.output} holds weights already; choose another --output")

    def _find_scenes(self) -> tuple[list[Scene], list[str]]:
        with Console(stderr=True).status("looking for videos and pictures"):
            scenes, problems = find_scenes(self.sources)
        print_scenes(scenes, problems)
        for problem in problems[:SHOWN_PROBLEMS]:
            print(f"  {problem}")
        if len(problems) > SHOWN_PROBLEMS:
            more = len(problems) - SHOWN_PROBLEMS
            print(f"  ... and {more} more, listed in {self.output / PROBLEMS_FILE}")
        return scenes, problems

    def _list_problems(self, problems: list[str]) -> None:
        """Write down all that was left out; of a resumed run, what is left out now."""
        file = self.output / PROBLEMS_FILE
        lines = "".join(f"{problem}\n" for problem in problems)
        try:
            if problems:
                file.write_text(lines, encoding="utf-8", errors="backslashreplace")
            else:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(
                f"cannot write {file} ({error.strerror}); choose another --output"
            ) from error

    def _train(self, trainer: "Trainer") -> None:
        steps = trainer.config.steps
        reports = cast(
            "Generator[TrainingReport]", trainer.fit()
        )  # its end, however it comes, saves
        try:
            with stop_on_interrupt(trainer.stop), closing(reports):
                show_training(reports, trainer.step, steps)
        except KeyboardInterrupt:
            pass  # it was in a hurry
        if trainer.step < steps:
            if not self._state_file().is_file():
                trainer.save()  # the run had not begun
            raise KeyboardInterrupt(
                f"step {trainer.step} of {steps} is saved; go on with: {self._resume_command()}"
            )

    def _state_file(self) -> Path:
        from cyclesiam.training.trainer import CHECKPOINT_FILE

        return self.output / CHECKPOINT_FILE

    def _resume_command(self) -> str:
        """Give the command that goes on with this run."""
        words = ["cyclesiam", "train", *self.sources]
        words += [] if self.recipe is None else ["--recipe", self.recipe]
        words += [] if self.start is None else ["--from", self.start]
        words += ["--output", str(self.output), "--resume"]
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--device", self.device] if self.device != "auto" else []
        words += ["--devices", str(self.devices)] if self.devices != 1 else []
        words += ["--accumulate", str(self.accumulate)] if self.accumulate != 1 else []
        words += [] if self.save_every is None else ["--save-every", str(self.save_every)]
        return shlex.join(words)


def print_scenes(scenes: list[Scene], problems: list[str]) -> None:
    """Say how many videos and pictures there are, and how many files were left out."""
    videos = sum(scene.frames > 1 for scene in scenes)
    print(
        f"Learning from {count_noun(videos, 'video')} and "
        f"{count_noun(len(scenes) - videos, 'picture')}; "
        f"{count_noun(len(problems), 'file')} cannot be read.",
        flush=True,
    )


def require_extra() -> None:
    """Find the packages that only training needs.

    Raises:
        MissingExtraError: one is not installed.
    """
    for package in ("lightning", "tensorboard"):
        if find_spec(package) is None:
            raise MissingExtraError(
                f'training needs the package {package}: pip install "cyclesiam[train]"'
            )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what lightning tells everybody: its tips, and which precision it was asked for."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def discard_output() -> Iterator[None]:
    """Leave all talk to the first process; only an error that ends this one is told."""
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        yield


@contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C only ask for a stop; the second interrupts; later ones do nothing.

    A step cut in half, or a loader left in the middle of a batch, is of no use to anybody. And
    nothing is to disturb the saving that an interrupt causes.
    """

    def hurry(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    def ask(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, hurry)
        stop()
        os.write(
            2, b"\nstopping after this step; again Ctrl-C to stop at once\n"
        )  # may be amid print

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def show_training(reports: "Iterable[TrainingReport]", step: int, steps: int) -> None:
    """Show a run as it goes: a bar on a terminal, else a line for each report."""
    console = Console(stderr=True)
    bar = Progress(
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        BarColumn(bar_width=16, table_column=Column(min_width=16)),
        TextColumn("{task.description}", table_column=Column(ratio=1)),  # wraps where it must
        console=console,
        expand=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("starting", total=steps, completed=step)
        for report in reports:
            bar.update(task, completed=report.step, description=format_report(report))
            if not console.is_terminal:
                print(f"step {report.step} of {report.steps}: {format_report(report)}", flush=True)
            for problem in report.problems:
                console.print(f"left out: {problem}", highlight=False, markup=False)


def format_report(report: "TrainingReport") -> str:
    """Say in a few words how a run stands."""
    return (
        f"turn {report.stage.turn} gap {report.stage.gap}  loss {report.loss:.3f}  "
        f"matching {report.accuracy:.0%}  dropped {report.dropped:.0%}  "
        f"{report.samples_per_second:.0f} samples/s  {format_duration(report.seconds_left)} left"
    )


def format_duration(seconds: float) -> str:
    """Give a time in the two units that matter.

    >>> format_duration(5), format_duration(95), format_duration(5460), format_duration(200_000)
    ('5 s', '1 min 35 s', '1 h 31 min', '2 d 7 h')
    """
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
