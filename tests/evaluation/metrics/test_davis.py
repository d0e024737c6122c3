import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from cyclesiam.evaluation.metrics.davis import (
    boundary,
    contour_accuracy,
    mean_numbers,
    mean_recall_decay,
    region_similarity,
    score_objects,
)

masks = arrays(bool, (9, 13))


def blank(height=40, width=50):
    return np.zeros((height, width), bool)


def square(x, y, size=10):
    mask = blank()
    mask[y : y + size, x : x + size] = True
    return mask


def test_region_similarity_by_hand():
    segmentation = np.stack([square(5, 5), square(10, 5), blank(), blank()])
    annotation = np.stack([square(5, 5), square(5, 5), blank(), square(5, 5)])
    similarity = region_similarity(segmentation, annotation)
    np.testing.assert_allclose(similarity, [1, 50 / 150, 1, 0])


def test_boundary_by_hand():
    mask = np.zeros((5, 6), bool)
    mask[2:4, 2:4] = True
    lines = [".....", ".###..", ".#.#..", ".###..", "......"]
    expected = np.array([[c == "#" for c in line.ljust(6, ".")] for line in lines])
    np.testing.assert_array_equal(boundary(mask), expected)
    assert not boundary(np.ones((5, 6), bool)).any()


def test_last_row_and_column_look_along_the_border_only():
    corner = np.zeros((3, 3), bool)
    corner[2, 2] = True
    np.testing.assert_array_equal(boundary(corner), [[0, 0, 0], [0, 1, 1], [0, 1, 0]])


@given(masks, masks)
def test_contour_accuracy_counts_pixels_within_reach(a, b):
    score = contour_accuracy(a, b)
    assert score == contour_accuracy(b, a)
    reach = 1  # ceil(0.008 * sqrt(9^2 + 13^2))
    drawn, true = (np.argwhere(boundary(mask)) for mask in (a, b))
    if not len(drawn) or not len(true):
        assert score == float(len(drawn) == len(true))
        return
    near = np.square(drawn[:, None] - true[None]).sum(axis=-1) <= reach**2
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    total = precision + recall
    assert score == pytest.approx(2 * precision * recall / total if total else 0)


def test_contour_tolerance_grows_with_the_image():
    small, large = np.zeros((100, 100), bool), np.zeros((300, 400), bool)
    for mask, shift, score in ((small, 2, 1), (small, 3, 0), (large, 4, 1), (large, 5, 0)):
        bar, moved = mask.copy(), mask.copy()  # their contours are lines over the full height
        bar[:, :50], moved[:, : 50 + shift] = True, True
        assert contour_accuracy(moved, bar) == score


def test_summary_by_hand():
    scores = mean_recall_decay(np.array([1.0, 1, 0.5, 0.5, 0.6, 0, 0, 0.3]))
    assert scores.mean == pytest.approx(3.9 / 8)
    assert scores.recall == pytest.approx(3 / 8)  # strictly above a half
    assert scores.decay == pytest.approx(2.5 / 3 - 0.1)  # frames 0..2 against 5..7
    assert mean_recall_decay(np.array([0.7])).decay == 0


def test_mean_over_objects():
    one, other = ({"j_mean": mean} for mean in (0.2, 0.8))
    assert mean_numbers([one, other]) == {"j_mean": 0.5}


def test_each_object_is_scored_in_its_own_frames():
    truth = np.zeros((5, 40, 50), np.uint8)
    truth[:, 5:15, 5:15] = 1
    truth[:, 5:15, 25:35] = 3
    result = np.where(truth == 1, 1, 0)
    counted = {1: [1, 2, 3], 2: [1, 2, 3], 3: [2]}
    scores = score_objects(zip(range(5), result, truth, strict=True), counted)
    assert scores[1].j.tolist() == scores[1].f.tolist() == [1, 1, 1]
    assert scores[2].j.tolist() == [1, 1, 1]  # in neither
    assert scores[3].j.tolist() == scores[3].f.tolist() == [0]
    assert scores[1].numbers()["j_and_f"] == 1
