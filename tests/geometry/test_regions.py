import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.geometry.regions import mask_to_box, polygon_to_box


@pytest.mark.parametrize("box", [(3, 4, 10, 15), (0, 0, 30, 20), (7, 8, 8, 9)])
def test_mask_extent_of_a_rectangle_is_the_rectangle(box):
    mask = np.zeros((20, 30), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    np.testing.assert_array_equal(mask_to_box(mask), box)


def test_mask_extent_of_scattered_pixels_holds_them_all():
    mask = np.zeros((20, 30), bool)
    mask[[2, 18], [25, 5]] = True
    np.testing.assert_array_equal(mask_to_box(mask), [5, 2, 26, 19])


def test_mask_extent_of_an_empty_mask_is_unknown():
    assert np.isnan(mask_to_box(np.zeros((4, 5), bool))).all()


@given(st.lists(st.tuples(st.floats(-99, 99), st.floats(-99, 99)), min_size=3, max_size=8))
def test_polygon_extent_holds_every_corner_and_touches_four(corners):
    box = polygon_to_box(np.array(corners).reshape(-1))
    x, y = np.array(corners).T
    np.testing.assert_array_equal(box, [min(x), min(y), max(x), max(y)])


def test_polygon_extent_takes_rows_and_keeps_what_is_unknown():
    rows = np.array([[0.0, 1, 2, 3, 4, 5, 6, 7], [0, 0, np.nan, 0, 1, 1, 0, 1]])
    boxes = polygon_to_box(rows)
    np.testing.assert_array_equal(boxes[0], [0, 1, 6, 7])
    assert np.isnan(boxes[1, [0, 2]]).all()
