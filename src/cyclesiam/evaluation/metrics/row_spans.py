"""Polygons as spans of pixels in the rows of a raster, filled as the VOT programs fill them.

V: corners of a polygon. H, W: rows and columns of the raster; of several rasters, H is the highest
one's. S: most spans that a row can hold. Leading dimensions (...) are rasters of their own.

Counting in spans costs a few sums a row, where a painted raster costs H x W.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Pixels of a region, row by row.

    Args:
        first: (..., H, S) first column of each span.
        last: (..., H, S) last column, itself included; below `first` where there is no span. The
            spans of a row share no pixel.
    """

    first: np.ndarray
    last: np.ndarray

    def count(self) -> np.ndarray:
        """Give the number of pixels (...)."""
        return np.clip(self.last - self.first + 1, 0, None).sum(axis=(-2, -1))

    def count_intersection(self, other: "Spans") -> np.ndarray:
        """Give the number of pixels (...) that lie in another region of the same raster too."""
        first = np.maximum(self.first[..., :, None], other.first[..., None, :])
        last = np.minimum(self.last[..., :, None], other.last[..., None, :])
        return np.clip(last - first + 1, 0, None).sum(axis=(-3, -2, -1))

    def paint(self, width: int) -> np.ndarray:
        """Give the rasters as (..., H, width) bool."""
        columns = np.arange(width)
        first, last = self.first[..., None], self.last[..., None]
        return np.any((first <= columns) & (columns <= last), axis=-2)


def rectangle_spans(first: np.ndarray, last: np.ndarray, height: int) -> Spans:
    """Fill the pixels from `first` to `last`.

    Args:
        first: (..., 2) column and row of the first pixel, not negative.
        last: (..., 2) column and row of the last one, itself included.
        height: H.
    """
    rows = np.arange(height)
    inside = (first[..., 1, None] <= rows) & (rows <= last[..., 1, None])
    return Spans(
        first=np.broadcast_to(first[..., 0, None, None], (*inside.shape, 1)),
        last=np.where(inside, last[..., 0, None], first[..., 0, None] - 1)[..., None],
    )


def polygon_spans(
    corners: np.ndarray, width: np.ndarray, height: np.ndarray, *, tips: bool
) -> Spans:
    """Fill polygons: in every row from one crossing edge to the next, both ends included.

    Args:
        corners: (..., V, 2) whole numbers, x and y in the raster; may lie outside.
        width: (...) columns of each raster.
        height: (...) rows of each raster.
        tips: a row that touches the polygon in one pixel has that pixel (vot-toolkit), and
            horizontal edges count as crossing. Without it (TraX, as in pysot) such a row is empty.

    Returns:
        Spans within each raster, S = V - 1.
    """
    nodes, count = _row_nodes(corners, height, tips)
    border = np.asarray(width)[..., None] - 1
    end = corners.shape[-2] - 1
    at = np.zeros(count.shape, int)  # the node at which each row's walk stands
    covered = np.full(count.shape, -1.0)  # last column filled, so that spans share no pixel
    first, last = [], []
    for _ in range(end):
        left = np.take_along_axis(nodes, at[..., None], axis=-1)[..., 0]
        right = np.take_along_axis(nodes, np.minimum(at + 1, end)[..., None], axis=-1)[..., 0]
        dropped = (left == right) & ~((at == count - 2) & tips)
        filled = (at < count - 1) & ~dropped
        first.append(np.maximum(left, covered + 1))
        last.append(np.where(filled, np.minimum(right, border), -1.0))
        covered = np.maximum(covered, last[-1])
        at = np.minimum(at + 1 + filled, end)
    return Spans(first=np.stack(first, axis=-1), last=np.stack(last, axis=-1))


def _row_nodes(
    corners: np.ndarray, height: np.ndarray, tips: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Give the columns where edges cross each row, (..., H, V) in order, and their number (..., H).

    Behind the last node of a row stands infinity.
    """
    corners = corners.astype(np.float64)[..., None, :, :]  # (..., 1, V, 2)
    x, y = corners[..., 0], corners[..., 1]
    edge = np.roll(corners, 1, axis=-2) - corners
    run, rise = edge[..., 0], edge[..., 1]
    rows = np.arange(np.max(height))[:, None]
    crosses = (np.minimum(y, y + rise) <= rows) & (rows <= np.maximum(y, y + rise))
    crosses &= rows < np.asarray(height)[..., None, None]
    if not tips:
        crosses &= rise != 0
    steep = np.where(rise == 0, 1, rise)  # a horizontal edge gives its own corner
    columns = np.trunc(x + (rows - y) / steep * run)
    return np.sort(np.where(crosses, columns, np.inf), axis=-1), crosses.sum(axis=-1)
