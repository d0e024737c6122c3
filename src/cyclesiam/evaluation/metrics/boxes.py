"""How well boxes follow the truth: OTB's success and precision, as pysot computes them.

T: frames. Boxes are xyxy in continuous pixels, or xywh where the name says so: benchmarks store
those, and their thresholds are so strict that the last bit of a conversion shows. All frames
count, the first too; curves and means over a benchmark weigh every sequence the same.

A frame without truth (NaN, or no size) cannot be judged. As in pysot it has overlap -1, a miss at
every threshold, and centre error -1, a hit at every threshold: it lowers success and raises
precision for every tracker alike, and published numbers contain it.

Source: Wu et al., "Object Tracking Benchmark", TPAMI 2015; STVIR/pysot `toolkit/utils/statistics`.
"""

import numpy as np

SUCCESS_THRESHOLDS = np.arange(0, 1.05, 0.05)  # 21; the strict comparison needs these very floats
SUCCESS_THRESHOLDS.setflags(write=False)
PRECISION_THRESHOLDS = np.arange(51.0)  # pixels
PRECISION_THRESHOLDS.setflags(write=False)
PRECISION_THRESHOLD = 20.0  # pixels
NORM_PRECISION_THRESHOLDS = np.arange(51) / 100  # in sizes of the target
NORM_PRECISION_THRESHOLDS.setflags(write=False)
TINY = 1e-16  # added to a size that may be zero, as pysot does
NO_GROUND_TRUTH = -1.0  # overlap and error of a frame without truth


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give intersection over union of boxes.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy; broadcast against `a`.

    Returns:
        (...) in 0..1; NaN where a box has a NaN or both are empty.
    """
    return iou_xywh(_to_xywh(a), _to_xywh(b))


def iou_xywh(a: np.ndarray, b: np.ndarray, *, guard: float = 0.0) -> np.ndarray:
    """Give intersection over union of boxes.

    Args:
        a: (..., 4) xywh.
        b: (..., 4) xywh; broadcast against `a`.
        guard: added to the union; two empty boxes then have overlap 0.

    Returns:
        (...) in 0..1; NaN where a box has a NaN or, without a guard, both are empty.
    """
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(shared / (union + guard), 0, 1)


def frame_ious(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give each frame's overlap with the truth, ready for `success_curve`.

    Args:
        boxes: (T, 4) xyxy results; NaN is a miss.
        truth: (T, 4) xyxy; NaN or without size where unknown.

    Returns:
        (T,) in 0..1, -1 in frames without truth, NaN where the result is NaN.
    """
    return frame_overlaps_xywh(_to_xywh(boxes), _to_xywh(truth))


def frame_overlaps_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give what `frame_overlaps` gives, of (T, 4) xywh boxes."""
    known = (truth[:, 2:] > 0).all(axis=1)
    return np.where(known, iou_xywh(boxes, truth), NO_GROUND_TRUTH)


def success_curve(ious: np.ndarray, thresholds: np.ndarray = SUCCESS_THRESHOLDS) -> np.ndarray:
    """Give the share of frames whose overlap is above each threshold.

    Args:
        ious: (T,) overlaps; NaN and -1 are never above.
        thresholds: (K,).

    Returns:
        (K,) in 0..1. At threshold 1 it is always 0.
    """
    return (ious[None, :] > thresholds[:, None]).mean(axis=1)


def success_auc(ious: np.ndarray) -> float:
    """Give the mean of the success curve over its 21 thresholds, OTB's main number (0..1)."""
    return float(success_curve(ious).mean())


def center_errors(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give each frame's distance between the centres of result and truth.

    Args:
        boxes: (T, 4) xyxy results; NaN is a miss.
        truth: (T, 4) xyxy; NaN where unknown.

    Returns:
        (T,) pixels; NaN where the result is NaN; -1 where the truth is NaN or, as in pysot, the
        centre of its pixels, x + (w - 1) / 2, is not above 0.
    """
    return centre_errors_xywh(_to_xywh(boxes), _to_xywh(truth))


def centre_errors_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give what `centre_errors` gives, of (T, 4) xywh boxes."""
    return _known_distances(centres_of_pixels(boxes), centres_of_pixels(truth))


def norm_centre_errors_xywh(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give each frame's centre error in sizes of the true box, along each axis its own.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss.
        truth: (T, 4) xywh; NaN where unknown.

    Returns:
        (T,); NaN where the result is NaN, -1 where the truth is unknown, as in `centre_errors`.

    Source: TrackingNet (Müller et al., ECCV 2018); STVIR/pysot.
    """
    size = truth[:, 2:] + TINY
    return _known_distances(centres_of_pixels(boxes) / size, centres_of_pixels(truth) / size)


def centres_of_pixels(boxes: np.ndarray) -> np.ndarray:
    """Give the centres (..., 2) of xywh boxes on OTB's grid, where a pixel lies at its index."""
    return boxes[..., :2] + (boxes[..., 2:] - 1) / 2


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give the distances (...) between points (..., 2)."""
    return np.sqrt(np.square(a - b).sum(axis=-1))


def _known_distances(centres: np.ndarray, true_centres: np.ndarray) -> np.ndarray:
    return np.where(
        (true_centres > 0).all(axis=1), distances(centres, true_centres), NO_GROUND_TRUTH
    )


def precision_at(errors: np.ndarray, threshold: float = PRECISION_THRESHOLD) -> float:
    """Give the share of frames with a centre error of at most `threshold` pixels.

    Args:
        errors: (T,) pixels; NaN is never precise, -1 always.
        threshold: pixels.
    """
    return float((errors <= threshold).mean())


def precision_curve(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Give the share of frames with an error of at most each threshold.

    Args:
        errors: (T,); NaN is never precise, -1 always.
        thresholds: (K,) in the unit of the errors.

    Returns:
        (K,) in 0..1, rising.
    """
    return (errors[None, :] <= thresholds[:, None]).mean(axis=1)


def _to_xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), axis=-1)
