import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cyclesiam.evaluation.metrics.raster import count_pixels, fill
from cyclesiam.evaluation.metrics.regions import Polygons, Rectangles, RegionMask

WIDTH, HEIGHT = 13, 9
corner = st.tuples(st.integers(-6, 18), st.integers(-6, 14))
polygon = st.lists(corner, min_size=3, max_size=7).map(np.array)
quadrilateral = st.lists(corner, min_size=4, max_size=4).map(np.array)
CONVEX = np.array([[1, 0], [11, 2], [10, 8], [-2, 6]])


def sizes_of(count, width=WIDTH, height=HEIGHT):
    return np.tile([width, height], (count, 1))


def paint(spans, number=0, width=WIDTH, height=HEIGHT):
    """The pixels of one region, (height, width) bool."""
    columns = np.arange(width)
    painted = np.zeros((height, width), int)
    start = spans.rows[:number].sum()
    for row in range(spans.rows[number]):
        first, last = spans.first[:, start + row, None], spans.last[:, start + row, None]
        painted[spans.top[number] + row] = ((first <= columns) & (columns <= last)).sum(axis=0)
    assert painted.max() <= 1  # no pixel is in two spans
    return painted > 0


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


@given(st.one_of(polygon, quadrilateral), st.booleans())
def test_polygons_are_filled_as_the_slow_walk_fills_them(corners, tips):
    spans = fill(Polygons(corners[None]), sizes_of(1), fill_tips=tips)
    expected = fill_slowly(corners, tips)
    np.testing.assert_array_equal(paint(spans), expected)
    assert spans.count()[0] == expected.sum()


@given(st.lists(quadrilateral, min_size=1, max_size=6), st.booleans())
def test_convex_and_other_quadrilaterals_are_filled_together(quadrilaterals, tips):
    corners = np.array([CONVEX, *quadrilaterals])
    spans = fill(Polygons(corners), sizes_of(len(corners)), fill_tips=tips)
    for number, each in enumerate(corners):
        np.testing.assert_array_equal(paint(spans, number), fill_slowly(each, tips))


@given(polygon, quadrilateral)
def test_counts_are_those_of_the_painted_rasters(a, b):
    shapes = Polygons(a[None]), Polygons(b[None])
    first, second = (paint(fill(shape, sizes_of(1), fill_tips=True)) for shape in shapes)
    intersection, union = count_pixels(*shapes, sizes_of(1), fill_tips=True)
    assert intersection[0] == (first & second).sum()
    assert union[0] == (first | second).sum()


def test_rasters_of_several_sizes_are_filled_as_one_by_one():
    rng = np.random.default_rng(3)
    corners = np.round(rng.uniform(-5, 40, (400, 4, 2)))
    others, sizes = np.roll(corners, 1, axis=0), rng.integers(1, 40, (400, 2))
    many = count_pixels(Polygons(corners), Polygons(others), sizes, fill_tips=False)
    for n in range(400):
        pair = Polygons(corners[n : n + 1]), Polygons(others[n : n + 1])
        intersection, union = count_pixels(*pair, sizes[n : n + 1], fill_tips=False)
        assert (intersection[0], union[0]) == (many[0][n], many[1][n])


@pytest.mark.parametrize(("tips", "pixels"), [(False, 14), (True, 15)])
def test_a_triangle_counted_by_hand(tips, pixels):
    triangle = Polygons(np.array([[[0, 0], [4, 0], [0, 4]]]))  # rows of 5, 4, 3, 2, and the tip
    assert fill(triangle, sizes_of(1), fill_tips=tips).count() == pixels


def test_rectangles_are_counted_with_and_without_filling():
    first = np.array([[2.0, 3], [5, 5], [0, 0]])
    last = np.array([[4.0, 4], [4, 8], [3, -1]])
    rectangles = Rectangles(first, last)
    others = Rectangles(np.array([[4.0, 0], [0, 0], [0, 0]]), np.array([[9.0, 8]] * 3))
    filled, other = (fill(one, sizes_of(3), fill_tips=True) for one in (rectangles, others))
    assert filled.count().tolist() == rectangles.count().tolist() == [6, 0, 0]
    assert filled.count_intersection(other).tolist() == [2, 0, 0]
    assert rectangles.count_intersection(others).tolist() == [2, 0, 0]


@given(arrays(bool, (5, 6)), st.integers(-7, 14), st.integers(-7, 14))
def test_masks_keep_the_pixels_within_the_raster(pixels, x, y):
    spans = fill(RegionMask((x, y), pixels), sizes_of(1), fill_tips=True)
    wide = np.zeros((40, 40), bool)
    wide[y + 10 : y + 15, x + 10 : x + 16] = pixels
    expected = wide[10 : 10 + HEIGHT, 10 : 10 + WIDTH]
    np.testing.assert_array_equal(paint(spans), expected)
    assert spans.count()[0] == expected.sum()
