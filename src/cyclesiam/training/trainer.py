"""The loop: batches of unlabelled clips in, weights on disk out."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cyclesiam.data.clips import Batch, ClipConfig, ClipDataset, Request
from cyclesiam.data.policy import LabelPolicy
from cyclesiam.data.scenes import Scene
from cyclesiam.errors import TrainingError
from cyclesiam.models.checkpoints import TrainingRecord, load_backbone, save_weights
from cyclesiam.models.siamrpn import NetworkConfig, SiamRPN
from cyclesiam.training.curriculum import Curriculum, CurriculumConfig, Stage
from cyclesiam.training.lessons import LessonConfig, learn_from
from cyclesiam.training.loading import load_batches
from cyclesiam.training.machine import Precision, make_fabric
from cyclesiam.training.optimisation import (
    OptimiserConfig,
    learning_rate,
    make_optimiser,
    running_average,
)

STATE_FILE = "training.ckpt"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """Everything that a run depends on, beside its clips and its machine."""

    recipe: str
    """Name of the recipe."""
    steps: int
    """Steps in all."""
    seed: int = 0
    """Of all chance."""
    policy: LabelPolicy = "none"
    """Which labels are read."""
    averaging: float = 0.998
    """Decay of the running average of the weights, which walks and which is saved."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the device has arithmetic for it."""
    workers: int = 1
    """Processes that decode and draw clips."""
    save_every: int = 500
    """Steps between checkpoints."""
    log_every: int = 25
    """Steps between reports."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    lesson: LessonConfig = field(default_factory=LessonConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.log_every < 1 or self.save_every < 1 or self.workers < 0:
            raise ValueError("steps, log_every and save_every must be 1 or more, workers 0 or more")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must lie in 0..1, got {self.averaging}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The state of a run, averaged over the steps since the last report."""

    step: int
    steps: int
    stage: Stage
    loss: float
    score_loss: float
    box_loss: float
    accuracy: float
    """Share of targets whose best proposal overlaps them by more than half."""
    dropped: float
    """Share of cycles left out because they drifted off."""
    learning_rate: float
    samples_per_second: float
    seconds_left: float
    problems: tuple[str, ...] = ()
    """What could not be read for clips, one line each, every one told once in a run."""


class _DivergedError(TrainingError):
    """The state is no longer worth keeping."""


class Trainer:
    """Train a network on scenes.

    Args:
        config: the run.
        scenes: what to learn from.
        output: folder for weights, state and curves.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        resume: go on from the state in `output`.
        backbone_weights: file of weights that a `resnet50` begins with, see `load_backbone`; a
            resumed run needs it no more.

    Raises:
        TrainingError: there is nothing to resume, or it is of another run; no scenes; no such
            device; or `output` cannot be written.
        WeightsError: the backbone's weights do not fit.
    """

    def __init__(
        self,
        config: TrainingConfig,
        scenes: list[Scene],
        output: str | Path,
        *,
        device: str = "auto",
        resume: bool = False,
        backbone_weights: str | Path | None = None,
    ) -> None:
        self.config = config
        self.output = _make_folder(Path(output))
        self.fabric = make_fabric(device, config.precision, self.output)
        torch.manual_seed(config.seed)
        network = SiamRPN(config.network)
        self.initial_weights = "random"
        if backbone_weights is not None and not resume:
            load_backbone(network, backbone_weights)
            self.initial_weights = Path(backbone_weights).name
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.guide = AveragedModel(
            network, multi_avg_fn=running_average(config.averaging), use_buffers=True
        ).to(self.fabric.device)
        self.guide.eval().requires_grad_(False)
        self.network = network.to(self.fabric.device).train()
        self.optimiser = make_optimiser(config.optimiser, self.network)
        self.chance = torch.Generator(self.fabric.device)
        self.chance.manual_seed(config.seed)
        self.curriculum = Curriculum()
        self.step = 0
        self._stopping = False
        if resume:
            self._load()
        self._dataset = ClipDataset(scenes, config.clips, config.seed)
        self._problems: dict[str, bool] = {}  # what could not be read: whether it was told

    def run(self) -> Iterator[Report]:
        """Train to the last step, reporting on the way; interrupted, it leaves a checkpoint.

        Raises:
            TrainingError: the loss or its gradient is not finite (the checkpoint before stands),
                or nothing can be read any more.
        """
        since, tallies = time.perf_counter(), []
        try:
            for batch in self._batches():
                tallies.append(self._learn(batch))
                self._problems = dict.fromkeys(batch.problems, False) | self._problems
                self.step += 1
                if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                    yield self._report(tallies, time.perf_counter() - since)
                    since, tallies = time.perf_counter(), []
                if self.step % self.config.save_every == 0:
                    self.save()
                if self._stopping:
                    break
        except _DivergedError:
            raise  # the last checkpoint is better than what this step found
        except BaseException:
            self.save()
            raise
        self.save()

    def stop(self) -> None:
        """Let the run end after the step in hand, with a checkpoint; for handlers of signals."""
        self._stopping = True

    def save(self) -> None:
        """Write the averaged weights, and the state from which a run goes on."""
        config = self.config
        record = TrainingRecord(
            policy=config.policy,
            recipe=config.recipe,
            steps=self.step,
            samples=self.step * config.clips.batch_size,
            seed=config.seed,
            initial_weights=self.initial_weights,
        )
        save_weights(self.output, self._guide, record)
        state = {
            "network": self.network.state_dict(),
            "guide": self.guide.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "chance": self.chance.get_state(),
            "curriculum": asdict(self.curriculum),
            "step": self.step,
            "initial_weights": self.initial_weights,
            "config": _plain(config),
        }
        unfinished = self.output / f"{STATE_FILE}.part"
        try:
            torch.save(state, unfinished)
            unfinished.replace(self.output / STATE_FILE)
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"cannot write {unfinished}: {_first_line(error)}") from error

    def _load(self) -> None:
        file = self.output / STATE_FILE
        if not file.is_file():
            raise TrainingError(f"there is no run to resume in {self.output}: {file} is missing")
        try:
            state = torch.load(file, map_location=self.fabric.device, weights_only=True)
        except Exception as error:
            raise TrainingError(f"cannot resume from {file}: {_first_line(error)}") from error
        if state["config"] != _plain(self.config):
            raise TrainingError(
                f"{file} belongs to a run with another recipe or settings; "
                "resume with those of the run, or choose another output folder"
            )
        self.network.load_state_dict(state["network"])
        self.guide.load_state_dict(state["guide"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.chance.set_state(state["chance"].cpu())
        self.curriculum = Curriculum(**state["curriculum"])
        self.step = state["step"]
        self.initial_weights = state.get("initial_weights", "random")

    @property
    def _guide(self) -> SiamRPN:
        """The network with averaged weights."""
        assert isinstance(self.guide.module, SiamRPN)
        return self.guide.module

    def _batches(self) -> Iterator[Batch]:
        config = self.config
        return load_batches(self._dataset, self._requests(), config.workers, policy=config.policy)

    def _requests(self) -> Iterator[Request]:
        """Ask for the batches that remain, each of the stage that the curriculum is at by then."""
        config = self.config
        for number in range(self.step, config.steps):
            yield Request(number, *self.curriculum.draw(config.curriculum, number, config.seed))

    def _learn(self, batch: Batch) -> dict[str, float]:
        """Take one step of the optimiser; give its figures."""
        config = self.config
        frames, boxes = batch.frames.to(self.fabric.device), batch.boxes.to(self.fabric.device)
        with self.fabric.autocast():
            losses, found, dropped = learn_from(
                self.network,
                self._guide,
                frames,
                boxes,
                batch.request.turn,
                config.lesson,
                self.chance,
            )
        self._check_finite("loss", losses.total, batch)
        rate = learning_rate(config.optimiser, self.step / config.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        losses.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.optimiser.clip)
        self._check_finite("gradient", norm, batch)
        self.optimiser.step()
        self.guide.update_parameters(self.network)
        accuracy = found.item()
        stage = Stage(batch.request.turn, batch.request.gap)
        self.curriculum = self.curriculum.after(config.curriculum, stage, accuracy)
        return {
            "loss": losses.total.item(),
            "score_loss": losses.score.item(),
            "box_loss": losses.box.item(),
            "accuracy": accuracy,
            "dropped": dropped.item(),
        }

    def _check_finite(self, name: str, value: Tensor, batch: Batch) -> None:
        if not value.isfinite():
            raise _DivergedError(
                f"the {name} is {value.item()} at step {self.step}, with clips from "
                f"{', '.join(sorted(set(batch.names)))}; what was saved before in {self.output} "
                "stands: lower the learning rate, or leave these clips out"
            )

    def _report(self, tallies: list[dict[str, float]], seconds: float) -> Report:
        means = {name: sum(t[name] for t in tallies) / len(tallies) for name in tallies[0]}
        per_step = seconds / len(tallies)
        problems = tuple(problem for problem, told in self._problems.items() if not told)
        self._problems = dict.fromkeys(self._problems, True)
        report = Report(
            step=self.step,
            steps=self.config.steps,
            stage=self.config.curriculum.stages[self.curriculum.level],
            learning_rate=self.optimiser.param_groups[0]["lr"],
            samples_per_second=self.config.clips.batch_size / per_step,
            seconds_left=per_step * (self.config.steps - self.step),
            problems=problems,
            **means,
        )
        curves = {**means, "turn": report.stage.turn, "gap": report.stage.gap}
        self.fabric.log_dict(curves | {"samples_per_second": report.samples_per_second}, self.step)
        return report


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"cannot write to {folder}: {error.strerror}; choose another"
        ) from error
    return folder


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _plain(config: TrainingConfig) -> dict[str, Any]:
    """Give the config as JSON holds it, which compares and loads without any class."""
    return json.loads(json.dumps(asdict(config)))
