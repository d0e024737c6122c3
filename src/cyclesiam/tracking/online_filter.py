"""A small correlation filter for each target, optimized online while it is tracked.

The network compares any target with its template. It does not know what separates this target from
its surroundings in this video. The filter learns that by ridge regression over the network's
features: its response should be a peak at the target and 0 elsewhere. A weighted mean of the
response and the network's score ranks the proposals.

Shapes: B targets, V initial samples, N samples, C filter channels of D feature channels, H x W
feature cells, h x w positions of the filter, M proposals, k x k cells of a kernel.
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

EPSILON = 1e-9  # keeps a division finite where samples or gradients are zero


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineFilterConfig:
    """How the filters are optimized, and how much their response counts.

    Source: ATOM (Danelljan et al., CVPR 2019), section 3.2, for an online classifier optimized by
    steps of exact length; DROL (Zhou et al., AAAI 2020) for adding it to a Siamese score.
    """

    weight: float = 0.7
    """Weight of the response in a proposal's score, 0..1. Larger values trust the network less; 0
    switches the filter off."""
    channels: int = 32
    """Principal components of the features that the filter uses. Larger values are slower and
    keep more detail."""
    kernel_size: int = 5
    """Side of the filter in feature cells, odd. Larger values cover more context and are slower."""
    label_sigma: float = 0.2
    """Standard deviation of the label's peak over the target's side. Larger values tolerate larger
    errors of position."""
    regularization: float = 0.1
    """Weight of the filter's squared norm against the squared error. Larger values give smoother,
    weaker filters."""
    init_steps: int = 40
    """Gradient steps in the first frame. Larger values fit the first frame more closely."""
    update_steps: int = 2
    """Gradient steps of each update. Larger values adapt faster and are slower."""
    update_interval: int = 4
    """Frames from one update to the next. Larger values are faster and adapt more slowly."""
    max_samples: int = 16
    """Samples kept beside the first frame's; the oldest leaves first. Larger values remember
    longer and are slower."""
    learning_rate: float = 0.1
    """Weight of a new sample among all. Larger values adapt faster and drift sooner."""
    init_weight: float = 0.3
    """Minimal total weight of the first frame's samples, 0..1. Larger values drift less."""
    min_update_score: float = 0.3
    """No sample is taken where a target's score is lower. Larger values update less often."""

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
    """The filters of B targets and their training samples.

    Args:
        kernel: (B, C, k, k).
        projection: (B, C, D) principal components of the features in the first frame, scaled to
            the variance of the first component.
        projected_mean: (B, C, 1) projection of the features' mean.
        samples: N of (B, C, H, W) projected features, those of the first frame first.
        labels: N of (B, h, w) expected responses.
        weights: (N, B) weights of the samples; they sum to 1 for each target.
        num_init_samples: how many samples are of the first frame.
        config: how the filters are optimized and scored.
    """

    kernel: AnyArray
    projection: AnyArray
    projected_mean: AnyArray
    samples: tuple[AnyArray, ...]
    labels: tuple[AnyArray, ...]
    weights: AnyArray
    num_init_samples: int
    config: OnlineFilterConfig


def init_filter(features: AnyArray, labels: AnyArray, config: OnlineFilterConfig) -> OnlineFilter:
    """Return a filter for each target, optimized on several views of its first frame.

    Args:
        features: (V, B, D, H, W) of the views.
        labels: (V, B, h, w) output of `gaussian_labels`, with h = H - kernel_size + 1.
        config: kept with the filters.
    """
    xp = array_namespace(features)
    V, B, D, H, W = features.shape
    cells = features[0].reshape(B, D, H * W)
    mean = cells.mean(axis=2)[..., None]
    covariance = (cells - mean) @ (cells - mean).swapaxes(1, 2) / (H * W)
    variances, vectors = xp.linalg.eigh(covariance)  # ascending
    channels = min(config.channels, D)
    scale = xp.sqrt(variances[:, -1:, None].clip(min=EPSILON))
    projection = vectors[..., -channels:].swapaxes(1, 2) / scale
    filters = OnlineFilter(
        kernel=new_zeros(features, (B, channels, config.kernel_size, config.kernel_size)),
        projection=projection,
        projected_mean=projection @ mean,
        samples=(),
        labels=tuple(labels),
        weights=new_zeros(features, (V, B)) + 1 / V,
        num_init_samples=V,
        config=config,
    )
    filters = replace(filters, samples=tuple(project(filters, view) for view in features))
    return optimize_filter(filters, config.init_steps)


def gaussian_labels(
    boxes: AnyArray, stride: int, crop_size: int, positions: int, sigma: float
) -> AnyArray:
    """Return the expected responses of the filters: a Gaussian peak on each target.

    Args:
        boxes: (..., 4) xyxy in crop pixels.
        stride: distance of two positions in crop pixels.
        crop_size: side of the crop in pixels; the positions lie around its center.
        positions: number of positions on a side.
        sigma: standard deviation of the peak over the target's side, the root of its area.

    Returns:
        (..., positions, positions) in 0..1.
    """
    xp, both = array_namespace(boxes), xyxy_to_cxcywh(boxes)
    steps = new_arange(boxes, positions) - (positions - 1) / 2
    pixels = crop_size / 2 + stride * steps
    deviation = sigma * xp.sqrt(both[..., 2] * both[..., 3])[..., None, None]
    distance = (pixels - both[..., :2, None]) / deviation  # (..., 2, positions)
    peaks = xp.exp(-(distance**2) / 2)
    return peaks[..., 1, :, None] * peaks[..., 0, None, :]


def project(filters: OnlineFilter, features: AnyArray) -> AnyArray:
    """Return (B, D, H, W) features projected to the filters' channels, (B, C, H, W)."""
    B, D, H, W = features.shape
    projected = filters.projection @ features.reshape(B, D, H * W) - filters.projected_mean
    return projected.reshape(B, -1, H, W)


def filter_response(filters: OnlineFilter, projected: AnyArray) -> AnyArray:
    """Return the filters' responses (B, h, w) to (B, C, H, W) projected features."""
    return _correlate(projected[None], filters.kernel)[0]


def sample_response(
    responses: AnyArray, centers: AnyArray, stride: int, crop_size: int
) -> AnyArray:
    """Return the responses at the centers of proposals.

    Args:
        responses: (B, h, w).
        centers: (B, M, 2) in crop pixels.
        stride: distance of two positions of the response in crop pixels.
        crop_size: side of the crop in pixels.

    Returns:
        (B, M) in 0..1, bilinear between positions.
    """
    cells = (centers - crop_size / 2) / stride + (responses.shape[-1] - 1) / 2
    return sample_bilinear(responses, cells).clip(0, 1)


def add_sample(
    filters: OnlineFilter, projected: AnyArray, labels: AnyArray, confident: AnyArray
) -> OnlineFilter:
    """Return the filters with one sample more. The oldest later sample leaves if they are full.

    Args:
        filters: not optimized here.
        projected: (B, C, H, W) features.
        labels: (B, h, w) expected responses.
        confident: (B,) bool; for the other targets the sample gets no weight.
    """
    xp, first, config = array_namespace(projected), filters.num_init_samples, filters.config
    samples, all_labels, weights = filters.samples, filters.labels, filters.weights
    if len(samples) - first >= config.max_samples:
        samples = samples[:first] + samples[first + 1 :]
        all_labels = all_labels[:first] + all_labels[first + 1 :]
        weights = xp.concat((weights[:first], weights[first + 1 :]))
    new_weight = config.learning_rate * new_array(weights, confident)
    later = xp.concat((weights[first:] * (1 - new_weight), new_weight[None]))
    # Later samples together weigh 1 - init_weight at most, and less while they are few.
    total = later.sum(axis=0)
    scale = total.clip(max=1 - config.init_weight) / total.clip(min=EPSILON)
    initial = weights[:first] / weights[:first].sum(axis=0) * (1 - total * scale)
    return replace(
        filters,
        samples=(*samples, projected),
        labels=(*all_labels, labels),
        weights=xp.concat((initial, later * scale)),
    )


def pad_samples(one: OnlineFilter, other: OnlineFilter) -> tuple[OnlineFilter, OnlineFilter]:
    """Return two batches of filters with equally many samples; empty ones have no weight."""
    count = max(len(one.samples), len(other.samples))
    return _pad_to(one, count), _pad_to(other, count)


def _pad_to(filters: OnlineFilter, count: int) -> OnlineFilter:
    xp, more = array_namespace(filters.kernel), count - len(filters.samples)
    no_weight = new_zeros(filters.weights, (more, len(filters.kernel)))
    return replace(
        filters,
        samples=filters.samples + (xp.zeros_like(filters.samples[0]),) * more,
        labels=filters.labels + (xp.zeros_like(filters.labels[0]),) * more,
        weights=xp.concat((filters.weights, no_weight)),
    )


def optimize_filter(filters: OnlineFilter, steps: int) -> OnlineFilter:
    """Return the filters after steps of steepest descent on the weighted squared error."""
    xp, B = array_namespace(filters.kernel), len(filters.kernel)
    # One target after another on a CPU: the samples of one fit into the cache.
    parts = [slice(b, b + 1) for b in range(B)] if on_cpu(filters.kernel) else [slice(None)]
    kernels = [
        _descend(
            xp.stack([sample[rows] for sample in filters.samples]),
            xp.stack([labels[rows] for labels in filters.labels]),
            filters.weights[:, rows, None, None],
            filters.kernel[rows],
            filters.config.regularization,
            steps,
        )
        for rows in parts
    ]
    return replace(filters, kernel=concat_rows(kernels))


def _descend(
    samples: AnyArray,
    labels: AnyArray,
    weights: AnyArray,
    kernel: AnyArray,
    regularization: float,
    steps: int,
) -> AnyArray:
    """Return the kernels after steps of steepest descent, each of the exact optimal length.

    Args:
        samples: (N, B, C, H, W).
        labels: (N, B, h, w).
        weights: (N, B, 1, 1).
        kernel: (B, C, k, k) to begin with.
        regularization: weight of the squared norm of the kernel.
        steps: how many.
    """
    error = _correlate(samples, kernel) - labels
    for _ in range(steps):
        gradient = _gradient(samples, error * weights, kernel.shape[-1]) + regularization * kernel
        change = _correlate(samples, gradient)
        square = (gradient**2).sum(axis=(1, 2, 3))
        curvature = (weights * change**2).sum(axis=(0, 2, 3)) + regularization * square
        length = (square / curvature.clip(min=EPSILON))[:, None, None]
        kernel = kernel - length[..., None] * gradient
        error = error - length * change
    return kernel


def _correlate(samples: AnyArray, kernel: AnyArray) -> AnyArray:
    """Correlate (N, B, C, H, W) samples with (B, C, k, k) kernels into (N, B, h, w).

    One matrix product gives the response of each cell of the kernel; shifted, these are summed.
    With one output channel that is five to ten times as fast on a CPU as a library's convolution.
    """
    N, B, C, H, W = samples.shape
    size = kernel.shape[-1]
    products = kernel.reshape(B, C, size**2).swapaxes(1, 2) @ samples.reshape(N, B, C, H * W)
    responses = new_zeros(samples, (N, B, H - size + 1, W - size + 1))
    for shifted in _shifted_views(products, size, H, W):
        responses += shifted
    return responses


def _shifted_views(maps: AnyArray, size: int, height: int, width: int) -> Iterator[AnyArray]:
    """View each of (N, B, size * size, height * width) maps as (N, B, h, w).

    The view of a kernel cell's map starts at that cell, so that all views overlay each other.
    """
    N, B = maps.shape[:2]
    maps = maps.reshape(N, B, size, size, height, width)
    for y, x in product(range(size), repeat=2):
        yield maps[:, :, y, x, y : y + height - size + 1, x : x + width - size + 1]


def _gradient(samples: AnyArray, errors: AnyArray, size: int) -> AnyArray:
    """Return the gradient of half the squared (N, B, h, w) errors by (B, C, size, size) kernels."""
    N, B, C, H, W = samples.shape
    spread = new_zeros(samples, (N, B, size**2, H * W))
    for shifted in _shifted_views(spread, size, H, W):
        shifted[:] = errors
    gradients = spread @ samples.reshape(N, B, C, H * W).swapaxes(2, 3)
    return gradients.sum(axis=0).swapaxes(1, 2).reshape(B, C, size, size)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
