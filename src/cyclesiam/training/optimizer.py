"""Optimizers, learning-rate schedules, and the running average of weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cyclesiam.config_aliases import accepts_old_names


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Optimizer and learning rates.

    Source: for `sgd`, CycleSiam (Yuan et al., IROS 2020), section V.A, and the schedule of the
    published SiamMask configurations.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum as in the paper, or AdamW, which is faster from random weights."""
    start_lr: float = 0.001
    """Learning rate at which the warm-up begins."""
    lr: float = 0.005
    """Learning rate after the warm-up."""
    end_lr: float = 0.0025
    """Learning rate at the end."""
    schedule: Literal["logarithmic", "cosine"] = "logarithmic"
    """Shape of the decay from `lr` to `end_lr`."""
    warmup_ratio: float = 0.25
    """Ratio of all steps that the warm-up takes."""
    momentum: float = 0.9
    """Momentum of SGD; a larger value averages gradients over more steps."""
    weight_decay: float = 1e-4
    """Decay of weights with more than one dimension; a larger value keeps them smaller."""
    max_grad_norm: float = 10.0
    """Largest norm of the gradient; longer ones are scaled down."""

    def __post_init__(self) -> None:
        if min(self.start_lr, self.lr, self.end_lr) <= 0:
            raise ValueError("learning rates must be above zero")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio must lie in 0..1, got {self.warmup_ratio}")


def learning_rate(config: OptimizerConfig, progress: float) -> float:
    """Return the learning rate after a ratio `progress` (0..1) of all steps."""
    if progress < config.warmup_ratio:
        return config.start_lr + (config.lr - config.start_lr) * progress / config.warmup_ratio
    part = min((progress - config.warmup_ratio) / (1 - config.warmup_ratio), 1.0)
    if config.schedule == "cosine":
        half_wave = 0.5 + 0.5 * math.cos(math.pi * part)
        return config.end_lr + (config.lr - config.end_lr) * half_wave
    return config.lr * (config.end_lr / config.lr) ** part


def make_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Return an optimizer of a network's trained parameters; biases and norms do not decay."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.start_lr)
    return torch.optim.SGD(groups, lr=config.start_lr, momentum=config.momentum)


def ema_update(
    decay: float,
) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Return an exponential moving average for `AveragedModel`, with less decay at first.

    So the random initial weights soon lose their weight.

    Args:
        decay: weight of the old average, 0..1, once there are many steps.
    """

    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, weight)
            else:
                mean.copy_(value)  # the batch counters of norms

    return average
