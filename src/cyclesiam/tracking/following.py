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

from cyclesiam.arrays import AnyArray, namespace, tracking
from cyclesiam.geometry.crops import frame_size
from cyclesiam.geometry.masks import Mask
from cyclesiam.tracking.color_model import ColourState
from cyclesiam.tracking.confidence import Standing, believe_told, name_states
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.mask_boxes import MaskFit, heed_masks, note_masks, say_boxes
from cyclesiam.tracking.online_filter import FilterState
from cyclesiam.tracking.results import MaskSource, TrackResult
from cyclesiam.tracking.segmentation import Segmented, segment_targets
from cyclesiam.tracking.siamese import (
    Network,
    Observation,
    SegmentingNetwork,
    TargetState,
    Template,
    keep_look,
    teach,
)
from cyclesiam.tracking.template_memory import Memory, keep_looks

Label = tuple[int, str | None]  # number and name of a target
Results = tuple[TrackResult, ...]
Run = Callable[[Callable[[], Any]], Future]  # lets a task be done, now or later


@dataclass(frozen=True, slots=True)
class Followed:
    """All that is known of B targets, batch first."""

    targets: TargetState
    memory: Memory
    standing: Standing
    fit: MaskFit


@dataclass(frozen=True, slots=True)
class Sighting:
    """Targets in a frame that they were settled in.

    Args:
        frame: (1, 3, H, W) uint8.
        observation: what was seen of it.
        followed: the targets, before they learn from it.
        labels: their numbers and names.
    """

    frame: AnyArray
    observation: Observation
    followed: Followed
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """What targets learn from a frame, done or on its way."""

    looks: Future[tuple[Template, Memory]]
    """What is searched for next, and what it was made of."""
    votes: Future[tuple[FilterState | None, ColourState | None]]
    """What votes beside the network next."""
    told: Future[tuple[Results, MaskFit]]
    """The results of the frame, and how masks lie about boxes now."""

    def add_looks(self, followed: Followed) -> Followed:
        """Give targets that may be searched for; waits for what that takes."""
        template, memory = self.looks.result()
        targets = replace(followed.targets, template=template)
        return replace(followed, targets=targets, memory=memory)

    def add_votes(self, followed: Followed) -> Followed:
        """Give targets that may be settled where they are found; waits for that."""
        online, colours = self.votes.result()
        followed = self.add_looks(followed)
        return replace(followed, targets=replace(followed.targets, online=online, colours=colours))

    def add_all(self, followed: Followed) -> Followed:
        """Give targets with all that was learnt; waits for it."""
        return replace(self.add_votes(followed), fit=self.told.result()[1])


def at_once(task: Callable[[], Any]) -> Future:
    """Do a task now, where it is called."""
    done: Future = Future()
    done.set_result(task())
    return done


def learn_from(
    network: Network, sighting: Sighting, step: int, config: TrackerConfig, run: Run
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
    scores = namespace(known.scores).where(sighting.followed.standing.lost, 0.0, known.scores)
    targets, seen = replace(known, scores=scores), sighting.observation

    def looks() -> tuple[Template, Memory]:
        if not config.memory.share or step % config.memory.every:
            return targets.template, memory
        learnt, later = keep_looks(network, targets, memory, sighting.frame, config.memory)
        return learnt.template, later

    def votes() -> tuple[FilterState | None, ColourState | None]:
        online, colours = targets.online, targets.colours
        if online is not None and step % config.online.every == 0:
            online = teach(network, targets, seen).online
        if colours is not None:
            colours = keep_look(network, targets, seen).colours
        return online, colours

    def told() -> tuple[Results, MaskFit]:
        return tell(network, sighting, config)

    def learning(task: Callable[[], Any]) -> Future:
        def learn() -> Any:
            with tracking(sighting.frame):
                return task()

        return run(learn)

    return Learning(learning(looks), learning(votes), learning(told))


def tell(network: Network, sighting: Sighting, config: TrackerConfig) -> tuple[Results, MaskFit]:
    """Give the results of targets in a frame, with masks where the network gives any.

    Returns:
        The results, and how masks lie about boxes from now on.
    """
    followed = sighting.followed
    own, fit = followed.targets.boxes, followed.fit
    if not (config.mask.wanted and network.has_masks):
        return list_results(followed, own, sighting.labels, config), fit
    found = segment(network, sighting, config)
    said = say_boxes(found.extents, fit)
    boxes = heed_masks(own, said, config.mask.box_share)
    fit = note_masks(fit, own, said, config.mask.size_rate)
    heard = replace(followed, fit=fit)
    return list_results(heard, boxes, sighting.labels, config, found.masks), fit


def segment(network: Network, sighting: Sighting, config: TrackerConfig) -> Segmented:
    """Give the masks of targets in a frame, of a network that has any."""
    assert isinstance(network, SegmentingNetwork)
    targets, size = sighting.followed.targets, frame_size(sighting.frame)
    return segment_targets(network, targets, sighting.observation, size, config.mask)


def list_results(
    followed: Followed,
    boxes: AnyArray,
    labels: Sequence[Label],
    config: TrackerConfig,
    masks: Sequence[tuple[Mask, MaskSource]] | None = None,
) -> Results:
    """Give the results of targets, in their order, at (B, 4) xyxy boxes."""
    believed = followed.standing.confidences
    if masks is not None:
        believed = believe_told(believed, followed.fit, config.confidence)
    states = name_states(followed.standing, config.confidence)
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
