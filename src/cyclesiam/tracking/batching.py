"""Batches of targets: join two, or select rows of one.

Shapes: B targets, the first dimension of every array here. Exceptions are the weights of filters,
(N, B, ...), and fields that are marked `SHARED`.
"""

from collections.abc import Sequence
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

from cyclesiam.arrays import AnyArray, array_namespace, is_array
from cyclesiam.tracking.online_filter import OnlineFilter, pad_samples

SHARED = {"shared": True}  # metadata of a dataclass field that all targets of a batch share


def concat_targets(first: Any, second: Any) -> Any:
    """Return two batches as one, the targets of the first before those of the second.

    Args:
        first: an array, or tuples and dataclasses of arrays. Fields marked `SHARED`, and all that
            is no array, are the first's in the result.
        second: of the same structure.
    """
    if is_array(first):
        return array_namespace(first).concat((first, second))
    if isinstance(first, tuple):
        return tuple(concat_targets(*parts) for parts in zip(first, second, strict=True))
    if not is_dataclass(first) or isinstance(first, type):
        return first
    joined = {}
    if isinstance(first, OnlineFilter):
        first, second = pad_samples(first, second)
        weights = (first.weights, second.weights)
        joined["weights"] = array_namespace(first.weights).concat(weights, axis=1)
    for field in _batched_fields(first):
        if field.name not in joined:
            parts = getattr(first, field.name), getattr(second, field.name)
            joined[field.name] = concat_targets(*parts)
    return replace(first, **joined)


def select_targets(batch: Any, rows: Sequence[int] | AnyArray) -> Any:
    """Return the targets of a batch at (K,) rows, in their order.

    Args:
        batch: an array, or tuples and dataclasses of arrays. Fields marked `SHARED`, and all that
            is no array, stay.
        rows: indices below B.
    """
    if is_array(batch):
        return batch[rows]
    if isinstance(batch, tuple):
        return tuple(select_targets(part, rows) for part in batch)
    if not is_dataclass(batch) or isinstance(batch, type):
        return batch
    selected = {}
    if isinstance(batch, OnlineFilter):
        selected["weights"] = batch.weights[:, rows]
    for field in _batched_fields(batch):
        if field.name not in selected:
            selected[field.name] = select_targets(getattr(batch, field.name), rows)
    return replace(batch, **selected)


def _batched_fields(batch: Any) -> list[Field]:
    return [field for field in fields(batch) if not field.metadata.get("shared")]
