"""OTB's one-pass evaluation by the rules of two programs: curves of each sequence, and their mean.

T: frames. Boxes are xywh in pixels.

`pysot_curves` has the numbers of papers that use pysot; `got10k_curves` those of the GOT-10k
toolkit and the OTB toolbox. They agree where every frame has a ground truth and the first result
equals it.

Source: Wu et al., "Object Tracking Benchmark", TPAMI 2015; STVIR/pysot; got-10k/toolkit 0.1.3.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.boxes import (
    NORM_PRECISION_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    center_errors_xywh,
    distances,
    frame_ious_xywh,
    iou_xywh,
    norm_center_errors_xywh,
    pixel_centers,
    precision_curve,
    success_curve,
)
from cyclesiam.evaluation.metrics.got10k import UNION_EPSILON

GOT10K_SUCCESS_THRESHOLDS = np.linspace(0, 1, 21)  # last bits differ from numpy's arange
GOT10K_SUCCESS_THRESHOLDS.setflags(write=False)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OPECurves:
    """Success and precision of a tracker on a sequence, or the mean over sequences.

    Args:
        success: (21,) ratio of frames with an overlap above 0, 0.05 ... 1.
        precision: (51,) ratio of frames with a center error of at most 0 ... 50 pixels.
        norm_precision: (51,) ratio of frames with a center error of at most 0, 0.01 ... 0.5 target
            sizes; None where the program has no such curve.
    """

    success: np.ndarray
    precision: np.ndarray
    norm_precision: np.ndarray | None = None

    @property
    def success_auc(self) -> float:
        """Area under the success curve, 0..1."""
        return float(self.success.mean())

    @property
    def success_50(self) -> float:
        """Ratio of frames with an overlap above 0.5."""
        return float(self.success[10])

    @property
    def precision_20(self) -> float:
        """Ratio of frames with a center error of at most 20 pixels."""
        return float(self.precision[20])

    @property
    def norm_precision_20(self) -> float | None:
        """Ratio of frames with a center error of at most 0.2 target sizes."""
        return None if self.norm_precision is None else float(self.norm_precision[20])


def pysot_curves(boxes: np.ndarray, truth: np.ndarray) -> OPECurves:
    """Score one sequence as pysot does.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss.
        truth: (T, 4) xywh; NaN or without size where unknown. As in pysot, such a frame is a miss
            of success and a hit of precision.

    Raises:
        ValueError: the number of boxes differs from the number of frames.
    """
    _check(boxes, truth)
    return OPECurves(
        success=success_curve(frame_ious_xywh(boxes, truth), SUCCESS_THRESHOLDS),
        precision=precision_curve(center_errors_xywh(boxes, truth), PRECISION_THRESHOLDS),
        norm_precision=precision_curve(
            norm_center_errors_xywh(boxes, truth), NORM_PRECISION_THRESHOLDS
        ),
    )


def got10k_curves(boxes: np.ndarray, truth: np.ndarray) -> OPECurves:
    """Score one sequence as the GOT-10k toolkit does.

    Args:
        boxes: (T, 4) xywh results; NaN is a miss. The ground truth replaces the first.
        truth: (T, 4) xywh, used without corrections; NaN is a miss.

    Raises:
        ValueError: the number of boxes differs from the number of frames.
    """
    _check(boxes, truth)
    boxes = np.concatenate((truth[:1], boxes[1:]))
    errors = distances(pixel_centers(boxes), pixel_centers(truth))
    return OPECurves(
        success=success_curve(
            iou_xywh(boxes, truth, epsilon=UNION_EPSILON), GOT10K_SUCCESS_THRESHOLDS
        ),
        precision=precision_curve(errors, PRECISION_THRESHOLDS),
    )


def mean_curves(curves: Collection[OPECurves]) -> OPECurves:
    """Return the mean over sequences, all with the same weight.

    Raises:
        ValueError: there are no sequences.
    """
    if not curves:
        raise ValueError("there is no sequence to average over")
    norm = [curve.norm_precision for curve in curves if curve.norm_precision is not None]
    return OPECurves(
        success=np.mean([curve.success for curve in curves], axis=0),
        precision=np.mean([curve.precision for curve in curves], axis=0),
        norm_precision=np.mean(norm, axis=0) if len(norm) == len(curves) else None,
    )


def _check(boxes: np.ndarray, truth: np.ndarray) -> None:
    if boxes.shape != truth.shape or boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise ValueError(
            f"results and ground truth must be (T, 4) boxes each, got {boxes.shape} and "
            f"{truth.shape}"
        )
