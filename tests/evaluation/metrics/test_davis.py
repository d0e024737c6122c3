import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.metrics.davis import (
    boundary,
    contour_accuracy,
    mean_recall_decay,
    mean_scores,
    region_similarity,
    score_mask,
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
    scores = mean_scores([mean_recall_decay(np.full(5, 0.2)), mean_recall_decay(np.full(9, 0.8))])
    assert (scores.mean, scores.recall, scores.decay) == (0.5, 0.5, 0)


def test_objects_are_those_of_the_first_annotation():
    annotation = np.zeros((5, 40, 50), np.uint8)
    annotation[:, 5:15, 5:15] = 1
    annotation[:, 5:15, 25:35] = 3
    annotation[2:, 20:30, 5:15] = 4  # appears later: ignored
    annotation[:, 30:, 40:] = 255  # void is background
    segmentation = np.where(annotation == 1, 1, 0)
    one, two, three = score_objects(segmentation, annotation)
    assert one.j.shape == one.f.shape == (3,)
    assert (one.j == 1).all()
    assert (one.f == 1).all()
    assert (two.j == 1).all()  # skipped in the annotation, and nowhere answered
    assert (three.j == 0).all()
    assert (three.f == 0).all()


def test_one_mask_takes_every_label_as_foreground():
    annotation = np.zeros((4, 40, 50), np.uint8)
    annotation[:, 5:15, 5:15] = 255
    assert (score_mask(annotation // 255 * 7, annotation).j == 1).all()


def test_unusable_masks_are_refused():
    annotation = np.zeros((4, 40, 50), np.uint8)
    annotation[:, 5:15, 5:15] = 1
    with pytest.raises(DatasetError, match="label 2"):
        score_objects(annotation * 2, annotation)
    with pytest.raises(DatasetError, match="T of 3"):
        score_objects(annotation[:2], annotation[:2])
    with pytest.raises(DatasetError, match="T of 3"):
        score_mask(annotation[:3], annotation)
