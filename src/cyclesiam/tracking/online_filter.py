"""A small correlation filter that a target learns for itself while it is followed.

The network knows how to compare; what tells this target from what is around it here, it cannot
know. A ridge regression over the network's own features learns that from the frames seen so far:
the answer is to be a peak at the target and nothing elsewhere. It votes beside the network's score.

Shapes: B targets, V views, N remembered samples, C filter channels of D feature channels, H x W
feature cells, h x w positions of the filter, M proposals.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from cyclesiam.arrays import (
    AnyArray,
    array_namespace,
    concat_rows,
    new_arange,
    new_array,
    new_zeros,
    on_cpu,
    sample_bilinear,
)
from cyclesiam.config_aliases import accepts_old_names, renamed_class
from cyclesiam.geometry.boxes import xyxy_to_cxcywh

EPSILON = 1e-9  # keeps a division finite where a filter has nothing to learn


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineFilterConfig:
    """How the filter learns, and how much it says.

    Source: ATOM (Danelljan et al., CVPR 2019), section 3.2, for an online classifier by gradient
    steps of exact length; DROL (Zhou et al., AAAI 2020) for its vote beside a Siamese score.
    """

    weight: float = 0.7
    """Of its vote in a proposal's score, 0..1; with 0 there is no filter."""
    channels: int = 32
    """Principal components of the target's surroundings that the filter sees."""
    kernel_size: int = 5
    """Side of the filter in feature cells, odd."""
    label_sigma: float = 0.2
    """Deviation of the wanted peak, over the target's side."""
    regularization: float = 0.1
    """Weight of the filter's squared norm beside the squared error."""
    init_steps: int = 40
    """Gradient steps in the first frame."""
    update_steps: int = 2
    """Gradient steps each time that it learns later."""
    update_interval: int = 4
    """Frames from one time to the next."""
    max_samples: int = 16
    """Samples that are remembered beside the first frame's; the oldest is forgotten."""
    learning_rate: float = 0.1
    """Weight of a new sample among all."""
    init_weight: float = 0.3
    """Weight that the first frame keeps, 0..1."""
    min_update_score: float = 0.3
    """A target whose score is lower teaches nothing."""

    def __post_init__(self) -> None:
        for name in ("weight", "learning_rate", "init_weight", "min_update_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if (
            self.kernel_size % 2 == 0
            or min(self.channels, self.kernel_size, self.update_interval, self.max_samples) < 1
        ):
            raise ValueError(
                "kernel_size must be odd, and channels, update_interval and max_samples 1 or "
                f"more; got {self}"
            )


@dataclass(frozen=True, slots=True)
class OnlineFilter:
    """The filters of B targets and what they learn from.

    Args:
        kernel: (B, C, k, k).
        basis: (B, C, D) principal components of the features in the first frame, scaled to the
            variance of the first.
        middle: (B, C, 1) what these give of the features' mean.
        samples: N of (B, C, H, W), the first frame's views before later ones.
        wanted: N of (B, h, w), the answers to learn.
        weights: (N, B), each target's sum to 1.
        views: how many samples are the first frame's.
        config: how the filters learn and vote.
    """

    kernel: AnyArray
    projection: AnyArray
    projected_mean: AnyArray
    samples: tuple[AnyArray, ...]
    labels: tuple[AnyArray, ...]
    weights: AnyArray
    num_init_samples: int
    config: OnlineFilterConfig


def init_filter(features: AnyArray, wanted: AnyArray, config: OnlineFilterConfig) -> OnlineFilter:
    """Learn a filter for each target from views of its first frame.

    Args:
        features: (V, B, D, H, W).
        wanted: (V, B, h, w) as `wanted_peaks` gives them, for h = H - size + 1.
        config: how.
    """
    xp = array_namespace(features)
    V, B, D, H, W = features.shape
    cells = features[0].reshape(B, D, H * W)
    mean = cells.mean(axis=2)[..., None]
    spread = (cells - mean) @ (cells - mean).swapaxes(1, 2) / (H * W)
    variances, vectors = xp.linalg.eigh(spread)  # ascending
    channels = min(config.channels, D)
    scale = xp.sqrt(variances[:, -1:, None].clip(min=EPSILON))
    basis = vectors[..., -channels:].swapaxes(1, 2) / scale
    state = OnlineFilter(
        kernel=new_zeros(features, (B, channels, config.kernel_size, config.kernel_size)),
        projection=basis,
        projected_mean=basis @ mean,
        samples=(),
        labels=tuple(wanted),
        weights=new_zeros(features, (V, B)) + 1 / V,
        num_init_samples=V,
        config=config,
    )
    state = replace(state, samples=tuple(project(state, view) for view in features))
    return optimize_filter(state, config.init_steps)


def gaussian_labels(
    boxes: AnyArray, stride: int, crop_size: int, positions: int, width: float
) -> AnyArray:
    """Give what the filter is to answer: a Gaussian peak on the target.

    Args:
        boxes: (..., 4) xyxy in crop pixels.
        stride: pixels from one position to the next.
        crop_size: side of the crop in pixels; the positions lie about its middle.
        positions: on a side.
        width: deviation of the peak over the target's side, the root of its area.

    Returns:
        (..., positions, positions) in 0..1.
    """
    xp, both = array_namespace(boxes), xyxy_to_cxcywh(boxes)
    steps = new_arange(boxes, positions) - (positions - 1) / 2
    places = crop_size / 2 + stride * steps
    deviation = width * xp.sqrt(both[..., 2] * both[..., 3])[..., None, None]
    distance = (places - both[..., :2, None]) / deviation  # (..., 2, positions)
    peaks = xp.exp(-(distance**2) / 2)
    return peaks[..., 1, :, None] * peaks[..., 0, None, :]


def project(state: OnlineFilter, features: AnyArray) -> AnyArray:
    """Reduce (B, D, H, W) features to the filter's (B, C, H, W)."""
    B, D, H, W = features.shape
    return (state.projection @ features.reshape(B, D, H * W) - state.projected_mean).reshape(
        B, -1, H, W
    )


def filter_response(state: OnlineFilter, projected: AnyArray) -> AnyArray:
    """Give the filters' answers (B, h, w) to (B, C, H, W) projected features."""
    return _apply(projected[None], state.kernel)[0]


def sample_response(answers: AnyArray, centres: AnyArray, stride: int, crop_size: int) -> AnyArray:
    """Read answers where proposals lie.

    Args:
        answers: (B, h, w).
        centres: (B, M, 2) in crop pixels.
        stride: pixels from one answer to the next.
        crop_size: side of the crop in pixels.

    Returns:
        (B, M) in 0..1, bilinear between positions.
    """
    cells = (centres - crop_size / 2) / stride + (answers.shape[-1] - 1) / 2
    return sample_bilinear(answers, cells).clip(0, 1)


def add_sample(
    state: OnlineFilter, projected: AnyArray, wanted: AnyArray, sure: AnyArray
) -> OnlineFilter:
    """Add a sample to what the filters learn from; the oldest later one makes room.

    Args:
        state: the filters.
        projected: (B, C, H, W).
        wanted: (B, h, w).
        sure: (B,) bool; to the others the sample counts nothing.
    """
    xp, views, config = array_namespace(projected), state.num_init_samples, state.config
    samples, answers, weights = state.samples, state.labels, state.weights
    if len(samples) - views >= config.max_samples:
        samples = samples[:views] + samples[views + 1 :]
        answers = answers[:views] + answers[views + 1 :]
        weights = xp.concat((weights[:views], weights[views + 1 :]))
    news = config.learning_rate * new_array(weights, sure)
    later = xp.concat((weights[views:] * (1 - news), news[None]))
    # the later ones' sum is what the first frame leaves them, or less while they are few
    total = later.sum(axis=0)
    room = total.clip(max=1 - config.init_weight) / total.clip(min=EPSILON)
    first = weights[:views] / weights[:views].sum(axis=0) * (1 - total * room)
    return replace(
        state,
        samples=(*samples, projected),
        labels=(*answers, wanted),
        weights=xp.concat((first, later * room)),
    )


def pad_samples(one: OnlineFilter, other: OnlineFilter) -> tuple[OnlineFilter, OnlineFilter]:
    """Give two batches as many samples, by empty ones of no weight after the fewer."""
    count = max(len(one.samples), len(other.samples))
    return _lengthen(one, count), _lengthen(other, count)


def _lengthen(state: OnlineFilter, count: int) -> OnlineFilter:
    xp, more = array_namespace(state.kernel), count - len(state.samples)
    nothing = new_zeros(state.weights, (more, len(state.kernel)))
    return replace(
        state,
        samples=state.samples + (xp.zeros_like(state.samples[0]),) * more,
        labels=state.labels + (xp.zeros_like(state.labels[0]),) * more,
        weights=xp.concat((state.weights, nothing)),
    )


def optimize_filter(state: OnlineFilter, steps: int) -> OnlineFilter:
    """Take steepest-descent steps of exact length towards the least weighted squared error."""
    xp, B = array_namespace(state.kernel), len(state.kernel)
    # One after another on a CPU, where what one target has seen fits into the cache.
    parts = [slice(b, b + 1) for b in range(B)] if on_cpu(state.kernel) else [slice(None)]
    kernels = [
        _descend(
            xp.stack([sample[rows] for sample in state.samples]),
            xp.stack([answer[rows] for answer in state.labels]),
            state.weights[:, rows, None, None],
            state.kernel[rows],
            state.config.regularization,
            steps,
        )
        for rows in parts
    ]
    return replace(state, kernel=concat_rows(kernels))


def _descend(
    samples: AnyArray,
    wanted: AnyArray,
    weights: AnyArray,
    kernel: AnyArray,
    ridge: float,
    steps: int,
) -> AnyArray:
    """Give the (B, C, k, k) kernel after some steps; see `FilterState` for the rest."""
    error = _apply(samples, kernel) - wanted
    for _ in range(steps):
        gradient = _slope(samples, error * weights, kernel.shape[-1]) + ridge * kernel
        change = _apply(samples, gradient)
        square = (gradient**2).sum(axis=(1, 2, 3))
        curvature = (weights * change**2).sum(axis=(0, 2, 3)) + ridge * square
        length = (square / curvature.clip(min=EPSILON))[:, None, None]
        kernel = kernel - length[..., None] * gradient
        error = error - length * change
    return kernel


def _apply(samples: AnyArray, kernel: AnyArray) -> AnyArray:
    """Correlate (N, B, C, H, W) samples with (B, C, k, k) kernels into (N, B, h, w).

    As matrix products, and sums of what they give at each cell of the kernel: with one answer for
    all channels, that is five to ten times as fast on a CPU as a library's convolution.
    """
    N, B, C, H, W = samples.shape
    size = kernel.shape[-1]
    products = kernel.reshape(B, C, size**2).swapaxes(1, 2) @ samples.reshape(N, B, C, H * W)
    answers = new_zeros(samples, (N, B, H - size + 1, W - size + 1))
    for shifted in _shifts(products, size, H, W):
        answers += shifted
    return answers


def _shifts(maps: AnyArray, size: int, height: int, width: int) -> Iterator[AnyArray]:
    """View each of (N, B, size * size, height * width) maps as (N, B, h, w).

    The map of a kernel's cell is seen from that cell on, so that all of them lie on each other.
    """
    N, B = maps.shape[:2]
    maps = maps.reshape(N, B, size, size, height, width)
    for y, x in product(range(size), repeat=2):
        yield maps[:, :, y, x, y : y + height - size + 1, x : x + width - size + 1]


def _slope(samples: AnyArray, errors: AnyArray, size: int) -> AnyArray:
    """Give the gradient of half the squared errors, (N, B, h, w), by (B, C, size, size) kernels."""
    N, B, C, H, W = samples.shape
    spread = new_zeros(samples, (N, B, size**2, H * W))
    for shifted in _shifts(spread, size, H, W):
        shifted[:] = errors
    gradients = spread @ samples.reshape(N, B, C, H * W).swapaxes(2, 3)
    return gradients.sum(axis=0).swapaxes(1, 2).reshape(B, C, size, size)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
