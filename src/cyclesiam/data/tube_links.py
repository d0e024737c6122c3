"""Linking of moving regions from frame to frame, by overlap along the flow in both directions.

Shapes: maps are (h, w); A and B are the regions of two neighboring frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from cyclesiam.data.tube_motion import Motion, warp

SHORT = 0.7  # side of a region over the smallest side of a target: flow is coarse
CUT = 0.3  # ratio of points that the camera explains, below which the picture changed


@dataclass(slots=True)
class Track:
    """A region in consecutive frames.

    Args:
        first: number of its first frame.
        masks: (h, w) bool for each frame.
        free: (h, w) bool for each frame, where no other region is.
    """

    first: int
    masks: list[np.ndarray] = field(default_factory=list)
    free: list[np.ndarray] = field(default_factory=list)


def label_regions(moving: np.ndarray, smallest: np.ndarray, max_area: float) -> np.ndarray:
    """Number the regions of a map from 1 on; 0 is no region.

    Regions that touch the border, are too small or too large are left out.

    Args:
        moving: (h, w) bool.
        smallest: (x, y) shortest sides in cells.
        max_area: largest ratio of the map.
    """
    h, w = moving.shape
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8))
    kept = np.zeros(len(statistics), np.int32)
    for label, (x, y, width, height, area) in enumerate(statistics.tolist()):
        if (
            label
            and x > 1
            and y > 1
            and x + width < w - 1
            and y + height < h - 1
            and width >= SHORT * smallest[0]
            and height >= SHORT * smallest[1]
            and smallest.prod() / 2 <= area <= max_area * h * w
        ):
            kept[label] = kept.max() + 1
    return kept[np.asarray(labels, np.int32)]


def link_regions(
    labels: Sequence[np.ndarray], motion: Motion, min_overlap: float, max_growth: float
) -> list[Track]:
    """Link regions that agree in both directions of time, each with one other at most.

    Args:
        labels: n maps of numbered regions.
        motion: that carries regions from frame to frame.
        min_overlap: least IoU.
        max_growth: largest ratio of areas.
    """
    tracks: list[Track] = []
    going: dict[int, Track] = {}  # by the region's number in the frame before
    for number, here in enumerate(labels):
        links = {}
        if number and motion.inliers[number - 1] >= CUT:
            links = _links(labels[number - 1], here, number - 1, motion, min_overlap, max_growth)
        now = {}
        for label in range(1, int(here.max()) + 1):
            track = going[links[label]] if label in links else Track(number)
            if label not in links:
                tracks.append(track)
            mask = here == label
            track.masks.append(mask)
            track.free.append(mask | (here == 0))
            now[label] = track
        going = now
    return tracks


def _links(
    before: np.ndarray,
    here: np.ndarray,
    number: int,
    motion: Motion,
    min_overlap: float,
    max_growth: float,
) -> dict[int, int]:
    """Return the region before of each region here that has one."""
    ahead = overlaps(before, _carry(here, motion.forward[number]), before.max(), here.max())
    behind = overlaps(_carry(before, motion.backward[number]), here, before.max(), here.max())
    agreed = np.minimum(ahead, behind)
    links = {}
    for row, column in np.argwhere(agreed >= max(min_overlap, 1e-6)).tolist():
        mutual = agreed[row].argmax() == column and agreed[:, column].argmax() == row
        areas = sorted(((before == row + 1).sum(), (here == column + 1).sum()))
        if mutual and areas[1] <= max_growth * areas[0]:
            links[column + 1] = row + 1
    return links


def _carry(labels: np.ndarray, flow: np.ndarray) -> np.ndarray:
    return warp(labels.astype(np.float32), flow, nearest=True).astype(np.int64)


def overlaps(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return the (rows, columns) IoU of the numbered regions of two maps."""
    size = (int(rows) + 1, int(columns) + 1)
    pairs = first.astype(np.int64).ravel() * size[1] + second.ravel()
    joint = np.bincount(pairs, minlength=size[0] * size[1]).reshape(size)
    union = joint.sum(axis=1)[:, None] + joint.sum(axis=0) - joint
    return (joint / np.maximum(union, 1))[1:, 1:]
