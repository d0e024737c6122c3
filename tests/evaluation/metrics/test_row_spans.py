import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.evaluation.metrics.row_spans import polygon_spans, rectangle_spans

corner = st.tuples(st.integers(-6, 18), st.integers(-6, 14))
polygon = st.lists(corner, min_size=3, max_size=7).map(np.array)
WIDTH, HEIGHT = 13, 9


def fill_slowly(corners, tips):
    """The programs' walk over the nodes of each row, one pixel at a time."""
    raster = np.zeros((HEIGHT, WIDTH), bool)
    for row in range(HEIGHT):
        nodes = []
        for (x, y), (before_x, before_y) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
            if not min(y, before_y) <= row <= max(y, before_y):
                continue
            if y != before_y:
                nodes.append(int(x + (row - y) / (before_y - y) * (before_x - x)))
            elif tips:
                nodes.append(int(x))
        nodes.sort()
        at = 0
        while at < len(nodes) - 1:
            is_last_pair = at == len(nodes) - 2
            if nodes[at] == nodes[at + 1] and not (tips and is_last_pair):
                at += 1
                continue
            for column in range(nodes[at], nodes[at + 1] + 1):
                if 0 <= column < WIDTH:
                    raster[row, column] = True
            at += 2
    return raster


@given(polygon, st.booleans())
def test_polygons_are_filled_as_the_slow_walk_fills_them(corners, tips):
    spans = polygon_spans(corners, np.array(WIDTH), np.array(HEIGHT), tips=tips)
    expected = fill_slowly(corners, tips)
    np.testing.assert_array_equal(spans.paint(WIDTH), expected)
    assert spans.count() == expected.sum()


@given(polygon, polygon)
def test_counts_are_those_of_the_painted_rasters(a, b):
    first, second = (
        polygon_spans(each, np.array(WIDTH), np.array(HEIGHT), tips=True) for each in (a, b)
    )
    shared = first.paint(WIDTH) & second.paint(WIDTH)
    assert first.count_intersection(second) == second.count_intersection(first) == shared.sum()


@given(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=4).map(np.array))
def test_a_batch_in_rasters_of_several_sizes_is_filled_one_by_one(corners):
    width, height = np.arange(len(corners)) + 5, np.arange(len(corners))[::-1] + 3
    batch = polygon_spans(corners, width, height, tips=False)
    for each, w, h, count in zip(corners, width, height, batch.count(), strict=True):
        assert polygon_spans(each, np.array(w), np.array(h), tips=False).count() == count


@pytest.mark.parametrize(("tips", "pixels"), [(False, 14), (True, 15)])
def test_a_triangle_counted_by_hand(tips, pixels):
    corners = np.array([[0, 0], [4, 0], [0, 4]])  # rows of 5, 4, 3, 2 pixels, and the tip
    assert polygon_spans(corners, np.array(9), np.array(9), tips=tips).count() == pixels


def test_rectangle():
    spans = rectangle_spans(np.array([2, 1]), np.array([4, 2]), height=5)
    assert spans.count() == 6
    assert spans.paint(7)[1:3, 2:5].all()
    assert rectangle_spans(np.array([0, 0]), np.array([-1, -1]), height=5).count() == 0
