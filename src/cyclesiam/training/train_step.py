"""One training step: the gradient of a whole batch, the optimizer, the average, the curriculum.

A batch may be split into microbatches, over processes and one after another. The losses are
weighted means over the whole batch, whose weights are known last.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from lightning.fabric import Fabric
from torch import Tensor

from cyclesiam.data.clips import Batch
from cyclesiam.data.row_rng import RowGenerator
from cyclesiam.errors import TrainingError
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import Stage
from cyclesiam.training.losses import MIN_WEIGHT, WeightedSum
from cyclesiam.training.microbatches import (
    Microbatch,
    all_reduce_gradients,
    all_reduce_sum,
    unique_rows,
)
from cyclesiam.training.objective import CycleBatch, LossSums, ObjectiveConfig, cycle_objective
from cyclesiam.training.optimizer import learning_rate
from cyclesiam.training.train_state import TrainState

LOSSES = "score", "box", "mask"  # fields of `LossSums` that have gradients


class DivergedError(TrainingError):
    """A loss or gradient is not finite: the state is not worth saving."""


class StepMetrics(NamedTuple):
    """Results of one step, over the whole batch.

    Args:
        loss: the weighted total.
        score_loss: of anchors.
        box_loss: of positive anchors.
        mask_loss: of coarse and sharp masks together; 0 for a network without masks.
        accuracy: ratio of targets whose best proposal overlaps them by more than half.
        dropped: ratio of cycles left out because they drifted.
    """

    loss: float
    score_loss: float
    box_loss: float
    mask_loss: float
    accuracy: float
    dropped: float


def train_step(
    state: TrainState,
    batch: Batch,
    config: TrainingConfig,
    fabric: Fabric,
    microbatches: Sequence[Microbatch],
) -> StepMetrics:
    """Train on one batch.

    Args:
        state: changed in place.
        batch: the rows of this process.
        config: the run.
        fabric: device and precision.
        microbatches: those of this process; others have as many.

    Raises:
        DivergedError: the loss or its gradient is not finite.
    """
    sums, gradients = batch_gradients(state, batch, config.objective, fabric, microbatches)
    losses = sums.losses(config.objective)
    _check_finite("loss", losses.total, state, batch)
    _set_gradients(state, all_reduce_gradients(gradients))
    norm = torch.nn.utils.clip_grad_norm_(
        state.network.parameters(), config.optimizer.max_grad_norm
    )
    _check_finite("gradient", norm, state, batch)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config.optimizer, state.step / config.steps)
    state.optimizer.step()
    state.ema.update_parameters(state.network)
    accuracy = (sums.matched.sum / sums.matched.weight.clamp(min=1)).item()
    stage = Stage(batch.request.turn, batch.request.gap)
    state.curriculum = state.curriculum.advance(config.curriculum, stage, accuracy)
    state.requested.pop(batch.request.number, None)
    state.step += 1
    return StepMetrics(
        loss=losses.total.item(),
        score_loss=losses.score.item(),
        box_loss=losses.box.item(),
        mask_loss=losses.mask.item(),
        accuracy=accuracy,
        dropped=sums.dropped.mean.item(),
    )


def batch_gradients(
    state: TrainState,
    batch: Batch,
    config: ObjectiveConfig,
    fabric: Fabric,
    microbatches: Sequence[Microbatch],
) -> tuple[LossSums, list[Tensor]]:
    """Return the sums of the whole batch, and this process's part of the gradients of its loss.

    A single microbatch waits for the sums of the others before its backward pass. Several run
    backward at once, once for each loss, and are weighted in the end: that takes more passes, and
    the memory of one microbatch.
    """
    parameters = _trained(state)
    if len(microbatches) == 1:
        sums = _objective(state, batch, config, fabric, microbatches)
        whole = _reduce([sums])
        weighted = sums._replace(
            **{
                name: WeightedSum(getattr(sums, name).sum, getattr(whole, name).weight)
                for name in LOSSES
            }
        )
        return whole, _backward(weighted.losses(config).total, parameters)
    rng_state = state.rng.get_state()
    parts, totals = [], {name: _zeros(parameters) for name in LOSSES}
    for index in range(len(microbatches)):
        state.rng.set_state(rng_state)  # all draw the random numbers of the whole batch
        sums = _objective(state, batch, config, fabric, microbatches, index)
        for name in LOSSES:
            loss = getattr(sums, name).sum
            if loss.requires_grad:
                keep_graph = name != LOSSES[-1]
                _add(totals[name], _backward(loss, parameters, keep_graph=keep_graph))
        parts.append(LossSums(*(WeightedSum(s.sum.detach(), s.weight.detach()) for s in sums)))
    whole, gradients = _reduce(parts), _zeros(parameters)
    factors = {"score": 1.0, "box": config.box_weight, "mask": config.mask_weight}
    for name in LOSSES:
        factor = factors[name] / getattr(whole, name).weight.clamp(min=MIN_WEIGHT)
        _add(gradients, [factor * gradient for gradient in totals[name]])
    return whole, gradients


def _objective(
    state: TrainState,
    batch: Batch,
    config: ObjectiveConfig,
    fabric: Fabric,
    microbatches: Sequence[Microbatch],
    index: int = 0,
) -> LossSums:
    """Return the loss sums of one microbatch."""
    device, rng, part = fabric.device, state.rng, microbatches[index]
    frames, boxes, masks = batch.frames, batch.boxes, batch.masks
    if part.halo:
        rng = RowGenerator(rng, torch.tensor(part.rows, device=device), part.total)
        positions = {row: position for position, row in enumerate(unique_rows(microbatches))}
        own = [positions[row] for row in part.rows]
        frames, boxes, masks = frames[own], boxes[own], masks[own]
    clips = CycleBatch(
        frames.to(device), boxes.to(device), batch.request.turn, masks.to(device), part.halo
    )
    with fabric.autocast():
        return cycle_objective(state.network, state.ema_network, clips, config, rng)


def _reduce(parts: list[LossSums]) -> LossSums:
    """Add up sums, also over processes; without gradients."""
    stacked = torch.stack([torch.stack([*map(torch.stack, sums)]) for sums in parts])
    total = all_reduce_sum(stacked.detach().sum(dim=0))
    return LossSums(*(WeightedSum(*row.unbind()) for row in total))


def _backward(loss: Tensor, parameters: list[Tensor], *, keep_graph: bool = False) -> list[Tensor]:
    if not loss.requires_grad:  # only masks are trained, and this batch has none
        return _zeros(parameters)
    return [
        *torch.autograd.grad(
            loss, parameters, retain_graph=keep_graph, allow_unused=True, materialize_grads=True
        )
    ]


def _trained(state: TrainState) -> list[Tensor]:
    return [parameter for parameter in state.network.parameters() if parameter.requires_grad]


def _set_gradients(state: TrainState, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(_trained(state), gradients, strict=True):
        parameter.grad = gradient


def _zeros(parameters: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(parameter) for parameter in parameters]


def _add(totals: list[Tensor], gradients: list[Tensor]) -> None:
    for total, gradient in zip(totals, gradients, strict=True):
        total += gradient


def _check_finite(name: str, value: Tensor, state: TrainState, batch: Batch) -> None:
    if not value.isfinite():
        raise DivergedError(
            f"the {name} is {value.item()} at step {state.step}, with clips from "
            f"{', '.join(sorted(set(batch.names)))}; the last checkpoint is kept: "
            "lower the learning rate, or leave these clips out"
        )
