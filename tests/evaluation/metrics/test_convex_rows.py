import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cyclesiam.evaluation.metrics.convex_rows import are_convex, convex_rows, rectangle_rows
from cyclesiam.evaluation.metrics.row_spans import polygon_spans

SIZE = np.array([12]), np.array([9])  # columns and rows of the raster

corner = arrays(float, (1, 4, 2), elements=st.integers(-6, 16).map(float))
convex = corner.filter(lambda corners: are_convex(corners).all())


@given(convex, convex, st.booleans())
def test_pixels_are_those_of_any_polygon(a, b, tips):
    quick = [convex_rows(corners, *SIZE, tips=tips) for corners in (a, b)]
    slow = [polygon_spans(corners, *SIZE, tips=tips) for corners in (a, b)]
    assert [rows.count()[0] for rows in quick] == [spans.count()[0] for spans in slow]
    assert quick[0].count_intersection(quick[1]) == slow[0].count_intersection(slow[1])


def test_many_at_once_equal_one_by_one():
    random = np.random.default_rng(3)
    corners = np.round(random.uniform(-5, 40, (400, 4, 2)))
    corners = corners[are_convex(corners)]
    others = np.roll(corners, 1, axis=0)
    size = random.integers(1, 40, (len(corners), 2))
    shared = convex_rows(corners, *size.T, tips=False).count_intersection(
        convex_rows(others, *size.T, tips=False)
    )
    assert len(corners) > 20
    for n in range(len(corners)):
        one, other = (
            convex_rows(many[n : n + 1], *size[n : n + 1].T, tips=False)
            for many in (corners, others)
        )
        assert one.count_intersection(other)[0] == shared[n]


def test_what_is_convex():
    square = [(0, 0), (4, 0), (4, 4), (0, 4)]
    bow_tie = [(0, 0), (4, 4), (4, 0), (0, 4)]
    dart = [(0, 0), (4, 4), (0, 1), (-4, 4)]
    flat = [(0, 0), (4, 0), (2, 0), (1, 0)]
    corner_in_the_top = [(0, 0), (2, 0), (4, 0), (2, 4)]
    shapes = np.array([square, square[::-1], bow_tie, dart, flat, corner_in_the_top], float)
    assert are_convex(shapes).tolist() == [True, True, False, False, False, False]


def test_rectangles_are_counted_and_may_be_empty():
    first = np.array([[2.0, 3], [5, 5], [0, 0]])
    last = np.array([[4.0, 4], [4, 8], [3, -1]])
    rows = rectangle_rows(first, last)
    assert rows.count().tolist() == [6, 0, 0]
    other = rectangle_rows(np.array([[4.0, 0], [0, 0], [0, 0]]), np.array([[9.0, 9]] * 3))
    assert rows.count_intersection(other).tolist() == [2, 0, 0]
