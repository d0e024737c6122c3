"""Search frames for targets and choose their boxes: the arithmetic that training shares.

The tracker calls it with B targets of one frame, the training cycle with B clips of one target.

Shapes: B targets, F frames (F = B, or 1 that all targets share), N proposals a target, S pixels on
a side of a search crop.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cyclesiam.arrays import AnyArray, array_namespace
from cyclesiam.geometry.boxes import box_iou, clip_boxes_to_frame, cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import (
    boxes_to_crop,
    boxes_to_image,
    context_windows,
    crop,
    frame_size,
)
from cyclesiam.geometry.proposals import Proposals, SelectionConfig, select_proposals
from cyclesiam.tracking.network import Network, Template

CropTransform = Callable[[AnyArray], AnyArray]


def identity(crops: AnyArray) -> AnyArray:
    """Return (B, 3, S, S) crops as they are."""
    return crops


@dataclass(frozen=True, slots=True)
class TargetState:
    """What a search needs to know of B targets.

    Args:
        boxes: (B, 4) xyxy in image pixels, where they were last.
        template: what `Network.embed` returned.
    """

    boxes: AnyArray
    template: Template


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a network found in the search crops of B targets.

    Args:
        proposals: candidate boxes in crop pixels, with scores.
        windows: (B, 4) cxcywh in image pixels, what the search crops cover.
        search_size: side of the search crops in pixels.
        frame_size: height and width of the frames in pixels.
    """

    proposals: Proposals
    windows: AnyArray
    search_size: int
    frame_size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Localization:
    """Where B targets are in a frame.

    Args:
        boxes: (B, 4) xyxy in image pixels.
        scores: (B,) of the chosen proposals, 0..1.
        chosen: (B,) index of the chosen proposal.
    """

    boxes: AnyArray
    scores: AnyArray
    chosen: AnyArray


def embed_templates(
    network: Network,
    frames: AnyArray,
    boxes: AnyArray,
    windows: AnyArray | None = None,
    transform: CropTransform = identity,
) -> Template:
    """Crop targets with their context from frames, and return the network's templates.

    Args:
        network: embeds the crops.
        frames: (F, 3, H, W) uint8.
        boxes: (B, 4) xyxy in image pixels.
        windows: (B, 4) cxcywh to crop; None for the boxes with their context.
        transform: applied to the crops before the network sees them (augmentation).
    """
    around: AnyArray = context_windows(boxes) if windows is None else windows
    crops = transform(crop(frames, around, network.template_size))
    return network.embed(crops, boxes_to_crop(boxes, around, network.template_size))


def search_windows(network: Network, boxes: AnyArray) -> AnyArray:
    """Return the (B, 4) cxcywh windows to search around boxes, at the templates' resolution."""
    return context_windows(boxes, scale=network.search_size / network.template_size)


def init_targets(network: Network, frames: AnyArray, boxes: AnyArray) -> TargetState:
    """Return the state of targets at (B, 4) xyxy boxes in (F, 3, H, W) uint8 frames."""
    return TargetState(boxes, embed_templates(network, frames, boxes))


def search(
    network: Network,
    template: Template,
    frames: AnyArray,
    windows: AnyArray,
    transform: CropTransform = identity,
) -> SearchResult:
    """Search windows of frames for templates.

    Args:
        network: searches the crops.
        template: of B targets.
        frames: (F, 3, H, W) uint8.
        windows: (B, 4) cxcywh in image pixels.
        transform: applied to the crops before the network sees them (augmentation).
    """
    crops = transform(crop(frames, windows, network.search_size))
    proposals = network.search(template, crops)
    return SearchResult(proposals, windows, network.search_size, frame_size(frames))


def search_frame(
    network: Network, state: TargetState, frames: AnyArray
) -> tuple[SearchResult, AnyArray]:
    """Search (F, 3, H, W) uint8 frames around the last boxes.

    Returns:
        What the network found, and the (B, 3, S, S) search crops in 0..255.
    """
    windows = search_windows(network, state.boxes)
    crops = crop(frames, windows, network.search_size)
    proposals = network.search(state.template, crops)
    return SearchResult(proposals, windows, network.search_size, frame_size(frames)), crops


def localize(boxes: AnyArray, found: SearchResult, config: SelectionConfig) -> Localization:
    """Choose a proposal for each target, and smooth the size of its box.

    The center moves to the chosen proposal's. The size moves towards the proposal's: further for
    a higher score, less for a larger change.

    Args:
        boxes: (B, 4) xyxy in image pixels, around which the frame was searched.
        found: the search of this frame.
        config: how proposals are ranked and sizes smoothed.

    Source: SiamRPN (Li et al., CVPR 2018), section 4.4.
    """
    crop_to_image = found.windows[:, 2:] / found.search_size
    last_sizes = boxes[:, 2:] - boxes[:, :2]
    selection = select_proposals(
        found.proposals, last_sizes / crop_to_image, found.search_size, config
    )
    chosen = xyxy_to_cxcywh(boxes_to_image(selection.boxes, found.windows, found.search_size))
    rate = (config.size_smoothing * selection.scores * selection.penalty)[:, None]
    sizes = last_sizes + rate * (chosen[:, 2:] - last_sizes)
    smoothed = array_namespace(sizes).concat((chosen[:, :2], sizes), axis=-1)
    smoothed = clip_boxes_to_frame(cxcywh_to_xyxy(smoothed), found.frame_size)
    return Localization(smoothed, selection.scores, selection.index)


def match_boxes(boxes: AnyArray, found: SearchResult) -> Localization:
    """Choose the proposals that overlap known boxes most; (B, 4) xyxy in image pixels.

    The boxes stay as they are, and their scores are 1.
    """
    in_crop = boxes_to_crop(boxes, found.windows, found.search_size)
    chosen = box_iou(found.proposals.boxes, in_crop[:, None]).argmax(axis=1)
    return Localization(boxes, array_namespace(boxes).ones_like(boxes[:, 0]), chosen)
