"""Find targets again: uncertain ones in their whole search crop, lost ones in the whole frame.

A lost target is searched for in windows of the usual size, because its template has that
resolution. Each frame searches a few of them, first those near its last confident box. A box
moves only to where the confidence is high; until then the target is tracked as usual.

Shapes: B targets, L lost ones that are searched for, P windows of each, K windows in a frame.
"""

import math
from dataclasses import replace

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, copy, new_arange, new_array
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.crops import frame_size
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.tracking.batching import select_targets
from cyclesiam.tracking.confidence import TargetStatus, box_confidence
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.rescoring import RescoredSearch, rescore
from cyclesiam.tracking.search import (
    Localization,
    TargetState,
    localize,
    search_frame,
    search_windows,
)
from cyclesiam.tracking.state import TrackState

# Distance between two windows, over their side: every spot lies well inside one of them.
WINDOW_STEP = 0.6
# Windows along a side of a frame, to bound time and memory: those of a target of 3 pixels in 1920.
MAX_WINDOWS = 256


def redetect(
    network: Network, state: TrackState, frame: AnyArray, config: TrackerConfig
) -> tuple[AnyArray, TargetStatus]:
    """Search some windows of a frame for lost targets, and return where they were found.

    Args:
        network: searches.
        state: the targets in the frame before.
        frame: (1, 3, H, W) uint8.
        config: `redetection` says how many targets and windows, and what is found.

    Returns:
        The (B, 4) xyxy boxes in image pixels, those of found targets moved, and the status with
        the number of windows searched.
    """
    xp, status = array_namespace(state.boxes), state.status
    count = config.redetection.windows_per_frame
    lost = xp.where(status.lost)[0]
    order = status.windows_searched[lost].argsort(stable=True)
    lost = lost[order][: config.redetection.targets_per_frame]
    if not len(lost) or not count:
        return state.boxes, status
    windows = [
        _next_windows(network, status.last_confident_boxes[row], frame_size(frame), first, count)
        for row, first in zip(lost.tolist(), status.windows_searched[lost].tolist(), strict=True)
    ]
    rows = [row for row in lost.tolist() for _ in range(count)]
    tried = replace(select_targets(state, rows), boxes=xp.concat(windows))
    found, confidences = _search_around(network, tried, frame, config)
    confidences = confidences.reshape(len(lost), count)
    best = xp.amax(confidences, axis=1)
    is_found = best >= config.redetection.min_confidence
    is_found &= best > status.confidences[lost]
    which = new_arange(lost, len(lost)) * count + confidences.argmax(axis=1)
    boxes, searched = copy(state.boxes), copy(status.windows_searched)
    boxes[lost[is_found]] = found.boxes[which][is_found]
    searched[lost] += count
    return boxes, replace(status, windows_searched=searched)


def relocalize(
    last_boxes: AnyArray,
    targets: Localization,
    found: RescoredSearch,
    confidences: AnyArray,
    config: TrackerConfig,
) -> Localization:
    """Return where targets are, uncertain ones anywhere in their search crop if confident there.

    Usually a proposal far from the last box is ranked lower. For uncertain targets, this selects
    again without that penalty, and keeps the selection where its confidence is high.

    Args:
        last_boxes: (B, 4) xyxy in image pixels, in the frame before.
        targets: where they are in this frame, near these boxes.
        found: the search of this frame.
        confidences: (B,) of `targets`.
        config: `confidence` says who is uncertain, `redetection` what is found.
    """
    uncertain = confidences < config.confidence.lost_threshold
    if not uncertain.any():
        return targets
    anywhere = localize(last_boxes, found, _without_window(config.selection))
    confident = box_confidence(anywhere, found, config.confidence)
    moved = uncertain & (confident >= config.redetection.min_confidence)
    if not moved.any():
        return targets
    xp = array_namespace(moved)
    return Localization(
        boxes=xp.where(moved[:, None], anywhere.boxes, targets.boxes),
        scores=xp.where(moved, anywhere.scores, targets.scores),
        chosen=xp.where(moved, anywhere.chosen, targets.chosen),
    )


def _search_around(
    network: Network, state: TrackState, frame: AnyArray, config: TrackerConfig
) -> tuple[Localization, AnyArray]:
    """Search a frame around the boxes of a state; return where targets are, and confidences."""
    targets = TargetState(state.boxes, state.templates.current)
    found, crops = search_frame(network, targets, frame)
    rescored = rescore(network, found, crops, state.filters, state.colors)
    localized = localize(state.boxes, rescored, _without_window(config.selection))
    return localized, box_confidence(localized, rescored, config.confidence)


def _without_window(config: SelectionConfig) -> SelectionConfig:
    """Return a config by which proposals count alike wherever they are in the search crop."""
    return replace(config, window_influence=0.0)


def _next_windows(
    network: Network, box: AnyArray, size: tuple[int, int], first: int, count: int
) -> AnyArray:
    """Return (count, 4) xyxy boxes to search around, from the `first` nearest on.

    Args:
        network: says how large windows are.
        box: (4,) xyxy, the last confident box of a target.
        size: H, W of the frame.
        first: number of windows searched before.
        count: of windows.
    """
    xp, own = array_namespace(box), xyxy_to_cxcywh(box)
    height, width = size
    steps = WINDOW_STEP * search_windows(network, box[None])[0, 2:]
    numbers = [
        min(max(math.ceil(side / step), 1), MAX_WINDOWS)
        for side, step in zip((width, height), steps.tolist(), strict=True)
    ]
    x, y = (
        (np.arange(number) + 0.5) * side / number
        for number, side in zip(numbers, (width, height), strict=True)
    )
    grid = new_array(box, np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2))
    grid = xp.concat((own[None, :2], grid))
    order = ((grid - own[:2]) ** 2).sum(axis=1).argsort(stable=True)
    centers = grid[order[[(first + number) % len(grid) for number in range(count)]]]
    return cxcywh_to_xyxy(xp.concat((centers, xp.zeros_like(centers) + own[2:]), axis=1))
