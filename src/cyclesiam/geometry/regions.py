"""Regions of other shapes (polygons, masks) and their axis-aligned extent."""

import numpy as np


def polygon_to_box(points: np.ndarray) -> np.ndarray:
    """Give the box around polygons.

    Args:
        points: (..., 2n) corners x1, y1, x2, y2, ...

    Returns:
        (..., 4) xyxy; NaN where a corner is NaN.

    >>> polygon_to_box(np.array([2.0, 0.0, 4.0, 3.0, 2.0, 6.0, 0.0, 3.0]))
    array([0., 0., 4., 6.])
    """
    x, y = points[..., 0::2], points[..., 1::2]
    return np.stack((x.min(-1), y.min(-1), x.max(-1), y.max(-1)), axis=-1)


def mask_to_box(mask: np.ndarray) -> np.ndarray:
    """Give the smallest box around a mask.

    Args:
        mask: (H, W); not zero is the region.

    Returns:
        (4,) float xyxy in continuous pixels, so a mask of one pixel has a box of size 1; NaN if
        the mask is empty.

    >>> mask_to_box(np.eye(3))
    array([0., 0., 3., 3.])
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.full(4, np.nan)
    # A pixel covers the unit square from its index on.
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
