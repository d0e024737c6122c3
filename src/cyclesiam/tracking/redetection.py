"""Finding targets again: doubted ones all over their search crop, lost ones all over the frame.

The places in a frame are search windows of the usual size, so that the target looks as it was
learnt; a few are searched in each frame. Those near where it was last seen for sure come first.
Only a place of which the tracker is sure moves a box; until then the target goes on as it did.

Shapes: B targets, L lost ones, P places a frame, K places in all.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, copy, new_arange, new_array
from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import frame_size
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.tracking.batching import select_targets
from cyclesiam.tracking.confidence import ConfidenceConfig, TargetStatus, box_confidence
from cyclesiam.tracking.siamese import (
    Network,
    SearchResult,
    TargetState,
    localize,
    look,
    search_windows,
)

WINDOW_STEP = (
    0.6  # from one place to the next, over the window's side: every spot is well inside one
)


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class RedetectionConfig:
    """How lost targets are looked for."""

    windows_per_frame: int = 2
    """Places that are searched for a lost target in a frame; 0 for none."""
    targets_per_frame: int = 2
    """Lost targets that are looked for in a frame; others have their turn in the next ones."""
    min_confidence: float = 0.71
    """Probability from which on a target is taken for found."""

    def __post_init__(self) -> None:
        if (
            min(self.windows_per_frame, self.targets_per_frame) < 0
            or not 0 <= self.min_confidence <= 1
        ):
            raise ValueError(
                "windows_per_frame and targets_per_frame must be 0 or more, and min_confidence "
                f"must lie in 0..1; got {self}"
            )


def relocalize(
    last: TargetState,
    settled: TargetState,
    observation: SearchResult,
    confidences: AnyArray,
    search_size: int,
    size: tuple[int, int],
    choice: SelectionConfig,
    confidence: ConfidenceConfig,
    config: RedetectionConfig,
) -> TargetState:
    """Let doubted targets be anywhere in their search crops, if that is sure.

    A target is expected near its last box. Where what is there is little believed, that
    expectation would outweigh all else.

    Args:
        last: targets in the frame before, with filters and colours.
        settled: the same in this frame, where they are expected.
        observation: what was seen of it.
        confidences: (B,) of the settled.
        search_size: side of the search crops in pixels.
        size: H, W of the frame.
        choice: how the network's answer is trusted.
        confidence: how much is believed, and what is doubted.
        config: what is sure.
    """
    doubted = confidences < confidence.lost_threshold
    if not doubted.any():
        return settled
    anywhere = replace(choice, window_influence=0.0)
    nearby = localize(last, observation, search_size, size, anywhere)
    found = doubted & (box_confidence(nearby, observation, confidence) >= config.min_confidence)
    if not found.any():
        return settled
    assert nearby.chosen is not None
    assert settled.chosen is not None
    xp = array_namespace(found)
    return replace(
        settled,
        boxes=xp.where(found[:, None], nearby.boxes, settled.boxes),
        scores=xp.where(found, nearby.scores, settled.scores),
        chosen=xp.where(found, nearby.chosen, settled.chosen),
    )


def redetect(
    network: Network,
    state: TargetState,
    standing: TargetStatus,
    frames: AnyArray,
    choice: SelectionConfig,
    confidence: ConfidenceConfig,
    config: RedetectionConfig,
) -> tuple[TargetState, TargetStatus]:
    """Look for lost targets in some places of a frame, before it is searched as usual.

    Args:
        network: searches.
        state: targets in the frame before.
        standing: of them.
        frames: (1, 3, H, W) uint8, the frame that all share.
        choice: how the network's answer is trusted.
        confidence: how much is believed.
        config: how many places.

    Returns:
        The targets, those that were found moved there; and what is thought of them now.
    """
    xp = array_namespace(standing.lost)
    lost = xp.where(standing.lost)[0]
    lost = lost[standing.windows_searched[lost].argsort(stable=True)][: config.targets_per_frame]
    if not len(lost) or not config.windows_per_frame:
        return state, standing
    places, size = config.windows_per_frame, frame_size(frames)
    tries = [
        _choose_places(network, standing.last_confident_boxes[row], size, first, places)
        for row, first in zip(lost.tolist(), standing.windows_searched[lost].tolist(), strict=True)
    ]
    rows = [row for row in lost.tolist() for _ in range(places)]
    tried = replace(select_targets(replace(state, chosen=None), rows), boxes=xp.concat(tries))
    seen = look(network, tried, frames)
    anywhere = replace(choice, window_influence=0.0)
    tried = localize(tried, seen, network.search_size, size, anywhere)
    believed = box_confidence(tried, seen, confidence).reshape(len(lost), places)
    best = xp.amax(believed, axis=1)
    found = (best >= config.min_confidence) & (best > standing.confidences[lost])
    which = new_arange(lost, len(lost)) * places + believed.argmax(axis=1)
    boxes, searched = copy(state.boxes), copy(standing.windows_searched)
    boxes[lost[found]] = tried.boxes[which][found]
    searched[lost] += places
    return replace(state, boxes=boxes), replace(standing, windows_searched=searched)


def _choose_places(
    network: Network, box: AnyArray, size: tuple[int, int], first: int, count: int
) -> AnyArray:
    """Give `count` boxes to search around, (P, 4) xyxy, the `first` after those before."""
    xp, own = array_namespace(box), xyxy_to_cxcywh(box)
    height, width = size
    steps = WINDOW_STEP * search_windows(network, box[None])[0, 2:]
    numbers = [
        max(math.ceil(side / step), 1)
        for side, step in zip((width, height), steps.tolist(), strict=True)
    ]
    x, y = (
        (np.arange(number) + 0.5) * side / number
        for number, side in zip(numbers, (width, height), strict=True)
    )
    grid = new_array(box, np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2))
    grid = xp.concat((own[None, :2], grid))
    order = ((grid - own[:2]) ** 2).sum(axis=1).argsort(stable=True)
    chosen = grid[order[[(first + number) % len(grid) for number in range(count)]]]
    return cxcywh_to_xyxy(xp.concat((chosen, xp.zeros_like(chosen) + own[2:]), axis=1))
