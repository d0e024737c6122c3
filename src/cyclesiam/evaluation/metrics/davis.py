"""DAVIS: region similarity J and contour accuracy F of masks, with their recall and decay.

H, W: rows and columns. N: frames in which an object counts.

Source: Perazzi et al., CVPR 2016; Pont-Tuset et al., "The 2017 DAVIS Challenge"; the programs
davis2017-evaluation and fperazzi/davis.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

BOUNDARY_TOLERANCE = 0.008  # ratio to the image's diagonal
RECALL_THRESHOLD = 0.5
DECAY_BINS = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeanRecallDecay:
    """A measure, J or F, of one object over its frames.

    Args:
        mean: over frames, 0..1.
        recall: ratio of frames above 0.5.
        decay: mean of the first quarter minus mean of the last quarter, -1..1.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ObjectScores:
    """J and F of an object in every frame that counts.

    Args:
        j: (N,) region similarity, 0..1.
        f: (N,) contour accuracy, 0..1.
    """

    j: np.ndarray
    f: np.ndarray

    def numbers(self) -> dict[str, float]:
        """Return mean, recall and decay of both measures, and the mean of the two means."""
        j, f = mean_recall_decay(self.j), mean_recall_decay(self.f)
        return {
            "j_and_f": (j.mean + f.mean) / 2,
            "j_mean": j.mean,
            "j_recall": j.recall,
            "j_decay": j.decay,
            "f_mean": f.mean,
            "f_recall": f.recall,
            "f_decay": f.decay,
        }


def score_objects(
    label_maps: Iterable[tuple[int, np.ndarray, np.ndarray]],
    counted: Mapping[int, Collection[int]],
) -> dict[int, ObjectScores]:
    """Score the objects of one sequence, frame by frame.

    Args:
        label_maps: frame number, result and ground truth; each map is (H, W), 0 background.
        counted: label of each object to the frames in which it counts.

    Returns:
        Label to scores, the frames in the order of `label_maps`.
    """
    j: dict[int, list[float]] = {label: [] for label in counted}
    f: dict[int, list[float]] = {label: [] for label in counted}
    for frame, result, truth in label_maps:
        for label in (label for label, frames in counted.items() if frame in frames):
            mask, true_mask = result == label, truth == label
            j[label].append(float(region_similarity(mask, true_mask)))
            f[label].append(contour_accuracy(mask, true_mask))
    return {label: ObjectScores(j=np.array(j[label]), f=np.array(f[label])) for label in counted}


def mean_numbers(objects: Collection[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each number over objects, at least one, with equal weights."""
    return {key: float(np.mean([each[key] for each in objects])) for key in next(iter(objects))}


def region_similarity(mask: np.ndarray, true_mask: np.ndarray) -> np.ndarray:
    """Return J, the intersection over union of masks.

    Args:
        mask: (..., H, W) bool, the result.
        true_mask: (..., H, W) bool, the ground truth.

    Returns:
        (...) in 0..1; 1 where both are empty.
    """
    intersection = (mask & true_mask).sum(axis=(-2, -1))
    union = (mask | true_mask).sum(axis=(-2, -1))
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def contour_accuracy(mask: np.ndarray, true_mask: np.ndarray) -> float:
    """Return F, how well the contours of two masks match within a small tolerance.

    Args:
        mask: (H, W) bool, the result.
        true_mask: (H, W) bool, the ground truth.

    Returns:
        0..1, the harmonic mean of precision and recall of contour pixels; 1 where neither mask has
        a contour, 0 where only one has.
    """
    contour, true_contour = boundary(mask), boundary(true_mask)
    if not (contour.any() and true_contour.any()):
        return float(not contour.any() and not true_contour.any())
    disk = _disk(math.ceil(BOUNDARY_TOLERANCE * math.hypot(*contour.shape)))
    precision = _near(contour, true_contour, disk).sum() / contour.sum()
    recall = _near(true_contour, contour, disk).sum() / true_contour.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """Return the contour of a mask, one pixel wide.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool: pixels that differ from their right, lower or lower right neighbor. A mask
        that fills the image has none.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")  # no pixel differs from the padding
    right, lower, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != lower) | (mask != diagonal)


def _disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x**2 + y**2 <= radius**2).astype(np.uint8)


def _near(contour: np.ndarray, other: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """Return the pixels (H, W) of a contour that lie within a disk around a pixel of another."""
    return contour & (cv2.dilate(other.astype(np.uint8), disk) > 0)


def mean_recall_decay(frames: np.ndarray) -> MeanRecallDecay:
    """Return mean, recall and decay of a measure.

    Args:
        frames: (N,) the measure in each frame that counts, at least one.
    """
    limits = np.round(np.linspace(1, len(frames), DECAY_BINS + 1) + 1e-10).astype(int) - 1
    first = frames[limits[0] : limits[1] + 1]  # neighboring bins share a frame
    last = frames[limits[-2] : limits[-1] + 1]
    return MeanRecallDecay(
        mean=float(frames.mean()),
        recall=float((frames > RECALL_THRESHOLD).mean()),
        decay=float(first.mean() - last.mean()),
    )
