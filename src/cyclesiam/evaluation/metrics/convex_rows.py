"""Convex quadrilaterals as one span of pixels a row: `row_spans` for the shapes that are common.

N: polygons. R: rows of all of them, one polygon after another. Corners are whole numbers.

A convex polygon has two chains of edges, one that goes down and one that goes up, and each crosses
every row once. So nothing needs to be sorted or walked through, and rows are computed in one piece
for many polygons of any height. The pixels are those of `row_spans.polygon_spans`.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class ConvexRows:
    """Pixels of N regions, each with one span in each of its rows.

    Args:
        top: (N,) the first row of each in its raster.
        rows: (N,) how many rows each has; may be 0.
        first: (R,) first column of each row.
        last: (R,) last column, itself included; below `first` where the row is empty.
    """

    top: np.ndarray
    rows: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def count(self) -> np.ndarray:
        """Give the number of pixels (N,) of each region."""
        return _sums(self.last - self.first + 1, self.rows)

    def count_intersection(self, other: "ConvexRows") -> np.ndarray:
        """Give the number of pixels (N,) that lie in the other's region of the same number too."""
        top = np.maximum(self.top, other.top)
        bottom = np.minimum(self.top + self.rows, other.top + other.rows)
        rows = np.maximum(bottom - top, 0)
        mine, theirs = self._rows_from(top, rows), other._rows_from(top, rows)
        first = np.maximum(self.first[mine], other.first[theirs])
        last = np.minimum(self.last[mine], other.last[theirs])
        return _sums(last - first + 1, rows)

    def _rows_from(self, top: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Where in `first` and `last` the `rows` (N,) from `top` (N,) on are."""
        return _ranges(_starts(self.rows) + top - self.top, rows)


def _starts(rows: np.ndarray) -> np.ndarray:
    """Give where each of the runs of so many rows begins."""
    return np.concatenate(([0], np.cumsum(rows)[:-1]))


def _ranges(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Give start, start + 1 ... of each run, `count` numbers, one run after another."""
    return np.arange(count.sum()) + np.repeat(start - _starts(count), count)


def _sums(lengths: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sum the lengths of each run's rows, those that are above zero."""
    total = np.concatenate(([0.0], np.cumsum(np.maximum(lengths, 0))))
    ends = np.cumsum(rows)
    return total[ends] - total[ends - rows]


def are_convex(corners: np.ndarray) -> np.ndarray:
    """Say which quadrilaterals (N, 4, 2) have one span in each row at most, (N,).

    They are convex, cover more than one row, and have no corner within a horizontal side, where
    the VOT programs may fill two spans.
    """
    edge = np.roll(corners, -1, axis=1) - corners
    after = np.roll(edge, -1, axis=1)
    turn = edge[..., 0] * after[..., 1] - edge[..., 1] * after[..., 0]
    convex = (turn >= 0).all(axis=1) | (turn <= 0).all(axis=1)
    lies = (edge[..., 1] == 0) & (after[..., 1] == 0)
    return convex & (np.ptp(corners[..., 1], axis=1) > 0) & ~lies.any(axis=1)


def rectangle_rows(first: np.ndarray, last: np.ndarray) -> ConvexRows:
    """Fill rectangles from pixel `first` to pixel `last`, (N, 2) columns and rows of the raster."""
    rows = np.maximum(last[:, 1] - first[:, 1] + 1, 0).astype(int)
    return ConvexRows(
        top=first[:, 1].astype(int),
        rows=rows,
        first=np.repeat(first[:, 0], rows),
        last=np.repeat(last[:, 0], rows),
    )


def convex_rows(
    corners: np.ndarray, width: np.ndarray, height: np.ndarray, *, tips: bool
) -> ConvexRows:
    """Fill quadrilaterals that `are_convex`, cut by their rasters.

    Args:
        corners: (N, 4, 2) whole numbers, x and y in the raster; may lie outside.
        width: (N,) columns of each raster.
        height: (N,) rows of each raster.
        tips: as in `row_spans.polygon_spans`.
    """
    corners = _from_the_top(corners.astype(np.float64))
    top = np.clip(corners[:, 0, 1], 0, height).astype(int)
    bottom = np.clip(corners[..., 1].max(axis=1) + 1, 0, height).astype(int)  # the row behind it
    rows = np.maximum(bottom - top, 0)
    edge = np.roll(corners, -1, axis=1) - corners
    down = _chain(corners, edge, top, bottom)
    up = _chain(corners[:, ::-1], edge[:, ::-1], top, bottom, rising=True)
    first, last = np.minimum(down, up), np.maximum(down, up)
    if not tips:
        last = np.where(first == last, -1.0, last)
    border = np.repeat(np.asarray(width, float) - 1, rows)
    return ConvexRows(top=top, rows=rows, first=np.maximum(first, 0), last=np.minimum(last, border))


def _from_the_top(corners: np.ndarray) -> np.ndarray:
    """Turn each polygon's list of corners so that it begins with one in the first row."""
    order = (corners[..., 1].argmin(axis=1)[:, None] + np.arange(4)) % 4
    return np.take_along_axis(corners, order[..., None], axis=1)


def _chain(
    corners: np.ndarray,
    edge: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    *,
    rising: bool = False,
) -> np.ndarray:
    """Give the column (R,) where the chain that goes down (or up) crosses each row.

    Args:
        corners: (N, 4, 2) where each edge starts, in the order of rows.
        edge: (N, 4, 2) from there to its end.
        top: (N,) first row wanted.
        bottom: (N,) the row behind the last one wanted.
        rising: whether the chain goes up.
    """
    x, y = corners[..., 0], corners[..., 1]
    run, rise = edge[..., 0], edge[..., 1]
    upper = y + rise if rising else y
    belongs = rise < 0 if rising else rise > 0
    # Each edge goes to the row before the next one's first, the last one to the end.
    begins = np.clip(np.where(belongs, upper, np.inf), top[:, None], bottom[:, None])
    following = np.concatenate((begins[:, 1:], bottom[:, None].astype(float)), axis=1)
    following = np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1]
    count = np.where(belongs, following - begins, 0).astype(int).ravel()
    row = _ranges(begins.ravel().astype(int), count)
    used = np.flatnonzero(count)
    # Measured from the edge's end, as the programs do: the last bit decides which pixel it is.
    x, y, run, rise = (
        np.repeat(numbers.ravel()[used], count[used]) for numbers in (x + run, y + rise, run, rise)
    )
    return np.trunc(x + (row - y) / rise * run)
