"""Optimisers and learning-rate schedules."""

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
    """How weights are changed.

    Source: for `sgd`, CycleSiam (Yuan et al., IROS 2020), section V.A, and the schedule of the
    published SiamMask configurations.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum as in the paper, or AdamW, which learns faster from random weights."""
    start_lr: float = 0.001
    """Learning rate at which the warm-up begins."""
    lr: float = 0.005
    """Learning rate after the warm-up."""
    end_lr: float = 0.0025
    """Learning rate at the end."""
    schedule: Literal["logarithmic", "cosine"] = "logarithmic"
    """Shape of the way from `rate` to `last_rate`."""
    warmup_ratio: float = 0.25
    """Share of all steps that the warm-up takes."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 1e-4
    """Of all weights with more than one dimension."""
    max_grad_norm: float = 10.0
    """Greatest norm of the gradient."""

    def __post_init__(self) -> None:
        if min(self.start_lr, self.lr, self.end_lr) <= 0:
            raise ValueError("learning rates must be above zero")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio is a share of the steps, 0..1, got {self.warmup_ratio}")


def learning_rate(config: OptimizerConfig, progress: float) -> float:
    """Give the learning rate after a share `progress` (0..1) of all steps."""
    if progress < config.warmup_ratio:
        return config.start_lr + (config.lr - config.start_lr) * progress / config.warmup_ratio
    part = min((progress - config.warmup_ratio) / (1 - config.warmup_ratio), 1.0)
    if config.schedule == "cosine":
        half_wave = 0.5 + 0.5 * math.cos(math.pi * part)
        return config.end_lr + (config.lr - config.end_lr) * half_wave
    return config.lr * (config.end_lr / config.lr) ** part


def make_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser of a network's parameters; biases and norms do not decay."""
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
    """Give `AveragedModel` an exponential average over fewer steps while there are few.

    So the random start is soon forgotten.

    Args:
        decay: share of the average that a step keeps, 0..1, once there are many steps.
    """

    @torch.no_grad()
    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)  # the norms' counts of batches

    return average
