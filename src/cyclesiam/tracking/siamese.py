"""One step of Siamese tracking, for a batch of targets: the only copy of this arithmetic.

The tracker calls it with B targets of one frame, the training cycle with B clips of one each.

Shapes: B targets, F frames (F = B, or 1 that all targets share), N proposals a target.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from cyclesiam.arrays import AnyArray, array_namespace, new_array
from cyclesiam.geometry.boxes import box_iou, clip_boxes_to_frame, cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import (
    boxes_to_crop,
    boxes_to_image,
    context_windows,
    crop,
    frame_size,
)
from cyclesiam.geometry.proposals import Proposals, SelectionConfig, select_proposals
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

# Where a filter's first views lie: shift of the search window, over its side, and its scale. No
# cell of the features is then always the target's, and sizes are not learnt by heart.
INIT_VIEWS = (
    (0, 0, 1),
    (0.25, 0.2, 1),
    (-0.25, 0.2, 1),
    (0.2, -0.25, 1),
    (-0.2, -0.25, 1),
    (0, 0, 1.2),
)

Template = tuple[AnyArray, ...]
CropTransform = Callable[[AnyArray], AnyArray]


def identity(crops: AnyArray) -> AnyArray:
    """Return (B, 3, S, S) crops as they are."""
    return crops


class Network(Protocol):
    """Whatever can embed a template and search for it: PyTorch, or an exported file."""

    @property
    def template_size(self) -> int:
        """Side of a template crop in pixels."""
        ...

    @property
    def search_size(self) -> int:
        """Side of a search crop in pixels."""
        ...

    @property
    def stride(self) -> int:
        """Crop pixels from one cell of the features, where `search` gives them, to the next."""
        ...

    def embed(self, crops: AnyArray, boxes: AnyArray) -> Template:
        """Embed (B, 3, template_size, template_size) crops in 0..255.

        Args:
            crops: the templates.
            boxes: (B, 4) xyxy, the targets in crop pixels.

        Returns:
            Whatever `search` needs; opaque, batch first.
        """
        ...

    def search(self, template: Template, crops: AnyArray) -> Proposals:
        """Search (B, 3, search_size, search_size) crops in 0..255 for B templates."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether it is a `SegmentingNetwork`."""
        ...


@runtime_checkable
class SegmentingNetwork(Network, Protocol):
    """A network that gives masks, too."""

    def segment(self, proposals: Proposals, chosen: AnyArray, color_priors: AnyArray) -> AnyArray:
        """Give masks of proposals.

        Args:
            proposals: what `search` gave of B crops.
            chosen: (B,) one proposal of each.
            color_priors: (B, 2, n, n) of every second pixel of the crops, the first included: how
                likely its color is the target's, 0..1. Channel 0 compares with all surroundings,
                channel 1 with the nearby ones.

        Returns:
            (B, T, T) probabilities, 0..1.
        """
        ...

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Give the (B, 4) cxcywh in crop pixels that the masks of (B,) proposals cover."""
        ...


@dataclass(frozen=True, slots=True)
class TargetState:
    """Where B targets are, and what they look like.

    Args:
        boxes: (B, 4) xyxy in image pixels.
        scores: (B,) the network's belief in `boxes`, 0..1.
        template: what `Network.embed` gave.
        online: what the targets learnt for themselves; None where they do not. See `learn`.
        colours: theirs and their surroundings'; None where they do not count.
        chosen: (B,) the proposals that `boxes` come from; None in the first frame.
    """

    boxes: AnyArray
    scores: AnyArray
    template: Template
    online: OnlineFilter | None = None
    colours: ColorModel | None = None
    chosen: AnyArray | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What the network sees of B targets in a frame.

    Args:
        proposals: candidate boxes in crop pixels.
        windows: (B, 4) cxcywh in image pixels, of the search crops.
        bins: (B, n, n) colours of the search crops, as `bin_colours`; None where they do not count.
        belief: how likely each is the target's; None with `bins`.
        crops: (B, 3, S, S) the search crops, 0..255; None where `observe` gives it, for training.
    """

    proposals: Proposals
    windows: AnyArray
    color_bins: AnyArray | None = None
    likelihood: Likelihood | None = None
    crops: AnyArray | None = None


def embed_templates(
    network: Network,
    frames: AnyArray,
    boxes: AnyArray,
    windows: AnyArray | None = None,
    change: CropTransform = identity,
) -> Template:
    """Cut the templates of targets with their context, and embed them.

    Args:
        network: embeds.
        frames: (F, 3, H, W) uint8.
        boxes: (B, 4) xyxy in image pixels.
        windows: (B, 4) cxcywh to cut; the boxes with their context where none are given.
        change: what is done to the crops before they are embedded (augmentation).
    """
    around: AnyArray = context_windows(boxes) if windows is None else windows
    crops = change(crop(frames, around, network.template_size))
    return network.embed(crops, boxes_to_crop(boxes, around, network.template_size))


def search_windows(network: Network, boxes: AnyArray) -> AnyArray:
    """Give the (B, 4) cxcywh windows to search around boxes, at the templates' resolution."""
    return context_windows(boxes, scale=network.search_size / network.template_size)


def init_targets(network: Network, frames: AnyArray, boxes: AnyArray) -> TargetState:
    """Begin to follow targets, (B, 4) xyxy in frames (F, 3, H, W) uint8."""
    scores = array_namespace(boxes).ones_like(boxes[:, 0])
    return TargetState(boxes, scores, embed_templates(network, frames, boxes))


def search(
    network: Network,
    template: Template,
    frames: AnyArray,
    windows: AnyArray,
    change: CropTransform = identity,
) -> SearchResult:
    """Search windows of frames for templates.

    Args:
        network: searches.
        template: of B targets.
        frames: (F, 3, H, W) uint8.
        windows: (B, 4) cxcywh in image pixels.
        change: what is done to the crops before they are searched (augmentation).
    """
    crops = change(crop(frames, windows, network.search_size))
    return SearchResult(network.search(template, crops), windows)


def advance(
    network: Network, state: TargetState, frames: AnyArray, config: SelectionConfig
) -> TargetState:
    """Follow targets into the next frame: search around the last boxes, choose, smooth.

    Args:
        network: searches.
        state: where the targets were.
        frames: (F, 3, H, W) uint8.
        config: how far the network's answer is trusted.
    """
    observation = look(network, state, frames)
    return localize(state, observation, network.search_size, frame_size(frames), config)


def look(network: Network, state: TargetState, frames: AnyArray) -> SearchResult:
    """Search frames (F, 3, H, W) around the last boxes; what targets learnt on the way votes."""
    return rescore(network, state, search_frame(network, state, frames))


def search_frame(network: Network, state: TargetState, frames: AnyArray) -> SearchResult:
    """Search frames (F, 3, H, W) around the last boxes: what the network alone sees."""
    windows = search_windows(network, state.boxes)
    crops = crop(frames, windows, network.search_size)
    return SearchResult(network.search(state.template, crops), windows, crops=crops)


def rescore(network: Network, state: TargetState, observation: SearchResult) -> SearchResult:
    """Let what targets learnt on the way vote beside the scores that `search_around` gave."""
    proposals, bins, belief = observation.proposals, None, None
    scores = proposals.scores
    if state.online is not None:
        share = state.online.config.weight
        answers = filter_response(state.online, project(state.online, _features(proposals)))
        centres = xyxy_to_cxcywh(proposals.boxes)[..., :2]
        heard = sample_response(answers, centres, network.stride, network.search_size)
        scores = (1 - share) * scores + share * heard
    if state.colours is not None:
        assert observation.crops is not None
        bins = color_bins(observation.crops)
        belief = color_likelihood(state.colours, bins)
        if state.colours.config.weight:
            share = color_weights(state.colours)[:, None]
            heard = color_scores(state.colours, belief, proposals.boxes)
            scores = scores * (1 - share * (1 - heard))  # colours may doubt what is seen, no more
    return replace(
        observation, proposals=replace(proposals, scores=scores), color_bins=bins, likelihood=belief
    )


def localize(
    state: TargetState,
    observation: SearchResult,
    search_size: int,
    size: tuple[int, int],
    config: SelectionConfig,
) -> TargetState:
    """Choose among what was observed in frames (H, W) and give the targets' next state.

    The centre moves to the chosen proposal's; the size moves towards it, the further the higher
    its score and the less it changes.

    Source: SiamRPN (Li et al., CVPR 2018), section 4.4.
    """
    crop_to_image = observation.windows[:, 2:] / search_size
    last_sizes = state.boxes[:, 2:] - state.boxes[:, :2]
    choice = select_proposals(
        observation.proposals, last_sizes / crop_to_image, search_size, config
    )
    chosen = xyxy_to_cxcywh(boxes_to_image(choice.boxes, observation.windows, search_size))
    trust = (config.size_smoothing * choice.scores * choice.penalty)[:, None]
    sizes = last_sizes + trust * (chosen[:, 2:] - last_sizes)
    boxes = array_namespace(sizes).concat((chosen[:, :2], sizes), axis=-1)
    boxes = clip_boxes_to_frame(cxcywh_to_xyxy(boxes), size)
    return replace(state, boxes=boxes, scores=choice.scores, chosen=choice.index)


def match_boxes(state: TargetState, observation: SearchResult, search_size: int) -> TargetState:
    """Choose the proposals that overlap the boxes most, where these are known to be right."""
    boxes = boxes_to_crop(state.boxes, observation.windows, search_size)
    overlaps = box_iou(observation.proposals.boxes, boxes[:, None])
    return replace(state, chosen=overlaps.argmax(axis=1))


def init_filters(
    network: Network, state: TargetState, frames: AnyArray, config: OnlineFilterConfig
) -> TargetState:
    """Let each target learn a filter of its own in the frame of its first box.

    Args:
        network: gives the features.
        state: targets as `start` gives them.
        frames: (F, 3, H, W) uint8, the same frames.
        config: how filters learn and vote.
    """
    windows = search_windows(network, state.boxes)
    xp, features, wanted = array_namespace(windows), [], []
    for *shift, scale in INIT_VIEWS:
        moved = windows[:, :2] + new_array(windows, shift) * windows[:, 2:]
        view = xp.concat((moved, scale * windows[:, 2:]), axis=-1)
        features.append(_features(search(network, state.template, frames, view).proposals))
        wanted.append(_wanted(network, state.boxes, view, features[-1], config))
    online = init_filter(xp.stack(features), xp.stack(wanted), config)
    return replace(state, online=online)


def init_colors(
    network: Network,
    state: TargetState,
    frames: AnyArray,
    config: ColorModelConfig,
    masks: AnyArray | None = None,
) -> TargetState:
    """Let each target learn its colours in the frame of its first box.

    Args:
        network: has the sizes.
        state: targets as `start` gives them.
        frames: (F, 3, H, W) uint8, the same frames.
        config: how colours are learnt.
        masks: (B, 1, H, W) uint8, the targets' pixels, 255; else their boxes' count.
    """
    windows, size = search_windows(network, state.boxes), network.search_size
    bins = color_bins(crop(frames, windows, size))
    boxes = boxes_to_crop(state.boxes, windows, size)
    inside = None
    if masks is not None:
        inside = crop(masks, windows, size, fill=0)[:, 0, ::BIN_STRIDE, ::BIN_STRIDE] > 127
    return replace(state, colours=init_color_model(bins, boxes, config, inside))


def update_colors(network: Network, state: TargetState, observation: SearchResult) -> TargetState:
    """Let the colours of targets follow a frame; arguments as `teach`."""
    assert state.colours is not None
    assert observation.color_bins is not None
    sure = state.scores >= state.colours.config.min_update_score
    boxes = boxes_to_crop(state.boxes, observation.windows, network.search_size)
    colours = update_color_model(state.colours, observation.color_bins, boxes, sure)
    return replace(state, colours=colours)


def update_filters(network: Network, state: TargetState, observation: SearchResult) -> TargetState:
    """Let the filters of targets learn from a frame, as far as the targets are sure of it.

    Args:
        network: searched.
        state: targets with filters, settled in this frame.
        observation: what was seen of it.
    """
    assert state.online is not None
    config = state.online.config
    sure = state.scores >= config.min_update_score
    if not sure.any():
        return state
    features = _features(observation.proposals)
    wanted = _wanted(network, state.boxes, observation.windows, features, config)
    online = add_sample(state.online, project(state.online, features), wanted, sure)
    return replace(state, online=optimize_filter(online, config.update_steps))


def _features(proposals: Proposals) -> AnyArray:
    """Give what a filter learns from, in its precision."""
    if proposals.features is None:
        raise ValueError("this network gives no features to learn from: set the filter's share 0")
    xp = array_namespace(proposals.features)
    return xp.asarray(proposals.features, dtype=xp.float32)


def _wanted(
    network: Network,
    boxes: AnyArray,
    windows: AnyArray,
    features: AnyArray,
    config: OnlineFilterConfig,
) -> AnyArray:
    size = network.search_size
    positions = features.shape[-1] - config.kernel_size + 1
    in_crop = boxes_to_crop(boxes, windows, size)
    return gaussian_labels(in_crop, network.stride, size, positions, config.label_sigma)
