"""What targets learn of themselves while they are tracked, and how that changes scores.

Each target may have a filter and a color model of its own. Both start in the frame of its first
box, rescore the network's proposals in each frame, and are updated after it.

Shapes: B targets, F frames (F = B, or 1 that all targets share), S pixels on a side of a search
crop, n = S / 2 of its color bins.
"""

from dataclasses import dataclass, replace

from cyclesiam.arrays import AnyArray, array_namespace, new_array
from cyclesiam.geometry.boxes import xyxy_to_cxcywh
from cyclesiam.geometry.crops import boxes_to_crop, crop
from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.color_model import (
    BIN_STRIDE,
    ColorModel,
    ColorModelConfig,
    Likelihood,
    color_bins,
    color_likelihood,
    color_scores,
    color_weights,
    init_color_model,
    update_color_model,
)
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.online_filter import (
    OnlineFilter,
    OnlineFilterConfig,
    add_sample,
    filter_response,
    gaussian_labels,
    init_filter,
    optimize_filter,
    project,
    sample_response,
)
from cyclesiam.tracking.search import (
    Localization,
    SearchResult,
    TargetState,
    search,
    search_windows,
)

# Crops that a filter starts from: shift of the search window, over its side, and its scale. With
# them no cell of the features is always the target's, and the filter learns no fixed size.
INIT_VIEWS = (
    (0, 0, 1),
    (0.25, 0.2, 1),
    (-0.25, 0.2, 1),
    (0.2, -0.25, 1),
    (-0.2, -0.25, 1),
    (0, 0, 1.2),
)


@dataclass(frozen=True, slots=True)
class ColorEvidence:
    """What the color models of B targets say of their search crops.

    Args:
        model: the color models.
        bins: (B, n, n) color bins of every second pixel.
        likelihood: how likely each of these pixels is the target's.
    """

    model: ColorModel
    bins: AnyArray
    likelihood: Likelihood


@dataclass(frozen=True, slots=True)
class RescoredSearch(SearchResult):
    """A search whose scores were changed by what the targets learned.

    Args:
        crops: (B, 3, S, S) the search crops, 0..255.
        colors: of the search crops; None where neither scores nor masks need them.
    """

    crops: AnyArray
    colors: ColorEvidence | None


def init_filters(
    network: Network, state: TargetState, frames: AnyArray, config: OnlineFilterConfig
) -> OnlineFilter:
    """Return a filter for each target, fitted to the frame of its first box.

    Args:
        network: computes the features.
        state: the targets, at their first boxes.
        frames: (F, 3, H, W) uint8, where these boxes are.
        config: how filters are fitted.
    """
    windows = search_windows(network, state.boxes)
    xp, features, labels = array_namespace(windows), [], []
    for *shift, scale in INIT_VIEWS:
        moved = windows[:, :2] + new_array(windows, shift) * windows[:, 2:]
        view = xp.concat((moved, scale * windows[:, 2:]), axis=-1)
        found = search(network, state.template, frames, view)
        features.append(_features(found.proposals))
        labels.append(_labels(network, state.boxes, found, config))
    return init_filter(xp.stack(features), xp.stack(labels), config)


def init_colors(
    network: Network,
    boxes: AnyArray,
    frames: AnyArray,
    config: ColorModelConfig,
    masks: AnyArray | None = None,
) -> ColorModel:
    """Return the color model of each target in the frame of its first box.

    Args:
        network: says how large search crops are.
        boxes: (B, 4) xyxy in image pixels, the first boxes.
        frames: (F, 3, H, W) uint8, where these boxes are.
        config: how colors are counted.
        masks: (B, 1, H, W) uint8, 255 on the targets' pixels; None to count those of the boxes.
    """
    windows, size = search_windows(network, boxes), network.search_size
    bins = color_bins(crop(frames, windows, size))
    inside = None
    if masks is not None:
        inside = crop(masks, windows, size, fill=0)[:, 0, ::BIN_STRIDE, ::BIN_STRIDE] > 127
    return init_color_model(bins, boxes_to_crop(boxes, windows, size), config, inside)


def rescore(
    network: Network,
    found: SearchResult,
    crops: AnyArray,
    filters: OnlineFilter | None,
    colors: ColorModel | None,
) -> RescoredSearch:
    """Blend the network's scores with those of filters, and lower them where colors do not fit.

    Args:
        network: that searched.
        found: what it found.
        crops: (B, 3, S, S) the search crops, 0..255.
        filters: of the targets; None where these are switched off.
        colors: of the targets; None where these are switched off.
    """
    scores = found.proposals.scores
    if filters is not None:
        weight = filters.config.weight
        response = filter_response(filters, project(filters, _features(found.proposals)))
        centers = xyxy_to_cxcywh(found.proposals.boxes)[..., :2]
        sampled = sample_response(response, centers, network.stride, found.search_size)
        scores = (1 - weight) * scores + weight * sampled
    evidence = None
    if colors is not None:
        bins = color_bins(crops)
        evidence = ColorEvidence(colors, bins, color_likelihood(colors, bins))
        if colors.config.weight:
            weight = color_weights(colors)[:, None]
            fit = color_scores(colors, evidence.likelihood, found.proposals.boxes)
            scores = scores * (1 - weight * (1 - fit))
    proposals = replace(found.proposals, scores=scores)
    return RescoredSearch(
        proposals, found.windows, found.search_size, found.frame_size, crops, evidence
    )


def update_filters(
    network: Network, filters: OnlineFilter, targets: Localization, found: SearchResult
) -> OnlineFilter:
    """Update the filters of the targets whose score in a frame is high enough.

    Args:
        network: that searched.
        filters: of the targets.
        targets: where they are in the frame.
        found: the search of the frame.
    """
    config = filters.config
    is_learned = targets.scores >= config.min_update_score
    if not is_learned.any():
        return filters
    labels = _labels(network, targets.boxes, found, config)
    samples = project(filters, _features(found.proposals))
    filters = add_sample(filters, samples, labels, is_learned)
    return optimize_filter(filters, config.update_steps)


def update_colors(colors: ColorEvidence, targets: Localization, found: SearchResult) -> ColorModel:
    """Update the color models of the targets whose score in a frame is high enough.

    Args:
        colors: the models, and the color bins of the search crops.
        targets: where they are in the frame.
        found: the search of the frame.
    """
    is_learned = targets.scores >= colors.model.config.min_update_score
    boxes = boxes_to_crop(targets.boxes, found.windows, found.search_size)
    return update_color_model(colors.model, colors.bins, boxes, is_learned)


def _features(proposals: Proposals) -> AnyArray:
    """Return the features of the search crops that filters are applied to, in float32."""
    if proposals.features is None:
        raise ValueError(
            "this network returns no features for the filters of targets: set "
            "OnlineFilterConfig(weight=0)"
        )
    xp = array_namespace(proposals.features)
    return xp.asarray(proposals.features, dtype=xp.float32)


def _labels(
    network: Network, boxes: AnyArray, found: SearchResult, config: OnlineFilterConfig
) -> AnyArray:
    """Return the response that a filter should have where boxes (xyxy, image pixels) are."""
    assert found.proposals.features is not None
    positions = found.proposals.features.shape[-1] - config.kernel_size + 1
    in_crop = boxes_to_crop(boxes, found.windows, found.search_size)
    return gaussian_labels(
        in_crop, network.stride, found.search_size, positions, config.label_sigma
    )
