"""Array functions for geometry and tracking: NumPy on a CPU, PyTorch elsewhere.

NumPy and PyTorch share the names and meanings of most functions, so one code serves both. This
module holds what they do not share. Training and a tracker on a GPU compute with tensors. A tracker
on a CPU computes with NumPy arrays: NumPy starts small operations faster, and exported networks
run without PyTorch installed. So PyTorch is never imported here, but for other devices: whoever
passes tensors has imported it.

Shapes: B targets, K values of each, N indices among them.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from cyclesiam.threads import adapt_to_fork, single_blas_thread

if TYPE_CHECKING:
    from torch import Tensor

MAX_LOGIT = 80.0  # beyond, exp() leaves float32

Array = TypeVar("Array", np.ndarray, "Tensor")  # for functions that take and return one kind
AnyArray: TypeAlias = Any  # for functions where a type checker cannot know that the kinds agree


def array_namespace(array: AnyArray) -> Any:
    """Return the module whose functions take an array: `numpy` or `torch`."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def inference_context(array: AnyArray) -> AbstractContextManager[Any]:
    """Return a context for tracking with arrays of this kind: one BLAS thread, or no gradients.

    It works in forked processes, too.
    """
    adapt_to_fork()
    xp = array_namespace(array)
    return single_blas_thread() if xp is np else xp.inference_mode()


def on_cpu(array: AnyArray) -> bool:
    """Check whether an array lies in memory that OpenCV and NumPy can read."""
    return isinstance(array, np.ndarray) or array.device.type == "cpu"


def new_array(array: Array, values: Any) -> Array:
    """Return values as an array of the same kind, device and dtype as `array`."""
    return array_namespace(array).asarray(values, dtype=array.dtype, device=array.device)


def new_arange(array: Array, count: int) -> Array:
    """Return 0, 1, ... `count` - 1 in the kind, device and dtype of `array`."""
    return array_namespace(array).arange(count, dtype=array.dtype, device=array.device)


def empty_on_device(device: str) -> AnyArray:
    """Return an empty float32 array of the kind that is used on a device: NumPy's for "cpu"."""
    if device == "cpu":
        return np.zeros(0, np.float32)
    import torch  # any other device was found by PyTorch, so it is installed

    return torch.zeros(0, device=device)


def to_device_of(array: Array, values: np.ndarray) -> Array:
    """Return values, in their own dtype, as an array of the kind and device of `array`."""
    return array_namespace(array).asarray(values, device=array.device)


def new_zeros(array: Array, shape: Sequence[int]) -> Array:
    """Return zeros in the kind, device and dtype of `array`."""
    return array_namespace(array).zeros(tuple(shape), dtype=array.dtype, device=array.device)


def to_numpy(array: AnyArray) -> np.ndarray:
    """Return an array as a NumPy array, without a copy if it lies in CPU memory."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def is_array(value: Any) -> bool:
    """Check whether a value is an array of either kind."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "torch"


def copy(array: Array) -> Array:
    """Return a copy of an array in new memory."""
    return array_namespace(array).asarray(array, copy=True)


def shares_memory(first: AnyArray, second: AnyArray) -> bool:
    """Check whether two arrays of one kind start at the same address."""
    if isinstance(first, np.ndarray):
        return first.ctypes.data == second.ctypes.data
    return first.data_ptr() == second.data_ptr()


def sigmoid(logits: Array) -> Array:
    """Return the probabilities of logits."""
    return 1 / (1 + array_namespace(logits).exp(-logits.clip(min=-MAX_LOGIT)))


def logit(probabilities: Array) -> Array:
    """Return the logarithms of the odds, infinite for 0 and 1; the inverse of `sigmoid`."""
    with np.errstate(divide="ignore"):
        return array_namespace(probabilities).log(probabilities / (1 - probabilities))


def set_rows(array: Array, rows: Array, values: Array) -> Array:
    """Return a copy of an array whose rows, (K,) indices or (B,) bool, hold other values."""
    changed = copy(array)
    changed[rows] = values
    return changed


def lerp(start: Array, end: Array, weight: Any) -> Array:
    """Return the weighted mean of two arrays: `start` for weight 0, `end` for weight 1."""
    return start + weight * (end - start)


def concat_rows(parts: Sequence[Array]) -> Array:
    """Concatenate arrays along the first axis; a single array is returned as it is."""
    return parts[0] if len(parts) == 1 else array_namespace(parts[0]).concat(parts)


def gather(values: Array, indices: Array) -> Array:
    """Return the (B, N) values at (B, N) indices into (B, K)."""
    if not isinstance(values, np.ndarray):
        return values.gather(1, indices)
    if len(values) == 1:  # the usual case, and several times as fast
        return values[0].take(indices)
    starts = np.arange(len(values))[:, None] * values.shape[1]
    return values.reshape(-1).take(indices + starts)


def sample_bilinear(maps: Array, points: Array) -> Array:
    """Sample maps bilinearly. Points outside of the outermost cell centers are clipped to them.

    Args:
        maps: (B, h, w), with h, w >= 2.
        points: (B, N, 2) column and row; integers are the centers of cells.

    Returns:
        (B, N).
    """
    xp, (h, w) = array_namespace(maps), maps.shape[1:]
    limits = new_array(points, [w - 1, h - 1])
    points = xp.minimum(points.clip(min=0), limits)
    first = xp.minimum(xp.floor(points), limits - 1)
    right, down = xp.moveaxis(points - first, -1, 0)
    x, y = xp.moveaxis(xp.asarray(first, dtype=xp.int64), -1, 0)
    flat, cell = maps.reshape(len(maps), h * w), y * w + x
    above = lerp(gather(flat, cell), gather(flat, cell + 1), right)
    below = lerp(gather(flat, cell + w), gather(flat, cell + w + 1), right)
    return lerp(above, below, down)


def bincount(indices: Array, length: int, weights: Array | None = None) -> Array:
    """Count how often each of 0, 1, ... `length` - 1 occurs in each row.

    Args:
        indices: (B, N) integers in 0..length - 1.
        length: K.
        weights: (B, N) float32, how much each index counts; None for 1.

    Returns:
        (B, K) float32.
    """
    B = len(indices)
    if isinstance(indices, np.ndarray):
        starts = np.arange(B)[:, None] * length
        flat = (indices + starts if B > 1 else indices).reshape(-1)
        flat_weights = None if weights is None else weights.reshape(-1)
        counts = np.bincount(flat, flat_weights, B * length)
        return counts.astype(np.float32).reshape(B, length)
    torch = array_namespace(indices)
    ones = torch.ones((), device=indices.device).expand_as(indices)
    counts = torch.zeros(B, length, device=indices.device)
    return counts.scatter_add_(1, indices, ones if weights is None else weights)
