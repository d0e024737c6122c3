"""The training loop: batches of unlabeled clips in, weights on disk out."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning.fabric import Fabric

from cyclesiam.data.clips import Batch, BatchRequest, ClipDataset
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_store import load_tubes
from cyclesiam.errors import TrainingError
from cyclesiam.threads import half_of_processors
from cyclesiam.training.checkpoint import load_checkpoint, save_checkpoint, save_ema_weights
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import Stage
from cyclesiam.training.fabric import make_fabric
from cyclesiam.training.loading import load_batches
from cyclesiam.training.microbatches import Microbatch, all_reduce_sum, split_batch, unique_rows
from cyclesiam.training.resident import ResidentBatches
from cyclesiam.training.train_state import TrainState, compile_backbones, init_state
from cyclesiam.training.train_step import DivergedError, StepMetrics, train_step

SAVE_SECONDS = 60.0  # from one checkpoint to the next, whatever the steps between them
MIN_SAVE_RATIO = 30.0  # where writing is slow, it takes no more than a thirtieth of the time


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingReport:
    """Progress of a run; losses and ratios are means over the steps since the last report."""

    step: int
    steps: int
    stage: Stage
    loss: float
    score_loss: float
    box_loss: float
    mask_loss: float
    accuracy: float
    dropped: float
    learning_rate: float
    samples_per_second: float
    seconds_left: float
    problems: tuple[str, ...] = ()
    """Files that could not be read, one line each; each is reported once in a run."""


class Trainer:
    """Train a network on scenes.

    Args:
        config: the run.
        scenes: videos and stills to train on.
        output: folder for weights, checkpoint and curves.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        devices: processes that split each batch, see `make_fabric`. All must see the same
            `output`; the first one writes there.
        resume: continue from the checkpoint in `output`.
        backbone_weights: file with weights for a `resnet50`, see `load_backbone`; ignored by a
            resumed run.
        start_weights: name or folder of weights for the whole network; likewise.
        resident: decode all scenes now, and keep their frames on the device.
        compiled: compile the backbones, see `compile_backbones`.
        threads: of PyTorch in this process; 0 for half of the processors, divided by `devices`, or
            fewer where PyTorch was set to fewer.
        tubes: file of tubes, see `load_tubes`; needed by recipes that draw them.

    Raises:
        SourceError: the tubes cannot be read.
        TrainingError: there is no such device, no scene or no checkpoint to resume, or that is of
            another run; a batch has too few clips to be split; or `output` cannot be written.
        WeightsError: the weights to start from do not fit.
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
        resident: bool = False,
        compiled: bool = False,
        threads: int = 0,
        tubes: str | Path | None = None,
    ) -> None:
        self.config = config
        self.output = _make_folder(Path(output))
        few = min(torch.get_num_threads(), max(half_of_processors() // devices, 1))
        torch.set_num_threads(threads or few)
        self.fabric = make_fabric(device, config.precision, self.output, devices=devices)
        microbatches = own_microbatches(config, self.fabric)
        self.state = init_state(
            config,
            self.fabric.device,
            halo=microbatches[0].halo,
            backbone_weights=None if resume else backbone_weights,
            start_weights=None if resume else start_weights,
        )
        if resume:
            load_checkpoint(self.state, config, self.output)
            if self.fabric.is_global_zero:
                save_ema_weights(self.state, config, self.output)
        if compiled:
            compile_backbones(self.state)
        rows = unique_rows(microbatches)
        found = None if tubes is None else load_tubes(Path(tubes))
        if resident:
            self._load = ResidentBatches(scenes, config, rows, self.fabric.device, tubes=found).load
        else:
            clips = ClipDataset(scenes, config.clips, config.seed, rows=rows, tubes=found)
            self._load = partial(load_batches, clips, workers=config.workers, policy=config.policy)

    def fit(self) -> Iterator[TrainingReport]:
        """Train to the last step, see `fit`."""
        batches = self._load(request_batches(self.state, self.config))
        return fit(self.state, batches, self.config, self.fabric, self.output)

    def stop(self) -> None:
        """End the run after the current step, with a checkpoint; for signal handlers."""
        self.state.stop_requested = True

    def save(self) -> None:
        """Write the checkpoint and the averaged weights."""
        if self.fabric.is_global_zero:
            save_checkpoint(self.state, self.config, self.output)


def fit(
    state: TrainState,
    batches: Iterable[Batch],
    config: TrainingConfig,
    fabric: Fabric,
    output: Path,
) -> Iterator[TrainingReport]:
    """Train on batches to the end, and yield reports on the way.

    Checkpoints are written after some steps, or a minute, at the end, and when the loop is
    interrupted.

    Args:
        state: changed in place.
        batches: as `request_batches` requests them.
        config: the run.
        fabric: devices and loggers.
        output: folder for checkpoints and weights.

    Raises:
        TrainingError: the loss or its gradient is not finite (the last checkpoint is kept), or
            no file can be read any more.
    """
    saver = _Saver(state, config, output, fabric)
    microbatches = own_microbatches(config, fabric)
    start, metrics, problems = time.perf_counter(), [], {}
    try:
        for batch in batches:
            metrics.append(train_step(state, batch, config, fabric, microbatches))
            problems = dict.fromkeys(batch.problems, False) | problems  # True once reported
            if state.step % config.log_interval == 0 or state.step == config.steps:
                new = tuple(problem for problem, reported in problems.items() if not reported)
                problems = dict.fromkeys(problems, True)
                seconds = time.perf_counter() - start
                yield make_report(state, config, fabric, metrics, seconds=seconds, problems=new)
                start, metrics = time.perf_counter(), []
            saver.save_if_due()
            if _must_stop(state, fabric):
                break
    except DivergedError:
        raise  # the last checkpoint is better than the state of this step
    except BaseException:
        saver.save()
        raise
    saver.save()


class _Saver:
    """Writes the checkpoints of a run, from its first process.

    Whatever ends the run, even a loss of power, costs little more than `SAVE_SECONDS`.
    """

    def __init__(
        self, state: TrainState, config: TrainingConfig, output: Path, fabric: Fabric
    ) -> None:
        self._state, self._config, self._output = state, config, output
        self._is_writer = fabric.is_global_zero
        self._due = time.monotonic() + SAVE_SECONDS

    def save_if_due(self) -> None:
        """Write a checkpoint if steps or seconds since the last one ask for it."""
        is_due = self._state.step % self._config.save_interval == 0
        if is_due or time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        if not self._is_writer:
            return
        start = time.monotonic()
        save_checkpoint(self._state, self._config, self._output)
        end = time.monotonic()
        self._due = end + max(SAVE_SECONDS, MIN_SAVE_RATIO * (end - start))


def request_batches(state: TrainState, config: TrainingConfig) -> Iterator[BatchRequest]:
    """Yield requests for the remaining batches, each of the stage that the state is at by then."""
    for step in range(state.step, config.steps):
        if step not in state.requested:  # else it was requested before the run was resumed
            stage = state.curriculum.sample_stage(config.curriculum, step, config.seed)
            state.requested[step] = stage
        yield BatchRequest(step, *state.requested[step])


def own_microbatches(config: TrainingConfig, fabric: Fabric) -> list[Microbatch]:
    """Return the microbatches of this process.

    Raises:
        TrainingError: a batch has fewer clips than microbatches.
    """
    own = config.accumulation_steps
    try:
        parts = split_batch(config.clips.batch_size, own * fabric.world_size)
    except ValueError as error:
        raise TrainingError(f"{error}; take fewer devices, or accumulate less") from error
    return parts[fabric.global_rank * own :][:own]


def make_report(
    state: TrainState,
    config: TrainingConfig,
    fabric: Fabric,
    metrics: list[StepMetrics],
    *,
    seconds: float,
    problems: tuple[str, ...],
) -> TrainingReport:
    """Average the metrics of some steps, log them as curves, and return them as a report."""
    columns = zip(StepMetrics._fields, zip(*metrics, strict=True), strict=True)
    means = {name: sum(values) / len(values) for name, values in columns}
    seconds_per_step = seconds / len(metrics)
    report = TrainingReport(
        step=state.step,
        steps=config.steps,
        stage=config.curriculum.stages[state.curriculum.level],
        learning_rate=state.optimizer.param_groups[0]["lr"],
        samples_per_second=config.clips.batch_size / seconds_per_step,
        seconds_left=seconds_per_step * (config.steps - state.step),
        problems=problems,
        **means,
    )
    curves = {**means, "turn": report.stage.turn, "gap": report.stage.gap}
    fabric.log_dict(curves | {"samples_per_second": report.samples_per_second}, state.step)
    return report


def _must_stop(state: TrainState, fabric: Fabric) -> bool:
    """Check whether any process was asked to stop: all stop after the same step."""
    asked = torch.tensor(float(state.stop_requested), device=fabric.device)
    return bool(all_reduce_sum(asked))


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"cannot write to {folder}: {error.strerror}; choose another"
        ) from error
    return folder
