"""Arrays that geometry and tracking compute with: NumPy's on a CPU, PyTorch's elsewhere.

Both libraries give most functions the same name and meaning, so one text serves both; here is the
little that they do not share. Training has tensors, and so has a tracker on a GPU. A tracker on a
CPU has arrays: there, NumPy begins a small piece of work sooner, and exported networks run where
PyTorch is not even installed. So PyTorch is never imported here: tensors have brought it along.

Shapes: B targets, K values of each, N places among them.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from cyclesiam.threads import single_blas_thread

if TYPE_CHECKING:
    from torch import Tensor

FARTHEST = 80.0  # from 0 that a logit counts: beyond, exp() leaves float32

Array = TypeVar("Array", np.ndarray, "Tensor")  # of a function that takes and gives one kind
AnyArray: TypeAlias = Any  # of either kind: a checker of types cannot know that all are of one


def array_namespace(array: AnyArray) -> Any:
    """Give the module whose functions take an array: `numpy`, or `torch`."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def inference_context(array: AnyArray) -> AbstractContextManager:
    """Give a context for a tracker's work with arrays of a kind: small matrices, no gradients."""
    xp = array_namespace(array)
    return single_blas_thread() if xp is np else xp.inference_mode()


def on_cpu(array: AnyArray) -> bool:
    """Whether an array lies where OpenCV and NumPy can reach it."""
    return isinstance(array, np.ndarray) or array.device.type == "cpu"


def new_array(array: Array, values: Any) -> Array:
    """Give values as an array of another's kind, device and type."""
    return array_namespace(array).asarray(values, dtype=array.dtype, device=array.device)


def new_arange(array: Array, count: int) -> Array:
    """Give 0, 1 ... `count` - 1 as an array of another's kind, device and type."""
    return array_namespace(array).arange(count, dtype=array.dtype, device=array.device)


def empty_on_device(device: str) -> AnyArray:
    """Give an array without numbers, float32, of the kind that is computed with on a device."""
    if device == "cpu":
        return np.zeros(0, np.float32)
    import torch  # where there is another device, it was found by it

    return torch.zeros(0, device=device)


def to_device_of(array: Array, values: np.ndarray) -> Array:
    """Give values, in their own type, as an array of the kind and the device of another."""
    return array_namespace(array).asarray(values, device=array.device)


def new_zeros(array: Array, shape: Sequence[int]) -> Array:
    """Give zeros of the kind, the device and the type of an array."""
    return array_namespace(array).zeros(tuple(shape), dtype=array.dtype, device=array.device)


def to_numpy(array: AnyArray) -> np.ndarray:
    """Give an array as NumPy's, without a copy where it lies in a CPU's memory."""
    return array if isinstance(array, np.ndarray) else array.detach().cpu().numpy()


def is_array(value: Any) -> bool:
    """Whether a value is an array of either kind."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "torch"


def copy(array: Array) -> Array:
    """Give an array of its own memory."""
    return array_namespace(array).asarray(array, copy=True)


def shares_memory(one: AnyArray, other: AnyArray) -> bool:
    """Whether two arrays begin at the same place in memory."""
    if isinstance(one, np.ndarray):
        return one.ctypes.data == other.ctypes.data
    return one.data_ptr() == other.data_ptr()


def sigmoid(logits: Array) -> Array:
    """Give the probabilities of logits."""
    return 1 / (1 + array_namespace(logits).exp(-logits.clip(min=-FARTHEST)))


def logit(probabilities: Array) -> Array:
    """Give the logarithms of the odds, infinite ones of 0 and 1; the inverse of `sigmoid`."""
    with np.errstate(divide="ignore"):
        return array_namespace(probabilities).log(probabilities / (1 - probabilities))


def set_rows(array: Array, rows: Array, others: Array) -> Array:
    """Give an array whose (K,) rows are others."""
    changed = copy(array)
    changed[rows] = others
    return changed


def lerp(ones: Array, others: Array, share: Any) -> Array:
    """Give the means of two arrays, with a share of the others."""
    return ones + share * (others - ones)


def concat_rows(parts: Sequence[Array]) -> Array:
    """Put arrays one behind another along the first axis; a single one is given as it is."""
    return parts[0] if len(parts) == 1 else array_namespace(parts[0]).concat(parts)


def gather(values: Array, places: Array) -> Array:
    """Give the (B, N) values at (B, N) places of (B, K)."""
    if not isinstance(values, np.ndarray):
        return values.gather(1, places)
    if len(values) == 1:  # as a rule; several times as fast
        return values[0].take(places)
    starts = np.arange(len(values))[:, None] * values.shape[1]
    return values.reshape(-1).take(places + starts)


def sample_bilinear(maps: Array, places: Array) -> Array:
    """Read maps between their cells, bilinearly; beyond the outermost cells as on them.

    Args:
        maps: (B, h, w), 2 or more cells on a side.
        places: (B, N, 2) column and row in cells; whole numbers are their middles.

    Returns:
        (B, N).
    """
    xp, (h, w) = array_namespace(maps), maps.shape[1:]
    limits = new_array(places, [w - 1, h - 1])
    places = xp.minimum(places.clip(min=0), limits)
    first = xp.minimum(xp.floor(places), limits - 1)
    right, down = xp.moveaxis(places - first, -1, 0)
    x, y = xp.moveaxis(xp.asarray(first, dtype=xp.int64), -1, 0)
    flat, cell = maps.reshape(len(maps), h * w), y * w + x
    above = lerp(gather(flat, cell), gather(flat, cell + 1), right)
    below = lerp(gather(flat, cell + w), gather(flat, cell + w + 1), right)
    return lerp(above, below, down)


def bincount(places: Array, length: int, weights: Array | None = None) -> Array:
    """Count how often each of `length` places is named.

    Args:
        places: (B, N) whole numbers, 0..length - 1.
        length: K.
        weights: (B, N) float32, as how much each counts; 1 where not given.

    Returns:
        (B, K) float32.
    """
    B = len(places)
    if isinstance(places, np.ndarray):
        starts = np.arange(B)[:, None] * length
        named = (places + starts if B > 1 else places).reshape(-1)
        given = None if weights is None else weights.reshape(-1)
        return np.bincount(named, given, B * length).astype(np.float32).reshape(B, length)
    torch = array_namespace(places)
    ones = torch.ones((), device=places.device).expand_as(places)
    counts = torch.zeros(B, length, device=places.device)
    return counts.scatter_add_(1, places, ones if weights is None else weights)
