import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.datasets.sequences import boxes_from_xywh
from cyclesiam.evaluation.metrics.boxes import (
    SUCCESS_THRESHOLDS,
    center_errors_xywh,
    frame_ious,
    iou,
    precision_curve,
    success_curve,
)
from cyclesiam.geometry.boxes import xywh_to_xyxy

NAN = float("nan")
BOX = np.array([10.0, 20.0, 30.0, 40.0])
corner = st.floats(-50, 50)
side = st.floats(0.01, 100)
xyxy = st.tuples(corner, corner, side, side).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]])
)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 20, 30, 40], 1.0),
        ([20, 20, 40, 40], 1 / 3),  # half of each is shared
        ([10, 20, 20, 30], 0.25),  # a quarter inside
        ([30, 20, 50, 40], 0.0),  # touches
        ([50, 60, 70, 80], 0.0),  # apart on both axes: two negative sides are no area
        ([10, 20, 10, 40], 0.0),  # empty
        ([NAN] * 4, NAN),
    ],
)
def test_overlap_known(box, expected):
    np.testing.assert_allclose(iou(np.array(box, dtype=float), BOX), expected)


def test_overlap_of_two_empty_boxes_is_undefined():
    assert np.isnan(iou(np.zeros(4), np.zeros(4)))


@given(xyxy, xyxy, st.floats(0.1, 10), st.floats(-100, 100))
def test_overlap_is_symmetric_and_ignores_scale_and_place(a, b, scale, shift):
    overlap = iou(a, b)
    assert 0 <= overlap <= 1
    assert iou(b, a) == pytest.approx(overlap, abs=1e-9)
    assert iou(a * scale + shift, b * scale + shift) == pytest.approx(overlap, abs=1e-6)


def test_overlap_broadcasts():
    boxes = np.stack([BOX, BOX + 10, BOX + 100])
    table = iou(boxes[:, None], boxes[None])
    assert table.shape == (3, 3)
    np.testing.assert_allclose(table, table.T)
    np.testing.assert_allclose(np.diag(table), 1)


def test_success_counts_strictly_above():
    ious = np.array([1.0, 0.5, 0.0, NAN, -1.0])
    np.testing.assert_allclose(success_curve(ious, np.array([0.0, 0.5, 1.0])), [0.4, 0.2, 0])


def test_precision_counts_exactly_twenty_pixels():
    truth = np.tile(BOX, (3, 1))
    moves = np.array([[0, 0, 0, 0], [12, 16, 0, 0], [12, 16.1, 0, 0]])
    errors = center_errors_xywh(truth + moves, truth)
    np.testing.assert_allclose(errors[:2], [0, 20])
    assert precision_curve(errors, np.array([20.0])) == pytest.approx(2 / 3)


def test_frames_without_truth_miss_success_and_pass_precision():
    truth = np.array([BOX, [NAN] * 4])
    boxes = np.array([BOX, BOX])
    np.testing.assert_array_equal(frame_ious(boxes, truth), [1, -1])
    np.testing.assert_array_equal(center_errors_xywh(boxes, truth), [0, -1])


def test_nan_results_miss_both():
    truth, boxes = np.array([BOX, BOX]), np.array([BOX, [NAN] * 4])
    assert len(SUCCESS_THRESHOLDS) == 21  # a perfect tracker misses one of them
    assert success_curve(frame_ious(boxes, truth)).mean() == pytest.approx(10 / 21)
    assert precision_curve(center_errors_xywh(boxes, truth), np.array([20.0])) == 0.5


def test_zero_sized_truth_is_unknown_to_readers_and_metrics_alike():
    truth = np.array([[5.0, 5, 0, 0]])
    boxes = np.array([BOX])
    assert frame_ious(boxes, xywh_to_xyxy(truth)) == frame_ious(boxes, boxes_from_xywh(truth))
