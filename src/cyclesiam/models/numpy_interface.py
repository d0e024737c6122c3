"""Methods of PyTorch networks that also take and return NumPy arrays."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclesiam.geometry.proposals import Proposals
from cyclesiam.threads import few_pytorch_threads

Method = Callable[..., Any]


def accepts_numpy(method: Method) -> Method:
    """Make a network's method take NumPy arrays, too: it then returns arrays, without gradients.

    Args:
        method: takes tensors, tuples of tensors and proposals.
    """

    @wraps(method)
    def convert(network: Any, *inputs: Any, **named: Any) -> Any:
        if not any(isinstance(value, np.ndarray) for value in (*inputs, *named.values())):
            return method(network, *inputs, **named)
        tensors = {name: _exchange(value) for name, value in named.items()}
        with torch.inference_mode(), few_pytorch_threads():
            return _exchange(method(network, *map(_exchange, inputs), **tensors))

    return convert


def _exchange(value: Any) -> Any:
    """Turn arrays into tensors and tensors into arrays of the same memory; keep all else."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, Proposals):
        boxes, scores, features = map(_exchange, (value.boxes, value.scores, value.features))
        return replace(value, boxes=boxes, scores=scores, features=features)
    return tuple(map(_exchange, value)) if isinstance(value, tuple) else value
