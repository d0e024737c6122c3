"""The gradient of a whole batch, from parts of it: of every rank, one after another."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclesiam.training.lessons import Lesson
from cyclesiam.training.losses import Losses, WeightedSum, cycle_loss
from cyclesiam.training.parts import Part, add_gradients, add_over_ranks


class Figures(NamedTuple):
    """What the whole batch taught, over all parts and ranks; each a scalar without gradient."""

    losses: Losses
    found: Tensor
    dropped: Tensor


def find_gradients(
    teach: Callable[[Part], Lesson],
    parts: Sequence[Part],
    network: nn.Module,
    box_weight: float,
) -> Figures:
    """Set the gradients of a network's parameters to those of the whole batch's loss.

    The losses are weighted means over the batch, and the weight of the whole is known last. One
    part waits for it before its way back; of several, each goes back at once and twice, for the
    score and for the box, and the two are weighed in the end. That costs a second way back, and
    takes the memory of one part.

    Args:
        teach: gives the lesson of a part.
        parts: those of this rank; other ranks have as many.
        network: learns.
        box_weight: of the box loss beside the score loss.
    """
    parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    if len(parts) == 1:
        lesson = teach(parts[0])
        whole = _add_up([lesson])
        sums = (
            WeightedSum(lesson.score.sum, whole.score.weight),
            WeightedSum(lesson.box.sum, whole.box.weight),
        )
        gradients = _gradients(cycle_loss(*sums, box_weight).total, parameters)
    else:
        lessons, of_score, of_box = [], _zeros(parameters), _zeros(parameters)
        for part in parts:
            lesson = teach(part)
            _add(of_score, _gradients(lesson.score.sum, parameters, keep=True))
            _add(of_box, _gradients(lesson.box.sum, parameters))
            lessons.append(_detach(lesson))
        whole = _add_up(lessons)
        per_score, per_box = (1 / mean.weight.clamp(min=1e-6) for mean in (whole.score, whole.box))
        gradients = [
            per_score * score + box_weight * per_box * box
            for score, box in zip(of_score, of_box, strict=True)
        ]
    for parameter, gradient in zip(parameters, add_gradients(gradients), strict=True):
        parameter.grad = gradient
    losses = cycle_loss(whole.score, whole.box, box_weight)
    found = whole.found.sum / whole.found.weight.clamp(min=1)
    return Figures(losses, found, whole.dropped.mean)


def _gradients(loss: Tensor, parameters: list[Tensor], *, keep: bool = False) -> list[Tensor]:
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


def _detach(lesson: Lesson) -> Lesson:
    return Lesson(*(WeightedSum(mean.sum.detach(), mean.weight.detach()) for mean in lesson))


def _add_up(lessons: list[Lesson]) -> Lesson:
    """Add up lessons, also over the ranks; without gradients."""
    numbers = torch.stack([torch.stack([*map(torch.stack, lesson)]) for lesson in lessons])
    total = add_over_ranks(numbers.detach().sum(dim=0))
    return Lesson(*(WeightedSum(*row.unbind()) for row in total))
