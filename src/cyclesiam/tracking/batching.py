"""Rows of a batch of targets: others join it, and some leave.

Shapes: B targets, the first dimension of all that is known of them, but for filters' weights.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from cyclesiam.arrays import AnyArray, array_namespace, is_array
from cyclesiam.tracking.online_filter import OnlineFilter, pad_samples


def concat_targets(one: Any, other: Any) -> Any:
    """Give what is known of the targets of two batches as one batch, the first's before.

    Args:
        one: arrays, tuples and dataclasses of them; all else is the same in both.
        other: of the same kind.
    """
    if is_array(one):
        return array_namespace(one).concat((one, other))
    if isinstance(one, tuple):
        return tuple(concat_targets(*parts) for parts in zip(one, other, strict=True))
    if not is_dataclass(one) or isinstance(one, type):
        return one
    joined = {}
    if isinstance(one, OnlineFilter):
        one, other = pad_samples(one, other)
        joined["weights"] = array_namespace(one.weights).concat(
            (one.weights, other.weights), axis=1
        )
    for field in fields(one):
        if field.name not in joined:
            joined[field.name] = concat_targets(
                getattr(one, field.name), getattr(other, field.name)
            )
    return replace(one, **joined)


def select_targets(state: Any, rows: Sequence[int] | AnyArray) -> Any:
    """Give what is known of the (K,) rows of a batch, in their order; of what, see `join_rows`."""
    if is_array(state):
        return state[rows]
    if isinstance(state, tuple):
        return tuple(select_targets(part, rows) for part in state)
    if not is_dataclass(state) or isinstance(state, type):
        return state
    kept = {}
    if isinstance(state, OnlineFilter):
        kept["weights"] = state.weights[:, rows]
    for field in fields(state):
        if field.name not in kept:
            kept[field.name] = select_targets(getattr(state, field.name), rows)
    return replace(state, **kept)
