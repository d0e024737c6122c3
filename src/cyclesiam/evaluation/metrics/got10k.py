"""GOT-10k's average overlap (AO) and success rates (SR), as its toolkit computes them.

T: frames. N: frames that count. Boxes are xywh in pixels.

Frames of all sequences are pooled, so a long sequence weighs more than a short one.

Source: Huang et al., "GOT-10k", TPAMI 2019; got-10k/toolkit 0.1.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.boxes import iou_xywh, success_curve

THRESHOLDS = np.linspace(0, 1, 101)
THRESHOLDS.setflags(write=False)
UNION_EPSILON = float(np.finfo(float).eps)  # of the union; two empty boxes have overlap 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OverlapScores:
    """Average overlap and success rates over frames.

    Args:
        ao: mean overlap, 0..1; NaN if an overlap is NaN or there is no frame.
        curve: (101,) ratio of frames with an overlap above 0, 0.01 ... 1; NaN is never above.
    """

    ao: float
    curve: np.ndarray

    @property
    def sr_50(self) -> float:
        """Ratio of frames with an overlap above 0.5."""
        return float(self.curve[50])

    @property
    def sr_75(self) -> float:
        """Ratio of frames with an overlap above 0.75."""
        return float(self.curve[75])


def scored_ious(
    runs: Sequence[np.ndarray],
    truth: np.ndarray,
    *,
    cover: np.ndarray,
    resolution: tuple[float, float],
) -> np.ndarray:
    """Return the overlaps of the frames of a sequence that count, one run after another.

    Args:
        runs: repetitions, each (T, 4) xywh.
        truth: (T, 4) xywh.
        cover: (T,) visible part of the target; a frame with 0 does not count, nor does the first.
        resolution: width and height of the image, to which all boxes are clipped.

    Returns:
        (N,) in 0..1; NaN where a box has a NaN.

    Raises:
        ValueError: there is no run, or boxes or covers differ in number from the frames.
    """
    shapes = {np.shape(run) for run in runs}
    if shapes != {truth.shape} or len(cover) != len(truth):
        raise ValueError(
            f"each run needs boxes {truth.shape} and the cover ({len(truth)},), "
            f"got {sorted(shapes)} and ({len(cover)},)"
        )
    counted = np.flatnonzero(cover[1:] > 0) + 1
    true_boxes = clip_to_image(truth[counted], resolution)
    return np.concatenate(
        [
            iou_xywh(clip_to_image(run[counted], resolution), true_boxes, epsilon=UNION_EPSILON)
            for run in runs
        ]
    )


def clip_to_image(boxes: np.ndarray, resolution: tuple[float, float]) -> np.ndarray:
    """Clip xywh boxes (..., 4) to the image, first the corner, then the size.

    A box that begins left of the image moves and keeps its width, as in the toolkit.

    >>> clip_to_image(np.array([-5.0, 2.0, 10.0, 10.0]), (20, 8))
    array([ 0.,  2., 10.,  6.])
    """
    corner = np.clip(boxes[..., :2], 0, resolution)
    size = np.clip(boxes[..., 2:], 0, resolution - corner)
    return np.concatenate((corner, size), axis=-1)


def average_overlap_scores(overlaps: np.ndarray) -> OverlapScores:
    """Return the scores of overlaps (N,), of one sequence or pooled over sequences."""
    if not len(overlaps):
        return OverlapScores(ao=float("nan"), curve=np.full(len(THRESHOLDS), np.nan))
    return OverlapScores(ao=float(overlaps.mean()), curve=success_curve(overlaps, THRESHOLDS))
