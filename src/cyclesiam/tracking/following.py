"""What is known of targets from frame to frame, and how it grows: now, or beside the next search.

What targets learn from a frame matters in the next one only, and in parts: their looks when it is
searched, filters and colours after that. So a thread may learn while the next frame is searched,
and nothing comes out otherwise.

Shapes: B targets.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from cyclesiam.arrays import AnyArray, array_namespace, inference_context
from cyclesiam.geometry.crops import frame_size
from cyclesiam.geometry.masks import Mask
from cyclesiam.tracking.color_model import ColorModel
from cyclesiam.tracking.confidence import TargetStatus, reported_confidence, state_names
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.mask_boxes import MaskBoxFit, blend_boxes, boxes_from_masks, update_fit
from cyclesiam.tracking.online_filter import OnlineFilter
from cyclesiam.tracking.results import MaskSource, TrackResult
from cyclesiam.tracking.segmentation import SegmentedTargets, segment_targets
from cyclesiam.tracking.siamese import (
    Network,
    SearchResult,
    SegmentingNetwork,
    TargetState,
    Template,
    update_colors,
    update_filters,
)
from cyclesiam.tracking.template_memory import TemplateMemory, update_templates

TargetLabel = tuple[int, str | None]  # number and name of a target
Results = tuple[TrackResult, ...]
Run = Callable[[Callable[[], Any]], Future]  # lets a task be done, now or later


@dataclass(frozen=True, slots=True)
class TrackState:
    """All that is known of B targets, batch first."""

    targets: TargetState
    memory: TemplateMemory
    standing: TargetStatus
    fit: MaskBoxFit


@dataclass(frozen=True, slots=True)
class Prediction:
    """Targets in a frame that they were settled in.

    Args:
        frame: (1, 3, H, W) uint8.
        observation: what was seen of it.
        followed: the targets, before they learn from it.
        labels: their numbers and names.
    """

    frame: AnyArray
    observation: SearchResult
    followed: TrackState
    labels: tuple[TargetLabel, ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """What targets learn from a frame, done or on its way."""

    looks: Future[tuple[Template, TemplateMemory]]
    """What is searched for next, and what it was made of."""
    votes: Future[tuple[OnlineFilter | None, ColorModel | None]]
    """What votes beside the network next."""
    told: Future[tuple[Results, MaskBoxFit]]
    """The results of the frame, and how masks lie about boxes now."""

    def add_looks(self, followed: TrackState) -> TrackState:
        """Give targets that may be searched for; waits for what that takes."""
        template, memory = self.looks.result()
        targets = replace(followed.targets, template=template)
        return replace(followed, targets=targets, memory=memory)

    def add_votes(self, followed: TrackState) -> TrackState:
        """Give targets that may be settled where they are found; waits for that."""
        online, colours = self.votes.result()
        followed = self.add_looks(followed)
        return replace(followed, targets=replace(followed.targets, online=online, colours=colours))

    def add_all(self, followed: TrackState) -> TrackState:
        """Give targets with all that was learnt; waits for it."""
        return replace(self.add_votes(followed), fit=self.told.result()[1])


def at_once(task: Callable[[], Any]) -> Future:
    """Do a task now, where it is called."""
    done: Future = Future()
    done.set_result(task())
    return done


def update(
    network: Network, sighting: Prediction, step: int, config: TrackerConfig, run: Run
) -> Learning:
    """Tell where targets are, and let them learn from a frame; those that are lost do not.

    Args:
        network: that searched.
        sighting: of the frame.
        step: frames since the targets were started.
        config: what is learnt, and how often.
        run: at once, or beside.
    """
    known, memory = sighting.followed.targets, sighting.followed.memory
    scores = array_namespace(known.scores).where(sighting.followed.standing.lost, 0.0, known.scores)
    targets, seen = replace(known, scores=scores), sighting.observation

    def looks() -> tuple[Template, TemplateMemory]:
        if (
            not config.template_memory.recent_weight
            or step % config.template_memory.update_interval
        ):
            return targets.template, memory
        learnt, later = update_templates(
            network, targets, memory, sighting.frame, config.template_memory
        )
        return learnt.template, later

    def votes() -> tuple[OnlineFilter | None, ColorModel | None]:
        online, colours = targets.online, targets.colours
        if online is not None and step % config.online_filter.update_interval == 0:
            online = update_filters(network, targets, seen).online
        if colours is not None:
            colours = update_colors(network, targets, seen).colours
        return online, colours

    def told() -> tuple[Results, MaskBoxFit]:
        return segment_and_report(network, sighting, config)

    def learning(task: Callable[[], Any]) -> Future:
        def learn() -> Any:
            with inference_context(sighting.frame):
                return task()

        return run(learn)

    return Learning(learning(looks), learning(votes), learning(told))


def segment_and_report(
    network: Network, sighting: Prediction, config: TrackerConfig
) -> tuple[Results, MaskBoxFit]:
    """Give the results of targets in a frame, with masks where the network gives any.

    Returns:
        The results, and how masks lie about boxes from now on.
    """
    followed = sighting.followed
    own, fit = followed.targets.boxes, followed.fit
    if not (config.mask.enabled and network.has_masks):
        return make_results(followed, own, sighting.labels, config), fit
    found = segment(network, sighting, config)
    said = boxes_from_masks(found.boxes, fit)
    boxes = blend_boxes(own, said, config.mask.box_weight)
    fit = update_fit(fit, own, said, config.mask.size_momentum)
    heard = replace(followed, fit=fit)
    return make_results(heard, boxes, sighting.labels, config, found.masks), fit


def segment(network: Network, sighting: Prediction, config: TrackerConfig) -> SegmentedTargets:
    """Give the masks of targets in a frame, of a network that has any."""
    assert isinstance(network, SegmentingNetwork)
    targets, size = sighting.followed.targets, frame_size(sighting.frame)
    return segment_targets(network, targets, sighting.observation, size, config.mask)


def make_results(
    followed: TrackState,
    boxes: AnyArray,
    labels: Sequence[TargetLabel],
    config: TrackerConfig,
    masks: Sequence[tuple[Mask, MaskSource]] | None = None,
) -> Results:
    """Give the results of targets, in their order, at (B, 4) xyxy boxes."""
    believed = followed.standing.confidences
    if masks is not None:
        believed = reported_confidence(believed, followed.fit, config.confidence)
    states = state_names(followed.standing, config.confidence)
    rows = zip(labels, boxes.tolist(), believed.tolist(), states, strict=True)
    results = tuple(
        TrackResult(id=number, name=name, box=tuple(box), score=score, state=state)
        for (number, name), box, score, state in rows
    )
    if masks is None:
        return results
    return tuple(
        replace(result, mask=mask, mask_source=source, rotated_box=mask.rotated_box())
        for result, (mask, source) in zip(results, masks, strict=True)
    )


def forget_choice(followed: TrackState) -> TrackState:
    """Forget which proposals boxes came from: those of another frame mean nothing."""
    return replace(followed, targets=replace(followed.targets, chosen=None))
