"""The gradient of a whole batch, from parts of it: of every rank, one after another."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.losses import MIN_WEIGHT, Losses, WeightedSum
from cyclesiam.training.microbatches import Microbatch, all_reduce_gradients, all_reduce_sum
from cyclesiam.training.objective import LossSums, ObjectiveConfig

LOSSES = "score", "box", "mask"  # of a lesson


class StepLosses(NamedTuple):
    """What the whole batch taught, over all parts and ranks; each a scalar without gradient."""

    losses: Losses
    found: Tensor
    dropped: Tensor


def batch_gradients(
    teach: Callable[[Microbatch], LossSums],
    parts: Sequence[Microbatch],
    network: nn.Module,
    config: ObjectiveConfig,
) -> StepLosses:
    """Set the gradients of a network's parameters to those of the whole batch's loss.

    The losses are weighted means over the batch, and the weight of the whole is known last. One
    part waits for it before its way back; of several, each goes back at once and several times,
    for each loss, and these are weighed in the end. That costs more ways back, and takes the
    memory of one part.

    Args:
        teach: gives the lesson of a part.
        parts: those of this rank; other ranks have as many.
        network: learns.
        config: weights of the losses.
    """
    parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    if len(parts) == 1:
        lesson = teach(parts[0])
        whole = _add_up([lesson])
        weighed = lesson._replace(
            **{
                name: WeightedSum(getattr(lesson, name).sum, getattr(whole, name).weight)
                for name in LOSSES
            }
        )
        gradients = _gradients(weighed.losses(config).total, parameters)
    else:
        lessons, totals = [], {name: _zeros(parameters) for name in LOSSES}
        for part in parts:
            lesson = teach(part)
            for name in LOSSES:
                loss = getattr(lesson, name).sum
                if loss.requires_grad:
                    keep = name != LOSSES[-1]
                    _add(totals[name], _gradients(loss, parameters, keep=keep))
            lessons.append(_detach(lesson))
        whole = _add_up(lessons)
        weights = {"score": 1.0, "box": config.box_weight, "mask": config.mask_weight}
        gradients = _zeros(parameters)
        for name in LOSSES:
            share = weights[name] / getattr(whole, name).weight.clamp(min=MIN_WEIGHT)
            _add(gradients, [share * gradient for gradient in totals[name]])
    for parameter, gradient in zip(parameters, all_reduce_gradients(gradients), strict=True):
        parameter.grad = gradient
    found = whole.matched.sum / whole.matched.weight.clamp(min=1)
    return StepLosses(whole.losses(config), found, whole.dropped.mean)


def _gradients(loss: Tensor, parameters: list[Tensor], *, keep: bool = False) -> list[Tensor]:
    if not loss.requires_grad:  # only masks learn, and this batch shows none
        return _zeros(parameters)
    return [
        *torch.autograd.grad(
            loss, parameters, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
    ]


def _zeros(parameters: list[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(parameter) for parameter in parameters]


def _add(totals: list[Tensor], gradients: list[Tensor]) -> None:
    for total, gradient in zip(totals, gradients, strict=True):
        total += gradient


def _detach(lesson: LossSums) -> LossSums:
    return LossSums(*(WeightedSum(mean.sum.detach(), mean.weight.detach()) for mean in lesson))


def _add_up(lessons: list[LossSums]) -> LossSums:
    """Add up lessons, also over the ranks; without gradients."""
    numbers = torch.stack([torch.stack([*map(torch.stack, lesson)]) for lesson in lessons])
    total = all_reduce_sum(numbers.detach().sum(dim=0))
    return LossSums(*(WeightedSum(*row.unbind()) for row in total))


def freeze_all_but_masks(network: SiamRPN) -> None:
    """Let all but the mask branch stay as it is, its norms' statistics, too."""
    assert network.mask is not None
    network.eval().requires_grad_(False)
    network.mask.train().requires_grad_(True)
