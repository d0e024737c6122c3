"""Networks of PyTorch that are asked with NumPy's arrays, and answer in them."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclesiam.geometry.proposals import Proposals

Method = Callable[..., Any]


def accepts_numpy(method: Method) -> Method:
    """Let a network's method take NumPy's arrays, too: it then gives some, and no gradients.

    Args:
        method: takes tensors, tuples of them and proposals.
    """

    @wraps(method)
    def answer(network: Any, *given: Any, **named: Any) -> Any:
        if not any(isinstance(one, np.ndarray) for one in (*given, *named.values())):
            return method(network, *given, **named)
        tensors = {name: _exchange(one) for name, one in named.items()}
        with torch.inference_mode():
            return _exchange(method(network, *map(_exchange, given), **tensors))

    return answer


def _exchange(value: Any) -> Any:
    """Give arrays as tensors and tensors as arrays, of the same memory; what else, as it is."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, Proposals):
        boxes, scores, features = map(_exchange, (value.boxes, value.scores, value.features))
        return replace(value, boxes=boxes, scores=scores, features=features)
    return tuple(map(_exchange, value)) if isinstance(value, tuple) else value
