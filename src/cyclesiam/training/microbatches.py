"""A batch in parts: over the ranks of a run, and one after another where memory is short.

A part holds neighbouring rows of the batch, led by one guest: the row before its first, which
another part counts. A negative pair borrows the template of the row before, and an occluder its
pixels; with the guest a part has all that the whole batch would give its rows.

Shapes: B rows of the part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Microbatch:
    """Some rows of a batch.

    Args:
        rows: indices in the whole batch, guests first.
        guests: how many rows at the beginning another part counts.
        total: rows of the whole batch.
    """

    rows: tuple[int, ...]
    halo: int
    total: int


def split_batch(total: int, parts: int) -> list[Microbatch]:
    """Split a batch of `total` rows evenly.

    >>> [part.rows for part in split_batch(5, 2)]
    [(4, 0, 1), (1, 2, 3, 4)]
    >>> split_batch(2, 1)
    [Microbatch(rows=(0, 1), halo=0, total=2)]

    Raises:
        ValueError: there are more parts than rows.
    """
    if not 1 <= parts <= total:
        raise ValueError(f"a batch of {total} clips cannot be split into {parts} parts")
    if parts == 1:
        return [Microbatch(tuple(range(total)), 0, total)]
    bounds = [total * part // parts for part in range(parts + 1)]
    return [
        Microbatch(((first - 1) % total, *range(first, end)), 1, total)
        for first, end in pairwise(bounds)
    ]


def all_reduce_sum(values: Tensor) -> Tensor:
    """Add up a tensor over the ranks of the run, with gradients to all of them."""
    if not dist.is_initialized():
        return values
    return _AddOverRanks.apply(values)  # pyright: ignore[reportReturnType]


class _AddOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def all_reduce_gradients(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Add up gradients over the ranks of the run, in one message."""
    if not dist.is_initialized():
        return list(gradients)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    pieces = flat.split([gradient.numel() for gradient in gradients])
    return [
        piece.reshape(gradient.shape) for piece, gradient in zip(pieces, gradients, strict=True)
    ]


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics are of the same part on all ranks, guests left out.

    PyTorch's own `SyncBatchNorm` knows no guests, and only works on GPUs.

    Args:
        channels: of its input.
        guests: rows at the beginning that are normalised, but not counted.
    """

    def __init__(self, channels: int, guests: int) -> None:
        super().__init__(channels)
        self.guests = guests

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        counted = values[self.guests :]
        C = counted.shape[1]
        count = counted.new_tensor([counted.numel() / C])
        sums = all_reduce_sum(torch.cat((counted.sum(dim=(0, 2, 3)), count)))
        count = sums[C].detach().clamp(min=2)  # fewer have no variance
        mean = sums[:C] / count
        centred = values - mean[:, None, None]
        squares = centred[self.guests :].square().sum(dim=(0, 2, 3))
        variance = all_reduce_sum(squares) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        output = centred * scale[:, None, None] + self.bias[:, None, None]
        return output.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def convert_sync_batchnorm(network: nn.Module, guests: int) -> None:
    """Replace every batch norm in a network by one that counts over ranks, but not guests.

    Those of the mask branch see positions, not rows: no guest teaches a mask, so none is there.
    """
    for name, norm in [*network.named_modules()]:
        if type(norm) is not nn.BatchNorm2d:
            continue
        own = 0 if name.startswith("mask.") else guests
        shared = SyncBatchNorm2d(norm.num_features, own).to(norm.weight.device)
        shared.eps, shared.momentum = norm.eps, norm.momentum
        shared.load_state_dict(norm.state_dict())
        shared.train(norm.training)
        network.set_submodule(name, shared)
