import numpy as np
import pytest

from cyclesiam.evaluation.metrics.boxes import (
    iou_xywh,
    norm_center_errors_xywh,
    precision_curve,
)
from cyclesiam.evaluation.metrics.otb import got10k_curves, mean_curves, pysot_curves

TRUTH = np.tile([100.0, 100.0, 40.0, 20.0], (4, 1))
NAN = np.nan


def moved(*shifts):
    return TRUTH[: len(shifts)] + [[dx, dy, 0, 0] for dx, dy in shifts]


def test_epsilon_makes_the_overlap_of_two_empty_boxes_zero():
    empty = np.zeros((1, 4))
    assert np.isnan(iou_xywh(empty, empty))
    assert iou_xywh(empty, empty, epsilon=1e-16) == 0


def test_normalized_errors_count_in_target_sizes():
    boxes = moved((4, 0), (0, 4), (8, 4))
    errors = norm_center_errors_xywh(boxes, TRUTH[:3])
    np.testing.assert_allclose(errors, [0.1, 0.2, np.hypot(0.2, 0.2)])


def test_precision_curve_counts_up_to_the_threshold():
    errors = np.array([0.0, 1.0, 2.5, NAN, -1.0])
    np.testing.assert_allclose(precision_curve(errors, np.arange(4.0)), [0.4, 0.6, 0.6, 0.8])


def test_curves_by_hand():
    boxes = moved((0, 0), (10, 0), (12, 16), (100, 0))  # overlaps 1, 0.6, 28*4/1488, 0
    for score in (pysot_curves, got10k_curves):
        curves = score(boxes, TRUTH)
        assert curves.precision_20 == 0.75  # exactly 20 pixels count
        assert curves.success_50 == 0.5
        assert curves.success[0] == 0.75
        assert curves.success[-1] == 0
    assert pysot_curves(boxes, TRUTH).norm_precision_20 == 0.25
    assert got10k_curves(boxes, TRUTH).norm_precision_20 is None


def test_only_the_got10k_toolkit_corrects_the_first_box():
    boxes = moved((100, 0), (0, 0))
    assert pysot_curves(boxes, TRUTH[:2]).precision_20 == 0.5
    assert got10k_curves(boxes, TRUTH[:2]).precision_20 == 1


def test_frames_without_truth():
    truth = np.concatenate((TRUTH[:2], np.zeros((2, 4)), np.full((1, 4), NAN)))
    boxes = np.concatenate((TRUTH, TRUTH[:1]))
    pysot, got10k = pysot_curves(boxes, truth), got10k_curves(boxes, truth)
    assert pysot.precision_20 == 1  # an unknown place counts as found
    assert pysot.norm_precision_20 == 1
    assert got10k.precision_20 == 0.4
    assert pysot.success_50 == got10k.success_50 == 0.4


def test_sequences_weigh_the_same():
    short, long = pysot_curves(TRUTH[:1], TRUTH[:1]), pysot_curves(TRUTH + 90, TRUTH)
    mean = mean_curves([short, long])
    assert mean.precision_20 == mean.success_50 == mean.norm_precision_20 == 0.5
    assert mean.success_auc == pytest.approx(10 / 21)
    assert mean_curves([short, got10k_curves(TRUTH, TRUTH)]).norm_precision is None


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="boxes each"):
        pysot_curves(TRUTH[:2], TRUTH)
    with pytest.raises(ValueError, match="boxes each"):
        got10k_curves(TRUTH[:0], TRUTH[:0])
    with pytest.raises(ValueError, match="no sequence"):
        mean_curves([])
