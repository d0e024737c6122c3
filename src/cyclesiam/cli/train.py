"""`cyclesiam train`: train a tracker on unlabeled videos and images."""

import logging
import os
import shlex
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import tyro
from rich.console import Console

from cyclesiam.cli.options import (
    Device,
    Threads,
    UsageError,
    check_threads,
    count_noun,
    make_output_folder,
    print_problems,
    resolve_device,
    show_progress,
)
from cyclesiam.cli.signals import stop_on_signal
from cyclesiam.cli.train_output import (
    print_held_out,
    print_scenes,
    print_scoring,
    print_verdict,
    show_training,
)
from cyclesiam.cli.tube_sheets import gather_tubes
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.errors import TrainingError, missing_extra
from cyclesiam.files import check_output_folder, lock_folder

if TYPE_CHECKING:
    from cyclesiam.training.adaptation import HeldOut
    from cyclesiam.training.config import TrainingConfig
    from cyclesiam.training.trainer import Trainer, TrainingReport

NEEDS_WEIGHTS = "adapt", "objects", "masks"  # recipes that continue from weights
Recipe = Literal["smoke", "small", "objects", "pyramid", "masks", "cyclesiam", "cyclesiam_plus"]
PROBLEMS_FILE = "left_out.txt"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a tracker on videos and images; no label is read.

    cyclesiam train my_videos more/images --recipe small --output runs/mine
    """

    sources: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="SOURCE ...", help_behavior_hint="(required)"),
    ]
    """Video files, images, or folders to search for both."""
    output: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Folder for weights, curves and the checkpoint to resume from."""
    recipe: Annotated[Recipe | Literal["adapt"] | None, tyro.conf.arg(help_behavior_hint="")] = None
    """smoke: a trial of a minute; small, then objects, then masks: the shipped weights, hours;
    cyclesiam, cyclesiam_plus: the paper, without and with masks; adapt: train weights further.
    Default: small; with --from, adapt."""
    start: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="WEIGHTS", help_behavior_hint="")
    ] = None
    """Initial weights: a name or a folder. The new weights are kept only if they score better on
    scenes that are held out; masks, which change no box, are always kept."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the run in --output; give the same recipe, steps and seed."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Length of the run; the recipe's by default."""
    batch: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Clips in a batch; the recipe's by default. A GPU is idle with few."""
    seed: int = 0
    """Seed of all random numbers."""
    backbone: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Initial weights of a ResNet-50: torchvision's, MoCo's or DINO's."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""
    tubes: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Tubes of the sources, for a recipe that draws them; found and kept in --output by default."""
    resident: tyro.conf.FlagCreatePairsOff[bool] = False
    """Decode everything once and keep it on the device, which then makes the clips: for a GPU."""
    threads: Threads = None
    """Threads of each process that compute; by default, half as many as there are processors. A
    process more loads the clips."""
    compile: tyro.conf.FlagCreatePairsOff[bool] = False
    """Compile the backbone by torch.compile: slower to start, faster on a GPU."""
    devices: int = 1
    """Processes that split each batch, one for each GPU; torchrun sets their number itself."""
    accumulate: int = 1
    """Microbatches of each process and batch; more take less memory."""
    save_every: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Most steps between checkpoints, which are a minute apart at most; the recipe's by default."""

    def __call__(self) -> None:
        """Find scenes, train, and print where the weights are."""
        if not self.sources:
            raise UsageError("nothing to train on: give videos, images or folders of them")
        require_extra()
        from cyclesiam.training.fabric import is_rank_zero

        with nullcontext() if is_rank_zero() else discard_output():
            try:
                self._run()
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(str(stop) or self._describe_output()) from None

    def _run(self) -> None:
        from cyclesiam.training.adaptation import hold_out
        from cyclesiam.training.fabric import is_rank_zero

        config, device = self._config(), resolve_device(self.device)
        self._check_output()
        with enforce_policy(config.policy):
            scenes, problems = self._find_scenes()
            held_out = None
            if self.start is not None and config.trained_part == "all":
                held_out = hold_out(
                    scenes, self.start, seed=self.seed, device=device, show=show_progress
                )
                scenes = held_out.training
                print_held_out(held_out, self.start)
        make_output_folder(self.output)
        with lock_folder(self.output) if is_rank_zero() else nullcontext():
            self._check_output()  # again: another run may have begun meanwhile
            self._run_on(scenes, problems, config, held_out, device)

    def _run_on(
        self,
        scenes: list[Scene],
        problems: list[str],
        config: "TrainingConfig",
        held_out: "HeldOut | None",
        device: str,
    ) -> None:
        """Train on scenes, keep the better weights, and print where they are."""
        from cyclesiam.training.fabric import is_rank_zero
        from cyclesiam.training.trainer import Trainer

        self._list_problems(problems)
        tubes = self._find_tubes(config, scenes)
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
                tubes=tubes,
                resident=self.resident,
                compiled=self.compile,
                threads=self.threads or 0,
            )
            if trainer.state.step >= config.steps:
                print(f"This run is complete: {count_noun(trainer.state.step, 'step')}.")
            else:
                self._train(trainer)
        if self.start is not None and held_out is not None and is_rank_zero():
            self._compare(trainer, held_out, self.start, device)
        print(
            f"Weights: {self.output}\n"
            f"Try them: cyclesiam demo --weights {shlex.quote(str(self.output))}\n"
            f"Curves: tensorboard --logdir {shlex.quote(str(self.output))}"
        )

    def _compare(self, trainer: "Trainer", held_out: "HeldOut", start: str, device: str) -> None:
        """Score the trained and the initial weights, and keep the better ones.

        Raises:
            KeyboardInterrupt: a signal came; it says how to go on.
        """
        from cyclesiam.training.adaptation import keep_better

        trainer.save()  # a resumed run may have put the initial weights back before
        try:
            if trainer.state.stop_requested:  # during the last step
                raise KeyboardInterrupt
            print_scoring(held_out)
            verdict = keep_better(self.output, start, held_out, device=device, show=show_progress)
        except KeyboardInterrupt:
            steps = count_noun(trainer.state.step, "step")
            raise KeyboardInterrupt(
                f"all {steps} are saved, but the weights are not yet compared with {start}; "
                f"do that with: {self._resume_command()}"
            ) from None
        print_verdict(verdict, held_out, start, self.output)

    def _config(self) -> "TrainingConfig":
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}")
        if self.start is not None and self.backbone is not None:
            raise UsageError("--from loads a whole network: leave out --backbone")
        config = self._recipe()
        steps = config.steps if self.steps is None else self.steps
        save_every = config.save_interval if self.save_every is None else self.save_every
        check_threads(self.threads)
        if self.devices < 1:
            raise UsageError(f"--devices must be 1 or more, got {self.devices}")
        if self.resident and self.devices > 1:
            raise UsageError("--resident keeps frames on one device: leave out --devices")
        try:
            return replace(
                config,
                steps=steps,
                seed=self.seed,
                clips=config.clips
                if self.batch is None
                else replace(config.clips, batch_size=self.batch),
                accumulation_steps=self.accumulate,
                save_interval=save_every,
            )
        except ValueError as error:
            raise UsageError(f"recipe {config.recipe}: {error}") from error

    def _recipe(self) -> "TrainingConfig":
        """Return the chosen recipe, with the label policy of the initial weights."""
        from cyclesiam.training.adaptation import adaptation_recipe
        from cyclesiam.training.recipes import RECIPES

        if self.start is None:
            if self.recipe in NEEDS_WEIGHTS:
                raise UsageError(
                    f"the recipe {self.recipe} continues from other weights: give --from"
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
        """Check, before hours of work, that no run is overwritten and none is missing."""
        check_output_folder(self.output)
        state = self._state_file()
        if self.resume and not state.is_file():
            raise TrainingError(
                f"there is no run to resume in {self.output}: {state} is missing; "
                "start one without --resume"
            )
        if not self.resume and state.exists():
            raise TrainingError(
                f"{self.output} holds a run already; choose another --output, or continue it "
                f"with: {self._resume_command()}"
            )
        if not self.resume and (self.output / "model.safetensors").exists():
            raise TrainingError(f"{self.output} holds weights already; choose another --output")

    def _find_scenes(self) -> tuple[list[Scene], list[str]]:
        with Console(stderr=True).status("looking for videos and images"):
            scenes, problems = find_scenes(self.sources)
        print_scenes(scenes, problems)
        print_problems(problems, self.output / PROBLEMS_FILE)
        return scenes, problems

    def _find_tubes(self, config: "TrainingConfig", scenes: list[Scene]) -> Path | None:
        if not config.clips.tube_probability:
            if self.tubes is not None:
                raise UsageError(f"the recipe {config.recipe} draws no tubes: leave out --tubes")
            return None
        with enforce_policy(config.policy):
            return self.tubes or gather_tubes(self.sources, scenes, self.output)

    def _list_problems(self, problems: list[str]) -> None:
        """Write the list of files that are left out now, also in a resumed run."""
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
        reports = cast("Generator[TrainingReport]", trainer.fit())  # closing it saves
        try:
            with stop_on_signal(trainer.stop), closing(reports):
                show_training(reports, trainer.state.step, steps)
        except KeyboardInterrupt:
            pass  # the second signal
        done = trainer.state.step
        if done < steps:
            if not self._state_file().is_file():
                trainer.save()  # no step was begun
            raise KeyboardInterrupt(
                f"step {done} of {steps} is saved; continue with: {self._resume_command()}"
            )

    def _describe_output(self) -> str:
        """Say what a run that was ended outside of its steps leaves, and how to go on."""
        if not self._state_file().is_file():
            return "no step was trained yet; the same command begins anew"
        return f"the run in {self.output} is saved; continue with: {self._resume_command()}"

    def _state_file(self) -> Path:
        from cyclesiam.training.checkpoint import CHECKPOINT_FILE

        return self.output / CHECKPOINT_FILE

    def _resume_command(self) -> str:
        """Return the command that continues this run."""
        words = ["cyclesiam", "train", *self.sources]
        words += [] if self.recipe is None else ["--recipe", self.recipe]
        words += [] if self.start is None else ["--from", self.start]
        words += ["--output", str(self.output), "--resume"]
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += [] if self.batch is None else ["--batch", str(self.batch)]
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--device", self.device] if self.device != "auto" else []
        words += [] if self.tubes is None else ["--tubes", str(self.tubes)]
        words += ["--resident"] if self.resident else []
        words += [] if self.threads is None else ["--threads", str(self.threads)]
        words += ["--compile"] if self.compile else []
        words += ["--devices", str(self.devices)] if self.devices != 1 else []
        words += ["--accumulate", str(self.accumulate)] if self.accumulate != 1 else []
        words += [] if self.save_every is None else ["--save-every", str(self.save_every)]
        return shlex.join(words)


def require_extra() -> None:
    """Check that the packages are installed that only training needs.

    Raises:
        MissingExtraError: one is not installed.
    """
    for package in ("lightning", "tensorboard"):
        if find_spec(package) is None:
            raise missing_extra("training", package, "train")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence lightning's tips, and its notes on the precision that was requested."""
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
    """Discard what this process prints: the first process prints for all."""
    with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
        yield
