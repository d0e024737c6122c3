"""Random numbers for a part of a batch: the same, row by row, as for the whole batch.

So a batch that is split over processes or microbatches is augmented and labeled like one that is
not. Every part draws for all rows and keeps its own.

Shapes: B rows of the part, of `total` in the whole batch.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class RowGenerator:
    """A generator, and the rows of the whole batch that are drawn for.

    Args:
        generator: in the same state for every part of a batch.
        rows: (B,) int64 indices in the whole batch, on the generator's device.
        total: rows of the whole batch.
    """

    generator: Generator
    rows: Tensor
    total: int


Rng = Generator | RowGenerator
"""Source of random numbers; a plain generator draws for a whole batch."""


def rand_rows(rng: Rng, count: int, *shape: int) -> Tensor:
    """Return (count, *shape) numbers, uniform in 0..1, on the generator's device.

    Args:
        rng: source of the numbers.
        count: rows of the part, or of the whole batch.
        shape: of each row.
    """
    if isinstance(rng, Generator):
        return torch.rand(count, *shape, generator=rng, device=rng.device)
    generator = rng.generator
    drawn = torch.rand(rng.total, *shape, generator=generator, device=generator.device)
    return drawn[rng.rows]


def sample_rows(rng: Rng, count: int, ratio: float) -> Tensor:
    """Draw a ratio of all rows; return the indices of those drawn among the `count` rows here.

    For a whole batch the number of indices is fixed, so a GPU need not report it to the host.

    Args:
        rng: source of the numbers.
        count: rows of the part, or of the whole batch.
        ratio: of the whole batch's rows to draw, 0..1.
    """
    if isinstance(rng, Generator):
        order = torch.randperm(count, generator=rng, device=rng.device)
        return order[: round(ratio * count)]
    generator, total = rng.generator, rng.total
    order = torch.randperm(total, generator=generator, device=generator.device)
    return torch.isin(rng.rows, order[: round(ratio * total)]).nonzero()[:, 0]


def randn_shared(rng: Rng, shape: tuple[int, ...]) -> Tensor:
    """Return normal noise of a shape, the same for all rows."""
    generator = rng if isinstance(rng, Generator) else rng.generator
    return torch.randn(shape, generator=generator, device=generator.device)
