"""Chance for a part of a batch: the same numbers, row by row, as the whole batch would draw.

A batch that is split over processes, or learnt in parts, is then changed and labelled as one that
is not. Every part draws for all rows and keeps those that are its own.

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
"""A generator draws for all rows there are."""


def rand_rows(chance: Rng, count: int, *shape: int) -> Tensor:
    """Give (count, *shape) numbers, uniform in 0..1.

    Args:
        chance: where they come from; on its device they lie.
        count: rows of the part, or of all.
        shape: of each row.
    """
    if isinstance(chance, Generator):
        return torch.rand(count, *shape, generator=chance, device=chance.device)
    generator = chance.generator
    drawn = torch.rand(chance.total, *shape, generator=generator, device=generator.device)
    return drawn[chance.rows]


def sample_rows(chance: Rng, count: int, share: float) -> Tensor:
    """Choose a share of all rows; give the indices of the chosen ones among the `count` here.

    Without parts there are always as many, so that a GPU need not tell the host how many.
    """
    if isinstance(chance, Generator):
        order = torch.randperm(count, generator=chance, device=chance.device)
        return order[: round(share * count)]
    generator, total = chance.generator, chance.total
    order = torch.randperm(total, generator=generator, device=generator.device)
    return torch.isin(chance.rows, order[: round(share * total)]).nonzero()[:, 0]


def randn_shared(chance: Rng, shape: tuple[int, ...]) -> Tensor:
    """Give normal noise of a shape, the same for all rows."""
    generator = chance if isinstance(chance, Generator) else chance.generator
    return torch.randn(shape, generator=generator, device=generator.device)
