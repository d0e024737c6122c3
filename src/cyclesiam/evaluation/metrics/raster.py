"""Shapes as spans of pixels in the rows of a raster, filled as the VOT programs fill them.

N: regions. V: corners of a polygon. R: rows of all regions, one region after another. S: most spans
in a row.

Counting in spans costs a few sums a row, where a painted raster costs its whole area.
"""

from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.regions import Polygons, Rectangles, RegionMask, Shape

Columns = tuple[np.ndarray, np.ndarray]
"""First and last column of each row's spans, (S, R) each; last < first where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Pixels of N regions, row by row.

    Args:
        top: (N,) first row of each region in its raster.
        rows: (N,) number of rows of each region; may be 0.
        first: (S, R) first column of each span.
        last: (S, R) last column, included; below `first` where there is no span. The spans of a row
            share no pixel.
    """

    top: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def count(self) -> np.ndarray:
        """Return the number of pixels (N,) of each region."""
        return _sum_rows(np.maximum(self.last - self.first + 1, 0).sum(axis=0), self.rows)

    def count_intersection(self, other: "Spans") -> np.ndarray:
        """Return the number of pixels (N,) that each region shares with the other's same region."""
        top = np.maximum(self.top, other.top)
        rows = np.maximum(np.minimum(self.top + self.rows, other.top + other.rows) - top, 0)
        (a_first, a_last), (b_first, b_last) = self._columns(top, rows), other._columns(top, rows)
        first = np.maximum(a_first[:, None], b_first)  # (S, S, R): each span with each other
        last = np.minimum(a_last[:, None], b_last)
        return _sum_rows(np.maximum(last - first + 1, 0).sum(axis=(0, 1)), rows)

    def _columns(self, top: np.ndarray, rows: np.ndarray) -> Columns:
        """Return the spans of `rows` rows (N,) from `top` (N,) on."""
        which = _ranges(np.cumsum(self.rows) - self.rows + top - self.top, rows)
        return self.first.take(which, axis=1), self.last.take(which, axis=1)


def _ranges(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return `count` numbers from `start` on, of one region after another."""
    return np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)


def _sum_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sum (N,) of each region's values (R,)."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.cumsum(rows)
    return total[ends] - total[ends - rows]


def fill(shape: Shape, sizes: np.ndarray, *, fill_tips: bool) -> Spans:
    """Fill shapes in rasters: a polygon from one crossing edge of a row to the next, both included.

    Args:
        shape: N shapes of one kind, whole numbers counted from the raster's first pixel. Polygons
            and masks may lie outside; rectangles must not.
        sizes: (N, 2) columns and rows of each raster.
        fill_tips: a row that touches a polygon in one pixel has that pixel, and horizontal edges
            count as crossing (vot-toolkit). Without it such a row is empty (TraX, as in pysot).
    """
    if isinstance(shape, Polygons):
        return _fill_polygons(shape.corners, sizes, fill_tips)
    if isinstance(shape, RegionMask):
        return _fill_mask(shape, *sizes[0].tolist())
    rows = np.maximum(shape.last[:, 1] - shape.first[:, 1] + 1, 0).astype(int)
    first, last = np.repeat(shape.first[:, 0], rows), np.repeat(shape.last[:, 0], rows)
    return Spans(shape.first[:, 1].astype(int), rows, first[None], last[None])


def count_pixels(
    a: Shape, b: Shape, sizes: np.ndarray, *, fill_tips: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels that N pairs of shapes share, and those in either shape of a pair.

    Args:
        a: N shapes of one kind, as `fill` takes them.
        b: N shapes of one kind.
        sizes: (N, 2) columns and rows of each pair's raster.
        fill_tips: whether a row that touches a polygon in one pixel has that pixel.

    Returns:
        Intersection and union, (N,) each.
    """
    if isinstance(a, Rectangles) and isinstance(b, Rectangles):  # counted without filling
        intersection = a.count_intersection(b)
        return intersection, a.count() + b.count() - intersection
    one, other = (fill(shape, sizes, fill_tips=fill_tips) for shape in (a, b))
    intersection = one.count_intersection(other)
    return intersection, one.count() + other.count() - intersection


def _fill_mask(mask: RegionMask, width: int, height: int) -> Spans:
    x, y = mask.offset
    left, top = max(x, 0), max(y, 0)
    pixels = mask.pixels[top - y : max(height - y, 0), left - x : max(width - x, 0)]
    steps = np.diff(np.pad(pixels, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(steps > 0)
    end = np.nonzero(steps < 0)[1]
    span = np.arange(len(row)) - np.searchsorted(row, row)  # its number in the row
    first = np.zeros((span.max(initial=0) + 1, len(pixels)))
    last = first - 1
    first[span, row], last[span, row] = begin + left, end + left - 1
    return Spans(np.array([top]), np.array([len(pixels)]), first, last)


def _fill_polygons(corners: np.ndarray, sizes: np.ndarray, fill_tips: bool) -> Spans:
    """Fill polygons (N, V, 2), quickly those that are convex quadrilaterals."""
    corners, (width, height) = corners.astype(np.float64), sizes.T
    top = np.clip(corners[..., 1].min(axis=1), 0, height).astype(int)
    bottom = np.clip(corners[..., 1].max(axis=1) + 1, 0, height).astype(int)  # the row behind it
    rows = np.maximum(bottom - top, 0)
    convex = _are_convex(corners)
    if convex.all():
        first, last = _convex_columns(corners, top, rows, fill_tips)
    else:
        first = np.zeros((corners.shape[1] - 1, rows.sum()))
        last = first - 1
        for which, columns in ((convex, _convex_columns), (~convex, _polygon_columns)):
            if which.any():
                some = columns(corners[which], top[which], rows[which], fill_tips)
                of_rows = np.repeat(which, rows)
                first[: len(some[0]), of_rows], last[: len(some[1]), of_rows] = some
    border = np.repeat(width.astype(float) - 1, rows)
    return Spans(top, rows, np.maximum(first, 0), np.minimum(last, border))


def _polygon_columns(
    corners: np.ndarray, top: np.ndarray, rows: np.ndarray, fill_tips: bool
) -> Columns:
    """Return the spans of any polygons (N, V, 2), S = V - 1, not clipped to the raster."""
    row = _ranges(top, rows)[:, None]
    x, y = np.repeat(corners, rows, axis=0).transpose(2, 0, 1)  # (R, V) each
    run, rise = np.roll(x, 1, axis=1) - x, np.roll(y, 1, axis=1) - y
    crosses = (np.minimum(y, y + rise) <= row) & (row <= np.maximum(y, y + rise))
    if not fill_tips:
        crosses &= rise != 0
    steep = np.where(rise == 0, 1, rise)  # a horizontal edge crosses at its own corner
    columns = np.trunc(x + (row - y) / steep * run)
    nodes, count = np.sort(np.where(crosses, columns, np.inf), axis=1), crosses.sum(axis=1)
    end = corners.shape[1] - 1
    each, at = np.arange(len(row)), np.zeros(len(row), int)  # the node that each row has reached
    first, last = np.zeros((end, len(row))), np.zeros((end, len(row)))
    covered = np.full(len(row), -1.0)  # last column filled, so that spans share no pixel
    for span in range(end):
        left, right = nodes[each, at], nodes[each, np.minimum(at + 1, end)]
        skipped = (left == right) & ~((at == count - 2) & fill_tips)
        filled = (at < count - 1) & ~skipped
        first[span] = np.maximum(left, covered + 1)
        last[span] = np.where(filled, right, -1.0)
        covered = np.maximum(covered, last[span])
        at = np.minimum(at + 1 + filled, end)
    return first, last


def _are_convex(corners: np.ndarray) -> np.ndarray:
    """Return which polygons (N, V, 2) are quadrilaterals with at most one span in each row, (N,).

    They are convex, cover more than one row, and have no corner within a horizontal side, where
    the VOT programs may fill two spans.
    """
    if corners.shape[1] != 4:
        return np.zeros(len(corners), bool)
    edge = np.roll(corners, -1, axis=1) - corners
    after = np.roll(edge, -1, axis=1)
    turn = edge[..., 0] * after[..., 1] - edge[..., 1] * after[..., 0]
    convex = (turn >= 0).all(axis=1) | (turn <= 0).all(axis=1)
    straight = (edge[..., 1] == 0) & (after[..., 1] == 0)
    return convex & (np.ptp(corners[..., 1], axis=1) > 0) & ~straight.any(axis=1)


def _convex_columns(
    corners: np.ndarray, top: np.ndarray, rows: np.ndarray, fill_tips: bool
) -> Columns:
    """Return the spans of convex quadrilaterals (N, 4, 2), S = 1, not clipped to the raster.

    Such a polygon has two chains of edges, one down and one up, and each crosses every row once.
    So nothing needs to be sorted, and all rows are computed at once.
    """
    order = (corners[..., 1].argmin(axis=1)[:, None] + np.arange(4)) % 4
    corners = np.take_along_axis(corners, order[..., None], axis=1)  # from a top corner on
    edge = np.roll(corners, -1, axis=1) - corners
    down = _chain_columns(corners, edge, top, rows, rise_sign=1)
    up = _chain_columns(corners[:, ::-1], edge[:, ::-1], top, rows, rise_sign=-1)
    first, last = np.minimum(down, up), np.maximum(down, up)
    if not fill_tips:
        last = np.where(first == last, -1.0, last)
    return first[None], last[None]


def _chain_columns(
    corners: np.ndarray, edge: np.ndarray, top: np.ndarray, rows: np.ndarray, *, rise_sign: int
) -> np.ndarray:
    """Return the column (R,) where one chain of edges crosses each row.

    Args:
        corners: (N, 4, 2) where each edge starts, in the order of rows.
        edge: (N, 4, 2) from there to its end.
        top: (N,) first row.
        rows: (N,) number of rows.
        rise_sign: 1 for the chain that goes down the rows, -1 for the one that goes up.
    """
    x, y = corners[..., 0], corners[..., 1]
    run, rise = edge[..., 0], edge[..., 1]
    belongs = rise * rise_sign > 0
    upper = y if rise_sign > 0 else y + rise
    bottom = (top + rows)[:, None].astype(float)
    # Each edge goes to the row before the next one's first, the last one to the end.
    begin = np.clip(np.where(belongs, upper, np.inf), top[:, None], bottom)
    end = np.concatenate((begin[:, 1:], bottom), axis=1)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
    count = np.where(belongs, end - begin, 0).astype(int).ravel()
    row = _ranges(begin.ravel().astype(int), count)
    used = np.flatnonzero(count)
    # Measured from the edge's end, as in the programs: the last bit decides which pixel it is.
    x, y, run, rise = (
        np.repeat(numbers.ravel()[used], count[used]) for numbers in (x + run, y + rise, run, rise)
    )
    return np.trunc(x + (row - y) / rise * run)
