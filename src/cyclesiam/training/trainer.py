"""The loop: batches of unlabelled clips in, weights on disk out."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from cyclesiam.config_aliases import accepts_old_names, rename_fields
from cyclesiam.data.clips import Batch, BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.row_rng import RowGenerator
from cyclesiam.data.scenes import Scene
from cyclesiam.datasets.label_policy import LabelPolicy
from cyclesiam.errors import TrainingError
from cyclesiam.models.checkpoints import load_backbone, load_pretrained, save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.checkpoint import (
    CHECKPOINT_FILE,
    load_checkpoint,
    save_checkpoint,
    to_plain,
)
from cyclesiam.training.curriculum import Curriculum, CurriculumConfig, Stage
from cyclesiam.training.fabric import Precision, make_fabric
from cyclesiam.training.loading import load_batches
from cyclesiam.training.microbatches import (
    Microbatch,
    all_reduce_sum,
    convert_sync_batchnorm,
    split_batch,
)
from cyclesiam.training.objective import LossSums, ObjectiveConfig, cycle_objective
from cyclesiam.training.optimizer import OptimizerConfig, ema_update, learning_rate, make_optimizer
from cyclesiam.training.train_step import batch_gradients, freeze_all_but_masks

__all__ = ["CHECKPOINT_FILE", "Trainer", "TrainingConfig", "TrainingReport"]


TrainedPart = Literal["all", "masks"]


@accepts_old_names
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
    ema_decay: float = 0.998
    """Decay of the running average of the weights, which walks and which is saved."""
    trained_part: TrainedPart = "all"
    """Which part of the network learns: all of it, or its mask branch while all else stays."""
    precision: Precision = "auto"
    """`auto` takes bf16 where the device has arithmetic for it."""
    workers: int = 1
    """Processes that decode and draw clips, beside each that learns."""
    accumulation_steps: int = 1
    """Parts in which a rank learns its share of a batch, one after another: less memory at a
    time; norms then count over a part."""
    save_interval: int = 500
    """Steps between checkpoints."""
    log_interval: int = 25
    """Steps between reports."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.log_interval < 1 or self.save_interval < 1 or self.workers < 0:
            raise ValueError(
                "steps, log_interval and save_interval must be 1 or more, workers 0 or more"
            )
        if not 1 <= self.accumulation_steps <= self.clips.batch_size:
            raise ValueError(
                f"accumulation_steps must lie in 1..{self.clips.batch_size}, the clips of a batch, "
                f"got {self.accumulation_steps}"
            )
        if self.trained_part == "masks" and not self.network.masks:
            raise ValueError("a network without masks cannot learn them: set network.masks")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in 0..1, got {self.ema_decay}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingReport:
    """The state of a run, averaged over the steps since the last report."""

    step: int
    steps: int
    stage: Stage
    loss: float
    score_loss: float
    box_loss: float
    mask_loss: float
    """Coarse and sharp masks' together; 0 of a network without."""
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
        devices: how many of them share the batches, each with a process of its own, see
            `make_fabric`; all ranks see the same `output`, and the first writes there.
        resume: go on from the state in `output`.
        backbone_weights: file of weights that a `resnet50` begins with, see `load_backbone`; a
            resumed run needs it no more.
        start_weights: name or folder of weights that the whole network begins with; nor this.

    Raises:
        TrainingError: there is nothing to resume, or it is of another run; no scenes; no such
            device; a batch has fewer clips than parts; or `output` cannot be written.
        WeightsError: the backbone's weights, or those to start from, do not fit.
    """

    def __init__(
        self,
        config: TrainingConfig,
        scenes: list[Scene],
        output: str | Path,
        *,
        device: str = "auto",
        devices: int = 1,
        resume: bool = False,
        backbone_weights: str | Path | None = None,
        start_weights: str | Path | None = None,
    ) -> None:
        self.config = config
        self.output = _make_folder(Path(output))
        self.fabric = make_fabric(device, config.precision, self.output, devices=devices)
        self._parts, self._rows = self._share()
        torch.manual_seed(config.seed)
        network = SiamRPN(config.network)
        self.initial_weights = "random"
        if backbone_weights is not None and not resume:
            load_backbone(network, backbone_weights)
            self.initial_weights = Path(backbone_weights).name
        if start_weights is not None and not resume:
            load_pretrained(network, start_weights)
            self.initial_weights = Path(start_weights).name
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.ema = AveragedModel(
            network, multi_avg_fn=ema_update(config.ema_decay), use_buffers=True
        ).to(self.fabric.device)
        self.ema.eval().requires_grad_(False)
        self.network = network.to(self.fabric.device).train()
        if config.trained_part == "masks":
            freeze_all_but_masks(self.network)
        if guests := self._parts[0].halo:
            convert_sync_batchnorm(self.network, guests)
        self.optimiser = make_optimizer(config.optimizer, self.network)
        self.chance = torch.Generator(self.fabric.device)
        self.chance.manual_seed(config.seed)
        self.curriculum = Curriculum()
        self.step = 0
        self._asked: dict[int, Stage] = {}  # by loaders, ahead of the step in hand
        self._stopping = False
        if resume:
            self._load()
        self._dataset = ClipDataset(scenes, config.clips, config.seed, rows=self._rows)
        self._problems: dict[str, bool] = {}  # what could not be read: whether it was told

    def fit(self) -> Iterator[TrainingReport]:
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
                if self.step % self.config.log_interval == 0 or self.step == self.config.steps:
                    yield self._report(tallies, time.perf_counter() - since)
                    since, tallies = time.perf_counter(), []
                if self.step % self.config.save_interval == 0:
                    self.save()
                if self._should_stop():
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
        """Write the state from which a run goes on, and the averaged weights.

        The state comes first: a run that dies between the two writes its weights when it resumes.
        """
        if not self.fabric.is_global_zero:
            return
        save_checkpoint(
            self.output,
            {
                "network": self.network.state_dict(),
                "guide": self.ema.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "chance": self.chance.get_state(),
                "curriculum": asdict(self.curriculum),
                "step": self.step,
                "asked": [(number, *stage) for number, stage in self._asked.items()],
                "initial_weights": self.initial_weights,
                "config": to_plain(self.config),
            },
        )
        self._save_weights()

    def _save_weights(self) -> None:
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

    def _load(self) -> None:
        state = load_checkpoint(self.output, self.fabric.device, self.config)
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["guide"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.chance.set_state(state["chance"].cpu())
        self.curriculum = Curriculum(**rename_fields(Curriculum, state["curriculum"]))
        self.step = state["step"]
        self._asked = {number: Stage(*stage) for number, *stage in state.get("asked", [])}
        self.initial_weights = state.get("initial_weights", "random")
        if self.fabric.is_global_zero:
            self._save_weights()

    def _share(self) -> tuple[list[Microbatch], tuple[int, ...]]:
        """Give this rank's parts of every batch, and the rows that it draws for them."""
        total, own = self.config.clips.batch_size, self.config.accumulation_steps
        try:
            parts = split_batch(total, own * self.fabric.world_size)
        except ValueError as error:
            raise TrainingError(f"{error}; take fewer devices, or accumulate less") from error
        parts = parts[self.fabric.global_rank * own :][:own]
        return parts, tuple(dict.fromkeys(row for part in parts for row in part.rows))

    def _should_stop(self) -> bool:
        """Say whether any rank was asked to stop: all stop after the same step."""
        asked = torch.tensor(float(self._stopping), device=self.fabric.device)
        return bool(all_reduce_sum(asked))

    @property
    def _guide(self) -> SiamRPN:
        """The network with averaged weights."""
        assert isinstance(self.ema.module, SiamRPN)
        return self.ema.module

    def _batches(self) -> Iterator[Batch]:
        config = self.config
        return load_batches(self._dataset, self._requests(), config.workers, policy=config.policy)

    def _requests(self) -> Iterator[BatchRequest]:
        """Ask for the batches that remain, each of the stage that the curriculum is at by then."""
        config = self.config
        for number in range(self.step, config.steps):
            if number not in self._asked:  # else it was asked for before the run was resumed
                stage = self.curriculum.sample_stage(config.curriculum, number, config.seed)
                self._asked[number] = stage
            yield BatchRequest(number, *self._asked[number])

    def _learn(self, batch: Batch) -> dict[str, float]:
        """Take one step of the optimiser; give its figures."""
        config = self.config
        losses, found, dropped = batch_gradients(
            self._teacher(batch), self._parts, self.network, config.objective
        )
        self._check_finite("loss", losses.total, batch)
        rate = learning_rate(config.optimizer, self.step / config.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(
            self.network.parameters(), config.optimizer.max_grad_norm
        )
        self._check_finite("gradient", norm, batch)
        self.optimiser.step()
        self.ema.update_parameters(self.network)
        accuracy = found.item()
        stage = Stage(batch.request.turn, batch.request.gap)
        self.curriculum = self.curriculum.advance(config.curriculum, stage, accuracy)
        self._asked.pop(batch.request.number, None)
        return {
            "loss": losses.total.item(),
            "score_loss": losses.score.item(),
            "box_loss": losses.box.item(),
            "mask_loss": losses.mask.item(),
            "accuracy": accuracy,
            "dropped": dropped.item(),
        }

    def _teacher(self, batch: Batch) -> Callable[[Microbatch], LossSums]:
        """Give what teaches a part of a batch, with the same chance as the whole."""
        device, chance = self.fabric.device, self.chance
        before = chance.get_state()
        places = {row: place for place, row in enumerate(self._rows)}

        def teach(part: Microbatch) -> LossSums:
            frames, boxes, masks, drawn = batch.frames, batch.boxes, batch.masks, chance
            if part.halo:
                chance.set_state(before)
                drawn = RowGenerator(chance, torch.tensor(part.rows, device=device), part.total)
                own = [places[row] for row in part.rows]
                frames, boxes, masks = frames[own], boxes[own], masks[own]
            with self.fabric.autocast():
                return cycle_objective(
                    self.network,
                    self._guide,
                    frames.to(device),
                    boxes.to(device),
                    batch.request.turn,
                    self.config.objective,
                    drawn,
                    masks=masks.to(device),
                    guests=part.halo,
                )

        return teach

    def _check_finite(self, name: str, value: Tensor, batch: Batch) -> None:
        if not value.isfinite():
            raise _DivergedError(
                f"the {name} is {value.item()} at step {self.step}, with clips from "
                f"{', '.join(sorted(set(batch.names)))}; what was saved before in {self.output} "
                "stands: lower the learning rate, or leave these clips out"
            )

    def _report(self, tallies: list[dict[str, float]], seconds: float) -> TrainingReport:
        means = {name: sum(t[name] for t in tallies) / len(tallies) for name in tallies[0]}
        per_step = seconds / len(tallies)
        problems = tuple(problem for problem, told in self._problems.items() if not told)
        self._problems = dict.fromkeys(self._problems, True)
        report = TrainingReport(
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
