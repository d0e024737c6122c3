"""DAVIS: region similarity J and contour accuracy F of masks, with their recall and decay.

T: frames. H, W: rows and columns. The first and the last frame never count.

`score_objects` judges every object by itself, as DAVIS 2017 does (semi-supervised); `score_mask`
everything that is not background as one, as DAVIS 2016 does.

Source: Perazzi et al., CVPR 2016; Pont-Tuset et al., "The 2017 DAVIS Challenge"; the programs
davis2017-evaluation and fperazzi/davis.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from cyclesiam.errors import DatasetError

BOUNDARY_TOLERANCE = 0.008  # share of the image's diagonal
RECALL_THRESHOLD = 0.5
DECAY_BINS = 4
VOID = 255  # in an annotation: background for the semi-supervised task


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MeanRecallDecay:
    """One measure, J or F, of one object, or averaged over objects.

    Args:
        mean: over frames, 0..1.
        recall: share of frames above 0.5.
        decay: mean of the first quarter less mean of the last.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ObjectScores:
    """J and F of an object in every frame that counts, (T - 2,) each."""

    j: np.ndarray
    f: np.ndarray


def region_similarity(segmentation: np.ndarray, annotation: np.ndarray) -> np.ndarray:
    """Give J, the overlap of masks.

    Args:
        segmentation: (..., H, W) bool, the answer.
        annotation: (..., H, W) bool, the truth.

    Returns:
        (...) in 0..1; 1 where both are empty.
    """
    shared = (segmentation & annotation).sum(axis=(-2, -1))
    either = (segmentation | annotation).sum(axis=(-2, -1))
    return np.where(either == 0, 1.0, shared / np.maximum(either, 1))


def contour_accuracy(segmentation: np.ndarray, annotation: np.ndarray) -> float:
    """Give F, how well the contours of two masks meet within a small tolerance.

    Args:
        segmentation: (H, W) bool, the answer.
        annotation: (H, W) bool, the truth.

    Returns:
        0..1, the harmonic mean of precision and recall of contour pixels; 1 where neither mask has
        a contour, 0 where only one has.
    """
    drawn, true = boundary(segmentation), boundary(annotation)
    if not (drawn.any() and true.any()):
        return float(not drawn.any() and not true.any())
    disk = _disk(math.ceil(BOUNDARY_TOLERANCE * math.hypot(*drawn.shape)))
    precision = _near(drawn, true, disk).sum() / drawn.sum()
    recall = _near(true, drawn, disk).sum() / true.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """Give the contour of a mask, one pixel wide.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool: pixels that differ from their right, lower or lower right neighbour. A mask
        that fills the image has none.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")  # beyond the border nothing differs
    right, lower, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != lower) | (mask != diagonal)


def _disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x**2 + y**2 <= radius**2).astype(np.uint8)


def _near(contour: np.ndarray, other: np.ndarray, disk: np.ndarray) -> np.ndarray:
    """Give the pixels (H, W) of a contour that lie within a disk around some pixel of another."""
    return contour & (cv2.dilate(other.astype(np.uint8), disk) > 0)


def mean_recall_decay(frames: np.ndarray) -> MeanRecallDecay:
    """Give mean, recall and decay of a measure.

    Args:
        frames: (N,) of the frames that count, at least one.
    """
    limits = np.round(np.linspace(1, len(frames), DECAY_BINS + 1) + 1e-10).astype(int) - 1
    first = frames[limits[0] : limits[1] + 1]  # neighbouring bins share a frame
    last = frames[limits[-2] : limits[-1] + 1]
    return MeanRecallDecay(
        mean=float(frames.mean()),
        recall=float((frames > RECALL_THRESHOLD).mean()),
        decay=float(first.mean() - last.mean()),
    )


def mean_scores(scores: Collection[MeanRecallDecay]) -> MeanRecallDecay:
    """Give the mean over objects (or sequences), each with the same weight; there must be one."""
    return MeanRecallDecay(
        mean=float(np.mean([score.mean for score in scores])),
        recall=float(np.mean([score.recall for score in scores])),
        decay=float(np.mean([score.decay for score in scores])),
    )


def score_mask(segmentation: np.ndarray, annotation: np.ndarray) -> ObjectScores:
    """Score everything that is not 0 as one object, as DAVIS 2016 does.

    Args:
        segmentation: (T, H, W) labels of the answer.
        annotation: (T, H, W) labels of the truth.

    Raises:
        DatasetError: shapes differ, or no frame counts.
    """
    _check(segmentation, annotation)
    return _score(segmentation[1:-1] != 0, annotation[1:-1] != 0)


def score_objects(segmentation: np.ndarray, annotation: np.ndarray) -> list[ObjectScores]:
    """Score each object of a sequence, as DAVIS 2017 does in its semi-supervised task.

    Args:
        segmentation: (T, H, W) labels of the answer, 0 background.
        annotation: (T, H, W) labels of the truth, 0 background, 255 void (background too).

    Returns:
        Of the objects 1, 2 ... up to the largest label of the first annotation. Labels that appear
        later are ignored; one that is skipped is an object that is nowhere to be seen.

    Raises:
        DatasetError: shapes differ, no frame counts, or the answer has a label that the first
            annotation has not.
    """
    _check(segmentation, annotation)
    annotation = np.where(annotation == VOID, 0, annotation)
    objects, largest = int(annotation[0].max()), int(segmentation[1:-1].max())
    if largest > objects:
        raise DatasetError(
            f"the segmentation has the label {largest}, but the first annotation has {objects} "
            "objects. Write the labels of the first annotation only."
        )
    return [
        _score(segmentation[1:-1] == label, annotation[1:-1] == label)
        for label in range(1, objects + 1)
    ]


def _score(segmentation: np.ndarray, annotation: np.ndarray) -> ObjectScores:
    pairs = zip(segmentation, annotation, strict=True)
    return ObjectScores(
        j=region_similarity(segmentation, annotation),
        f=np.array([contour_accuracy(drawn, true) for drawn, true in pairs]),
    )


def _check(segmentation: np.ndarray, annotation: np.ndarray) -> None:
    if segmentation.shape != annotation.shape or annotation.ndim != 3 or len(annotation) < 3:
        raise DatasetError(
            f"masks must be (T, H, W) with T of 3 or more, got {segmentation.shape} to judge by "
            f"{annotation.shape}. Write one mask for each annotated frame."
        )
