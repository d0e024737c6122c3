"""Overlap and center error of boxes, and OTB's success and precision curves, as pysot has them.

T: frames. K: thresholds. Boxes are xyxy in continuous pixels, or xywh where the name says so:
benchmarks store those, and a strict threshold shows the last bit of a conversion.

A frame without ground truth (NaN, or no size) cannot be scored. As in pysot it has overlap -1, a
miss at every threshold, and center error -1, a hit at every threshold. It lowers success and raises
precision for every tracker alike, and published numbers contain it.

Source: Wu et al., "Object Tracking Benchmark", TPAMI 2015; STVIR/pysot `toolkit/utils/statistics`.
"""

import numpy as np

from cyclesiam.geometry.boxes import xyxy_to_xywh

SUCCESS_THRESHOLDS = np.arange(0, 1.05, 0.05)  # 21; the strict comparison needs these very floats
SUCCESS_THRESHOLDS.setflags(write=False)
PRECISION_THRESHOLDS = np.arange(51.0)  # pixels
PRECISION_THRESHOLDS.setflags(write=False)
NORM_PRECISION_THRESHOLDS = np.arange(51) / 100  # in sizes of the target
NORM_PRECISION_THRESHOLDS.setflags(write=False)
TINY = 1e-16  # added to a size that may be zero, as pysot does
NO_GROUND_TRUTH = -1.0  # overlap and error of a frame without ground truth


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union of xyxy boxes.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy; broadcast against `a`.

    Returns:
        (...) in 0..1; NaN where a box has a NaN or both are empty.
    """
    return iou_xywh(xyxy_to_xywh(a), xyxy_to_xywh(b))


def iou_xywh(a: np.ndarray, b: np.ndarray, *, epsilon: float = 0.0) -> np.ndarray:
    """Return intersection over union of xywh boxes.

    Args:
        a: (..., 4) xywh.
        b: (..., 4) xywh; broadcast against `a`.
        epsilon: added to the union; above 0, two empty boxes have overlap 0.

    Returns:
        (...) in 0..1; NaN where a box has a NaN or, without epsilon, both are empty.
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - intersection
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(intersection / (union + epsilon), 0, 1)


def frame_ious(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each frame's overlap with the ground truth, of xyxy boxes.

    Args:
        boxes: (T, 4) xyxy results; NaN is a miss.
        truth: (T, 4) xyxy; NaN or without size where unknown.

    Returns:
        (T,) in 0..1, -1 in frames without ground truth, NaN where the result is NaN.
    """
    return frame_ious_xywh(xyxy_to_xywh(boxes), xyxy_to_xywh(truth))


def frame_ious_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each frame's overlap with the ground truth, of xywh boxes.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss.
        truth: (T, 4) xywh; NaN or without size where unknown.

    Returns:
        (T,) in 0..1, -1 in frames without ground truth, NaN where the result is NaN.
    """
    known = (truth[:, 2:] > 0).all(axis=1)
    return np.where(known, iou_xywh(boxes, truth), NO_GROUND_TRUTH)


def success_curve(ious: np.ndarray, thresholds: np.ndarray = SUCCESS_THRESHOLDS) -> np.ndarray:
    """Return the ratio of frames whose overlap is above each threshold.

    Args:
        ious: (T,) overlaps; NaN and -1 are never above.
        thresholds: (K,).

    Returns:
        (K,) in 0..1. At threshold 1 it is always 0.
    """
    return (ious[None, :] > thresholds[:, None]).mean(axis=1)


def center_errors_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each frame's distance between the centers of result and ground truth.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss.
        truth: (T, 4) xywh; NaN where unknown.

    Returns:
        (T,) pixels; NaN where the result is NaN. -1 where the ground truth is NaN or, as in pysot,
        its center, x + (w - 1) / 2, is not above 0.
    """
    return _known_distances(pixel_centers(boxes), pixel_centers(truth))


def norm_center_errors_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each frame's center error, each axis divided by the size of the ground truth.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss.
        truth: (T, 4) xywh; NaN where unknown.

    Returns:
        (T,) in sizes of the target; NaN where the result is NaN. -1 where the ground truth is NaN
        or its center is not above 0.

    Source: TrackingNet (Müller et al., ECCV 2018); STVIR/pysot.
    """
    size = truth[:, 2:] + TINY
    return _known_distances(pixel_centers(boxes) / size, pixel_centers(truth) / size)


def pixel_centers(boxes: np.ndarray) -> np.ndarray:
    """Return the centers (..., 2) of xywh boxes on OTB's grid, where a pixel lies at its index."""
    return boxes[..., :2] + (boxes[..., 2:] - 1) / 2


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the distances (...) between points (..., 2)."""
    return np.sqrt(np.square(a - b).sum(axis=-1))


def _known_distances(centers: np.ndarray, true_centers: np.ndarray) -> np.ndarray:
    known = (true_centers > 0).all(axis=1)
    return np.where(known, distances(centers, true_centers), NO_GROUND_TRUTH)


def precision_curve(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return the ratio of frames with an error of at most each threshold.

    Args:
        errors: (T,); NaN is never precise, -1 always.
        thresholds: (K,) in the unit of the errors.

    Returns:
        (K,) in 0..1, rising.
    """
    return (errors[None, :] <= thresholds[:, None]).mean(axis=1)
