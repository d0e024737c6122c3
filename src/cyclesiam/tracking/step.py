"""One frame of tracking, in the order in which it happens.

`predict` says where the targets are in a frame. It has three parts.

`search_targets`:
 1. redetect lost targets: search some windows of the whole frame for them;
 2. crop and search the frame around the last boxes, or where lost targets were redetected.
`localize_targets`:
 3. rescore the proposals by each target's filter and colors, as far as these have weight;
 4. select a proposal for each target, and smooth the size of its box;
 5. relocalize uncertain targets: select again, anywhere in the search crop;
 6. resolve conflicts: of two targets with one box, one selects again, elsewhere.
`finish`:
 7. move boxes below the lost threshold of confidence by median flow;
 8. correct the sizes of boxes by the masks of earlier frames;
 9. update the status: confident, uncertain, lost or recovered.

`update` is the second half of `Tracker.update`. It reports the targets and learns:
10. segment the targets;
11. blend the boxes and scores to report with the masks;
12. update the templates;
13. update the filters;
14. update the color models.

All are pure functions. The parts of `predict` each need only some of what `update` returns, so
that `pipelined.PipelinedTracker` can run `update` while the next frame is searched.

Shapes: B targets, (H, W) the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cyclesiam.arrays import AnyArray, array_namespace, new_arange
from cyclesiam.geometry.masks import Mask
from cyclesiam.tracking.color_model import ColorModel
from cyclesiam.tracking.confidence import (
    TargetStatus,
    box_confidence,
    find_rivals,
    init_status,
    reported_confidence,
    shown_confidence,
    state_names,
    update_status,
)
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.conflicts import resolve_conflicts
from cyclesiam.tracking.mask_boxes import (
    MaskBoxFit,
    blend_boxes,
    boxes_from_masks,
    correct_sizes,
    fit_boxes_to_masks,
    unknown_fit,
    update_fit,
)
from cyclesiam.tracking.median_flow import propagate_boxes
from cyclesiam.tracking.network import Network, SegmentingNetwork
from cyclesiam.tracking.online_filter import OnlineFilter
from cyclesiam.tracking.redetection import redetect, relocalize
from cyclesiam.tracking.registry import TargetLabel
from cyclesiam.tracking.rescoring import (
    RescoredSearch,
    init_colors,
    init_filters,
    rescore,
    update_colors,
    update_filters,
)
from cyclesiam.tracking.results import MaskSource, TrackResult
from cyclesiam.tracking.search import (
    Localization,
    SearchResult,
    TargetState,
    init_targets,
    localize,
    match_boxes,
    search_frame,
)
from cyclesiam.tracking.segmentation import SegmentedTargets, segment_targets
from cyclesiam.tracking.state import TrackState
from cyclesiam.tracking.template_memory import TemplateMemory, init_templates, update_templates

Results = tuple[TrackResult, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchedFrame:
    """A frame that was searched for B targets.

    Args:
        frame: (1, 3, H, W) uint8.
        boxes: (B, 4) xyxy in image pixels, around which it was searched.
        status: of the targets, with the windows searched for lost ones.
        found: what the network found.
        crops: (B, 3, S, S) the search crops, 0..255.
    """

    frame: AnyArray
    boxes: AnyArray
    status: TargetStatus
    found: SearchResult
    crops: AnyArray


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizedTargets:
    """Where B targets are, by their search crops.

    Args:
        frame: (1, 3, H, W) uint8.
        status: of the targets before this frame, with the windows searched for lost ones.
        found: the search, rescored.
        targets: the boxes.
        confidences: (B,) of the boxes, 0..1.
    """

    frame: AnyArray
    status: TargetStatus
    found: RescoredSearch
    targets: Localization
    confidences: AnyArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Where B targets are in a frame.

    Args:
        state: after the frame, but for what `update` changes.
        found: the search, rescored.
        targets: the boxes. `update` learns where scores are high; those of lost targets are 0.
    """

    state: TrackState
    found: RescoredSearch
    targets: Localization


def makes_masks(network: Network, config: TrackerConfig) -> bool:
    """Check whether targets are segmented."""
    return config.mask.enabled and network.has_masks


def start(
    network: Network,
    frame: AnyArray,
    boxes: AnyArray,
    config: TrackerConfig,
    masks: AnyArray | None = None,
) -> tuple[TrackState, SegmentedTargets | None]:
    """Return the state of targets in the frame of their first boxes, and their masks there.

    Args:
        network: embeds and searches.
        frame: (1, 3, H, W) uint8.
        boxes: (B, 4) xyxy in image pixels.
        config: of the tracker.
        masks: (B, 1, H, W) uint8, 255 on the targets' pixels, where these are known. The color
            models are then counted on them.

    Returns:
        The state, and the masks; None where nothing is segmented.
    """
    targets = init_targets(network, frame, boxes)
    filters = colors = None
    if config.online_filter.weight:
        filters = init_filters(network, targets, frame, config.online_filter)
    if config.color_model.weight or makes_masks(network, config):
        colors = init_colors(network, boxes, frame, config.color_model, masks)
    found = rescore(network, *search_frame(network, targets, frame), filters, colors)
    known = match_boxes(boxes, found)
    rows = new_arange(known.chosen, len(known.chosen))
    state = TrackState(
        boxes=boxes,
        templates=init_templates(targets.template),
        filters=filters,
        colors=colors,
        status=init_status(boxes, found.proposals.scores[rows, known.chosen]),
        mask_fit=unknown_fit(boxes),
        frame=frame,
        frame_count=0,
    )
    if not makes_masks(network, config):
        return state, None
    segmented = _segment(network, known, found, config)
    return replace(state, mask_fit=fit_boxes_to_masks(boxes, segmented.boxes)), segmented


def predict(
    network: Network, state: TrackState, frame: AnyArray, config: TrackerConfig
) -> Prediction:
    """Return where targets are in the next frame.

    Args:
        network: searches.
        state: the targets after the frame before.
        frame: (1, 3, H, W) uint8.
        config: of the tracker.
    """
    searched = search_targets(network, state, frame, config)
    return finish(state, localize_targets(network, state, searched, config), config)


def search_targets(
    network: Network, state: TrackState, frame: AnyArray, config: TrackerConfig
) -> SearchedFrame:
    """Search the next frame, (1, 3, H, W) uint8, for targets.

    Needs the boxes, status and templates of the state; to redetect lost targets, all of it.
    """
    boxes, status = state.boxes, state.status
    # 1. Redetect lost targets.
    if status.lost.any():
        boxes, status = redetect(network, state, frame, config)
    # 2. Search around the last boxes, or the redetected ones.
    targets = TargetState(boxes, state.templates.current)
    found, crops = search_frame(network, targets, frame)
    return SearchedFrame(frame=frame, boxes=boxes, status=status, found=found, crops=crops)


def localize_targets(
    network: Network, state: TrackState, searched: SearchedFrame, config: TrackerConfig
) -> LocalizedTargets:
    """Return where targets are, by their proposals. Needs the state's filters and colors."""
    searched_boxes, status = searched.boxes, searched.status
    # 3. Rescore the proposals.
    found = rescore(network, searched.found, searched.crops, state.filters, state.colors)
    # 4. Select and smooth.
    selected = localize(searched_boxes, found, config.selection)
    recovering = status.lost | (status.recovered_left > 0)
    confidences = box_confidence(selected, found, config.confidence, recovering)
    # 5. Relocalize uncertain targets.
    targets = relocalize(searched_boxes, selected, found, confidences, config)
    # 6. Resolve conflicts.
    targets = resolve_conflicts(searched_boxes, targets, found, config)
    if targets is not selected:
        confidences = box_confidence(targets, found, config.confidence, recovering)
    return LocalizedTargets(
        frame=searched.frame, status=status, found=found, targets=targets, confidences=confidences
    )


def finish(state: TrackState, localized: LocalizedTargets, config: TrackerConfig) -> Prediction:
    """Return the final boxes and the status. Needs the state's boxes, mask fit and last frame."""
    targets, confidences = localized.targets, localized.confidences
    # 7. Move boxes below the lost threshold by median flow.
    frames, flow = (state.frame, localized.frame), config.median_flow
    uncertain = confidences < config.confidence.lost_threshold
    boxes = propagate_boxes(targets.boxes, state.boxes, frames, uncertain, flow)
    # 8. Correct sizes by the masks of earlier frames.
    if config.mask.size_correction:
        confident = confidences >= config.confidence.confident_threshold
        boxes = correct_sizes(
            boxes,
            state.mask_fit,
            confident,
            config.mask.size_tolerance,
            config.mask.size_correction,
            localized.found.frame_size,
        )
    # 9. Update the status.
    found = localized.found
    status = replace(
        update_status(localized.status, boxes, confidences, config.confidence),
        shown_confidences=shown_confidence(
            confidences, targets, found, localized.status, config.confidence
        ),
        ambiguous=find_rivals(targets, found),
    )
    scores = array_namespace(boxes).where(status.lost, 0.0, targets.scores)
    count = state.frame_count + 1
    return Prediction(
        state=replace(state, boxes=boxes, status=status, frame=localized.frame, frame_count=count),
        found=localized.found,
        targets=replace(targets, boxes=boxes, scores=scores),
    )


def update(
    network: Network,
    prediction: Prediction,
    labels: Sequence[TargetLabel],
    config: TrackerConfig,
) -> tuple[TrackState, Results]:
    """Report the targets of a frame, and learn from it.

    Args:
        network: that searched.
        prediction: where they are.
        labels: their ids and names.
        config: of the tracker.

    Returns:
        The state after the frame, and the results in the order of the targets.
    """
    results, fit = segment_and_report(network, prediction, labels, config)
    templates = next_templates(network, prediction, config)
    filters, colors = next_models(network, prediction, config)
    state = replace(
        prediction.state, templates=templates, filters=filters, colors=colors, mask_fit=fit
    )
    return state, results


def segment_and_report(
    network: Network,
    prediction: Prediction,
    labels: Sequence[TargetLabel],
    config: TrackerConfig,
) -> tuple[Results, MaskBoxFit]:
    """Return the results of a frame, and how boxes lie about masks from now on."""
    state, boxes = prediction.state, prediction.targets.boxes
    if not makes_masks(network, config):
        return make_results(state, boxes, labels, config), state.mask_fit
    # 10. Segment.
    segmented = _segment(network, prediction.targets, prediction.found, config)
    # 11. Blend boxes and scores with the masks.
    by_masks = boxes_from_masks(segmented.boxes, state.mask_fit)
    fit = update_fit(state.mask_fit, boxes, by_masks, config.mask.size_momentum)
    reported = blend_boxes(boxes, by_masks, config.mask.box_weight)
    state = replace(state, mask_fit=fit)
    return make_results(state, reported, labels, config, segmented.masks), fit


def next_templates(
    network: Network, prediction: Prediction, config: TrackerConfig
) -> TemplateMemory:
    """Return the templates for the next frame; they change every few frames."""
    state, memory = prediction.state, config.template_memory
    if not memory.recent_weight or state.frame_count % memory.update_interval:
        return state.templates
    # 12. Update the templates.
    return update_templates(network, state.templates, prediction.targets, state.frame, memory)


def next_models(
    network: Network, prediction: Prediction, config: TrackerConfig
) -> tuple[OnlineFilter | None, ColorModel | None]:
    """Return the filters, which change every few frames, and color models for the next frame."""
    targets, found = prediction.targets, prediction.found
    filters, colors = prediction.state.filters, prediction.state.colors
    is_due = prediction.state.frame_count % config.online_filter.update_interval == 0
    # 13. Update the filters.
    if filters is not None and is_due:
        filters = update_filters(network, filters, targets, found)
    # 14. Update the color models; the search holds them with the color bins of its crops.
    if found.colors is not None:
        colors = update_colors(found.colors, targets, found)
    return filters, colors


def make_results(
    state: TrackState,
    boxes: AnyArray,
    labels: Sequence[TargetLabel],
    config: TrackerConfig,
    masks: Sequence[tuple[Mask, MaskSource]] | None = None,
) -> Results:
    """Return the results of targets, in their order.

    Args:
        state: after the frame.
        boxes: (B, 4) xyxy in image pixels, to report.
        labels: ids and names.
        config: of the tracker.
        masks: of the targets; None where nothing is segmented.
    """
    scores = state.status.shown_confidences
    if masks is not None:
        scores = reported_confidence(scores, state.mask_fit, config.confidence)
    states = state_names(state.status, config.confidence)
    rows = zip(labels, boxes.tolist(), scores.tolist(), states, strict=True)
    results = tuple(
        TrackResult(id=id, name=name, box=tuple(box), score=score, state=state_name)
        for (id, name), box, score, state_name in rows
    )
    if masks is None:
        return results
    return tuple(
        replace(result, mask=mask, mask_source=source, rotated_box=mask.rotated_box())
        for result, (mask, source) in zip(results, masks, strict=True)
    )


def _segment(
    network: Network, targets: Localization, found: RescoredSearch, config: TrackerConfig
) -> SegmentedTargets:
    assert isinstance(network, SegmentingNetwork)
    return segment_targets(network, targets, found, config.mask)
