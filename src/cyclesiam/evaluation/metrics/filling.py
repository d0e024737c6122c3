"""How many pixels two shapes share on a raster, and how many are in either.

N: pairs of shapes. V: corners of a polygon.
"""

import numpy as np

from cyclesiam.evaluation.metrics.convex_rows import (
    ConvexRows,
    are_convex,
    convex_rows,
    rectangle_rows,
)
from cyclesiam.evaluation.metrics.row_spans import Spans, polygon_spans, rectangle_spans

Counts = tuple[np.ndarray, np.ndarray]
"""Pixels in both, and pixels in either, (N,) each."""
PixelBounds = tuple[np.ndarray, np.ndarray]
"""First and last pixel of rectangles, (..., 2) each: column and row; empty where last < first."""
Shape = np.ndarray | PixelBounds
"""Polygons as whole-numbered corners (N, V, 2), or rectangles by their limits."""


def count_pixels(a: Shape, b: Shape, size: np.ndarray, *, tips: bool) -> Counts:
    """Fill N pairs of shapes and count their pixels.

    Args:
        a: N shapes; rectangles lie in the raster.
        b: N shapes of one kind too.
        size: (N, 2) columns and rows of each pair's raster, which cuts the polygons.
        tips: whether a row that touches a polygon in one pixel has it (`row_spans.polygon_spans`).
    """
    shared, either = np.zeros(len(size)), np.zeros(len(size))
    simple = _are_simple(a) & _are_simple(b)
    for some, fill_ in ((simple, _fill_rows), (~simple, fill)):
        if some.any():
            one = fill_(_pick(a, some), size[some], tips=tips)
            other = fill_(_pick(b, some), size[some], tips=tips)
            both = one.count_intersection(other)  # type: ignore[arg-type]
            shared[some], either[some] = both, one.count() + other.count() - both
    return shared, either


def count_rectangles(a: PixelBounds, b: PixelBounds) -> Counts:
    """Count what `count_pixels` counts, of rectangles and without filling them."""
    shared = _area(np.maximum(a[0], b[0]), np.minimum(a[1], b[1]))
    return shared, _area(*a) + _area(*b) - shared


def _area(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    return np.clip(last - first + 1, 0, None).prod(axis=-1)


def fill(shape: Shape, size: np.ndarray, *, tips: bool) -> Spans:
    """Fill shapes of any kind, in rasters of `size` (N, 2)."""
    if isinstance(shape, tuple):
        return rectangle_spans(*shape, int(size[..., 1].max()))
    return polygon_spans(shape, size[..., 0], size[..., 1], tips=tips)


def _fill_rows(shape: Shape, size: np.ndarray, *, tips: bool) -> ConvexRows:
    if isinstance(shape, tuple):
        return rectangle_rows(*shape)
    return convex_rows(shape, size[:, 0], size[:, 1], tips=tips)


def _are_simple(shape: Shape) -> np.ndarray:
    """Say which shapes (N,) have at most one span in each row."""
    if isinstance(shape, tuple):
        return np.ones(len(shape[0]), bool)
    return are_convex(shape) if shape.shape[1] == 4 else np.zeros(len(shape), bool)


def _pick(shape: Shape, some: np.ndarray) -> Shape:
    return (shape[0][some], shape[1][some]) if isinstance(shape, tuple) else shape[some]
