"""How well boxes follow the truth: OTB's success and precision, as pysot computes them.

T: frames. Boxes are xyxy in continuous pixels. All frames count, the first too; curves and means
over a benchmark weigh every sequence the same.

A frame without truth (NaN, or no size) cannot be judged. As in pysot it has overlap -1, a miss at
every threshold, and centre error -1, a hit at every threshold: it lowers success and raises
precision for every tracker alike, and published numbers contain it.

Source: Wu et al., "Object Tracking Benchmark", TPAMI 2015; STVIR/pysot `toolkit/utils/statistics`.
"""

import numpy as np

SUCCESS_THRESHOLDS = np.arange(0, 1.05, 0.05)  # 21; the strict comparison needs these very floats
SUCCESS_THRESHOLDS.setflags(write=False)
PRECISION_THRESHOLD = 20.0  # pixels
UNJUDGED = -1.0  # overlap and error of a frame without truth


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give intersection over union of boxes.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy; broadcast against `a`.

    Returns:
        (...) in 0..1; NaN where a box has a NaN or both are empty.
    """
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(shared / (union - shared), 0, 1)


def frame_overlaps(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give each frame's overlap with the truth, ready for `success_curve`.

    Args:
        boxes: (T, 4) xyxy results; NaN is a miss.
        truth: (T, 4) xyxy; NaN or without size where unknown.

    Returns:
        (T,) in 0..1, -1 in frames without truth, NaN where the result is NaN.
    """
    known = (truth[:, 2:] > truth[:, :2]).all(axis=1)
    return np.where(known, overlap(boxes, truth), UNJUDGED)


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


def centre_errors(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give each frame's distance between the centres of result and truth.

    Args:
        boxes: (T, 4) xyxy results; NaN is a miss.
        truth: (T, 4) xyxy; NaN where unknown.

    Returns:
        (T,) pixels; NaN where the result is NaN; -1 where the truth is NaN or, as in pysot, the
        centre of its pixels, x + (w - 1) / 2, is not above 0.
    """
    centre, true_centre = (boxes[:, :2] + boxes[:, 2:]) / 2, (truth[:, :2] + truth[:, 2:]) / 2
    known = (true_centre - 0.5 > 0).all(axis=1)
    return np.where(known, np.linalg.norm(centre - true_centre, axis=1), UNJUDGED)


def precision_at(errors: np.ndarray, threshold: float = PRECISION_THRESHOLD) -> float:
    """Give the share of frames with a centre error of at most `threshold` pixels.

    Args:
        errors: (T,) pixels; NaN is never precise, -1 always.
        threshold: pixels.
    """
    return float((errors <= threshold).mean())
