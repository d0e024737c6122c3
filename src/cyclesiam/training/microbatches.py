"""A batch in parts: over the processes of a run, and one after another where memory is short.

A microbatch holds neighboring rows of the batch, behind a halo of one row: the row before its
first, which another microbatch counts. A negative pair borrows the template of the row before, and
an occluder its pixels; with the halo, every row gets what it would get in the whole batch.

Shapes: B rows of the microbatch.
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
        rows: indices in the whole batch, the halo first.
        halo: number of rows at the beginning that another microbatch counts.
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


def unique_rows(microbatches: Sequence[Microbatch]) -> tuple[int, ...]:
    """Return the rows that some microbatches need, each once, in the order of first use.

    >>> unique_rows(split_batch(5, 2))
    (4, 0, 1, 2, 3)
    """
    return tuple(dict.fromkeys(row for part in microbatches for row in part.rows))


def all_reduce_sum(values: Tensor) -> Tensor:
    """Sum a tensor over the processes of the run, with gradients to all of them."""
    if not dist.is_initialized():
        return values
    return _AllReduceSum.apply(values)  # pyright: ignore[reportReturnType]


class _AllReduceSum(torch.autograd.Function):
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
    """Sum gradients over the processes of the run, in one message."""
    if not dist.is_initialized():
        return list(gradients)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    pieces = flat.split([gradient.numel() for gradient in gradients])
    return [
        piece.reshape(gradient.shape) for piece, gradient in zip(pieces, gradients, strict=True)
    ]


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with statistics over the same microbatch of all processes, without its halo.

    PyTorch's `SyncBatchNorm` counts all rows, and runs on GPUs only.

    Args:
        channels: of its input.
        halo: rows at the beginning that are normalized, but not counted.
    """

    def __init__(self, channels: int, halo: int) -> None:
        super().__init__(channels)
        self.halo = halo

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, H, W)."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        counted = values[self.halo :]
        C = counted.shape[1]
        count = counted.new_tensor([counted.numel() / C])
        sums = all_reduce_sum(torch.cat((counted.sum(dim=(0, 2, 3)), count)))
        count = sums[C].detach().clamp(min=2)  # fewer have no variance
        mean = sums[:C] / count
        centered = values - mean[:, None, None]
        squares = centered[self.halo :].square().sum(dim=(0, 2, 3))
        variance = all_reduce_sum(squares) / count
        self._update_statistics(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        output = centered * scale[:, None, None] + self.bias[:, None, None]
        return output.to(input.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def convert_sync_batchnorm(network: nn.Module, halo: int) -> None:
    """Replace every batch norm of a network by a `SyncBatchNorm2d`.

    The rows of the mask head are positions, none of them in the halo: there it is 0.
    """
    for name, norm in [*network.named_modules()]:
        if type(norm) is not nn.BatchNorm2d:
            continue
        own_halo = 0 if name.startswith("mask.") else halo
        synced = SyncBatchNorm2d(norm.num_features, own_halo).to(norm.weight.device)
        synced.eps, synced.momentum = norm.eps, norm.momentum
        synced.load_state_dict(norm.state_dict())
        synced.train(norm.training)
        network.set_submodule(name, synced)
