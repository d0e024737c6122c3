"""Overlap of regions on the pixel grid, by the rules of the programs that the VOT challenges used.

N: pairs. V: corners of a polygon. H, W: rows and columns of a mask.

Both regions are filled into a raster; the overlap is the number of pixels in both over the number
in either. The programs differ in how they round and fill, and so by up to some hundredths:

`pysot`: the C code of the TraX library (2016 to 2019) as pysot and the MATLAB toolkit used it; the
    numbers that papers give for VOT2016 and VOT2018. A rectangle has the corners x and x + w, so
    ten pixels cover eleven columns.
`matlab_2019`: the same, with the corners x and x + w - 1; the MATLAB toolkit from April 2019 on.
`vot_toolkit`: today's Python program (0.9), with masks.

Source: the definitions of those programs; votchallenge/trax, votchallenge/toolkit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np

from cyclesiam.evaluation.metrics.filling import (
    Counts,
    PixelBounds,
    Shape,
    count_pixels,
    count_rectangles,
    fill,
)
from cyclesiam.evaluation.metrics.regions import Region, RegionArray, RegionMask
from cyclesiam.geometry.masks import mask_to_box

OverlapRules = Literal["pysot", "matlab_2019", "vot_toolkit"]
PAIRS_AT_ONCE = 256  # of polygons; their rows then stay in the processor's cache
SMALLEST_AREA_RATIO = 1e-10  # TraX calls regions apart when their boxes differ more in area


Bounds = tuple[float, float] | None
"""Width and height that cut the regions, or None. In the C rules both are *inclusive* (an image of
W x H has the bounds (W - 1, H - 1)); in `vot_toolkit` they are the size of the image."""


def region_overlap(
    a: Region, b: Region, bounds: Bounds = None, rules: OverlapRules = "pysot"
) -> float:
    """Give the overlap of two regions.

    Args:
        a: one region, in pixels.
        b: the other.
        bounds: what cuts them.
        rules: which program to follow.

    Returns:
        0..1. In the C rules NaN where nothing is filled or a region is a code; `vot_toolkit` is
        never NaN.

    Raises:
        ValueError: unknown rules, numbers that make no region or are not finite, or a mask under
            the C rules.
    """
    return float(region_overlaps([a], [b], bounds, rules)[0])


def region_overlaps(
    a: Sequence[Region], b: Sequence[Region], bounds: Bounds = None, rules: OverlapRules = "pysot"
) -> np.ndarray:
    """Give the overlap of each pair of regions; pairs of rectangles are counted all at once.

    Args:
        a: N regions.
        b: N regions.
        bounds: what cuts them.
        rules: which program to follow.

    Returns:
        (N,) as `region_overlap` gives them.

    Raises:
        ValueError: as for `region_overlap`; or not as many of one as of the other.
    """
    if rules not in get_args(OverlapRules):
        raise ValueError(
            f"no overlap rules {rules!r}; there are {', '.join(get_args(OverlapRules))}"
        )
    if len(a) != len(b):
        raise ValueError(f"regions must come in pairs, got {len(a)} and {len(b)}")
    one, other = RegionArray.from_regions(a), RegionArray.from_regions(b)
    overlaps = np.empty(len(a))
    for pair in sorted({*one.masks, *other.masks}):
        if rules != "vot_toolkit":
            raise ValueError(f"the rules {rules!r} know no masks; use 'vot_toolkit'")
        overlaps[pair] = _masks_vot_toolkit(one[pair], other[pair], bounds)
    for size_a, size_b in product(one.sizes, other.sizes):
        pairs = np.flatnonzero((one.kind == size_a) & (other.kind == size_b))
        at_once = len(pairs) if size_a == size_b == 4 else PAIRS_AT_ONCE
        for start in range(0, len(pairs), at_once or 1):
            some = pairs[start : start + at_once]
            overlaps[some] = _overlaps(
                one.values(size_a, some), other.values(size_b, some), bounds, rules
            )
    return overlaps


def _overlaps(a: np.ndarray, b: np.ndarray, bounds: Bounds, rules: OverlapRules) -> np.ndarray:
    """Give the overlaps (N,) of regions (N, numbers), all of one kind on either side."""
    if rules == "vot_toolkit":
        return _overlaps_vot_toolkit(a, b, bounds)
    return _overlaps_c(a, b, bounds, rules)


def _count(a: Shape, b: Shape, size: np.ndarray, *, tips: bool) -> Counts:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return count_rectangles(a, b)
    return count_pixels(a, b, size, tips=tips)


# The C rules: everything is a polygon of float32 corners.


def _corners(regions: np.ndarray, rules: OverlapRules) -> np.ndarray:
    """Give (..., V, 2) float32 corners of rectangles (..., 4) or polygons (..., 2V)."""
    if regions.shape[-1] != 4:
        return regions.reshape(*regions.shape[:-1], -1, 2).astype(np.float32)
    left, top = regions[..., 0], regions[..., 1]
    right, bottom = left + regions[..., 2], top + regions[..., 3]
    if rules == "matlab_2019":
        right, bottom = right - 1, bottom - 1
    x = np.stack((left, right, right, left), axis=-1)
    y = np.stack((top, top, bottom, bottom), axis=-1)
    return np.stack((x, y), axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Raster:
    """Where the C rules fill: (..., 2) origin and size; (...) whether it is 0 without filling."""

    origin: np.ndarray
    size: np.ndarray
    apart: np.ndarray


def _raster_c(a: np.ndarray, b: np.ndarray, bounds: Bounds) -> _Raster:
    """Lay the raster around two regions, (..., V, 2) each."""
    a_low, a_high = _box_c(a, bounds)
    b_low, b_high = _box_c(b, bounds)
    origin = np.minimum(a_low, b_low)
    size = np.trunc(np.maximum(a_high, b_high) - origin) + 1
    a_area, b_area = (a_high - a_low).prod(axis=-1), (b_high - b_low).prod(axis=-1)
    # Not clipped: boxes apart on both axes have a positive product, as in the program.
    shared = (np.minimum(a_high, b_high) - np.maximum(a_low, b_low)).prod(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0/0 is NaN, which is in no comparison: two boxes without area go on to be filled
        apart = (a_area / b_area < SMALLEST_AREA_RATIO) | (b_area / a_area < SMALLEST_AREA_RATIO)
        apart |= shared / (a_area + b_area - shared) <= 0
    return _Raster(origin=origin, size=size, apart=apart | (size < 1).any(axis=-1))


def _box_c(corners: np.ndarray, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Give the whole-numbered box around (..., V, 2) corners, cut: low and high, (..., 2) each."""
    low, high = np.floor(corners.min(axis=-2)), np.ceil(corners.max(axis=-2))
    if bounds is None:
        return low, high
    return np.maximum(low, np.float32(0)), np.minimum(high, np.asarray(bounds, np.float32))


def _round_away(values: np.ndarray) -> np.ndarray:
    """Round halves away from zero; in double, where adding a half to a float32 is exact."""
    values = values.astype(np.float64)
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def _overlaps_c(a: np.ndarray, b: np.ndarray, bounds: Bounds, rules: OverlapRules) -> np.ndarray:
    if a.shape[1] == 1 or b.shape[1] == 1:
        return np.full(len(a), np.nan)
    corners = _corners(a, rules), _corners(b, rules)
    raster = _raster_c(*corners, bounds)
    inner_a, inner_b = (_round_away(points - raster.origin[:, None]) for points in corners)
    overlaps = np.zeros(len(a))
    filled = ~raster.apart
    if filled.any():
        size = raster.size[filled].astype(int)
        shape_a, shape_b = (
            _limits_c(points[filled], size) if regions.shape[1] == 4 else points[filled]
            for points, regions in ((inner_a, a), (inner_b, b))
        )
        shared, either = _count(shape_a, shape_b, size, tips=False)
        overlaps[filled] = _quotient_c(shared, either)
    return overlaps


def _limits_c(corners: np.ndarray, size: np.ndarray) -> PixelBounds:
    """Give the pixels of upright rectangles with corners (N, 4, 2) in rasters of `size` (N, 2)."""
    first, last = corners.min(axis=1), corners.max(axis=1)
    empty = (first == last).any(axis=1, keepdims=True)  # equal nodes, or no edge that rises
    first, last = np.maximum(first, 0), np.minimum(last, size - 1)
    return first, np.where(empty, first - 1, last)


def _quotient_c(shared: np.ndarray, either: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return (shared.astype(np.float32) / either.astype(np.float32)).astype(np.float64)


# The rules of vot-toolkit: whole-numbered regions, each of its own kind.


def _round_even(numbers: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(numbers, np.float32)).astype(np.float64)


def _rectangle_limits(rectangles: np.ndarray) -> PixelBounds:
    rounded = _round_even(rectangles)
    return rounded[..., :2], rounded[..., :2] + rounded[..., 2:] - 1


def _raster_vot_toolkit(
    a: PixelBounds, b: PixelBounds, bounds: Bounds
) -> tuple[PixelBounds, np.ndarray]:
    """Lay the raster around two boxes; give its limits and the overlap where that is decided.

    Returns:
        Limits, and (...): 1 or 0 where it is too small to look further, else NaN.
    """
    first, last = np.minimum(a[0], b[0]), np.maximum(a[1], b[1])
    small = (last <= first).any(axis=-1)
    if bounds is not None:
        first, last = np.maximum(first, 0), np.minimum(last, np.asarray(bounds, float) - 1)
    cut_away = (last <= first).any(axis=-1)
    return (first, last), np.where(small, 1.0, np.where(cut_away, 0.0, np.nan))


def _rectangle_in_raster(rectangle: PixelBounds, raster: PixelBounds) -> PixelBounds:
    """Give a rectangle's pixels counted from the raster's corner.

    Where the raster begins left of or above the image (only without bounds), the program takes its
    last pixel in the image for the last in the raster. That cuts too early; and a negative one
    counts from the raster's far end, as in a Python slice.
    """
    end = raster[1] - raster[0]
    first, last = rectangle[0] - raster[0], rectangle[1] - raster[0]
    cut = np.where(raster[1] < -1, raster[1] + end + 1, np.minimum(last, raster[1]))
    return np.maximum(first, 0), np.where(last < 0, -1, np.minimum(cut, end))


def _overlaps_vot_toolkit(a: np.ndarray, b: np.ndarray, bounds: Bounds) -> np.ndarray:
    raster, overlaps = _raster_vot_toolkit(_box(a), _box(b), bounds)
    open_ = np.isnan(overlaps)
    if not open_.any():
        return overlaps
    raster = raster[0][open_], raster[1][open_]
    sides = a[open_], b[open_]
    shape_a, shape_b = (_in_raster(side, raster) for side in sides)
    shared, either = _count(shape_a, shape_b, _raster_size(raster), tips=True)
    overlaps[open_] = shared / np.maximum(either, 1)
    return overlaps


def _box(regions: np.ndarray) -> PixelBounds:
    """Give the boxes around regions (..., numbers)."""
    if regions.shape[-1] == 1:
        nothing = np.zeros((*regions.shape[:-1], 2))
        return nothing, nothing
    if regions.shape[-1] == 4:
        return _rectangle_limits(regions)
    corners = _round_even(regions).reshape(*regions.shape[:-1], -1, 2)
    return corners.min(axis=-2), corners.max(axis=-2)


def _in_raster(regions: np.ndarray, raster: PixelBounds) -> Shape:
    """Give regions (..., numbers) counted from the corners of rasters (...)."""
    if regions.shape[-1] == 1:
        nothing = np.zeros_like(raster[0])
        return nothing, nothing - 1
    if regions.shape[-1] == 4:
        return _rectangle_in_raster(_rectangle_limits(regions), raster)
    corners = _round_even(regions).reshape(*regions.shape[:-1], -1, 2)
    return corners - raster[0][..., None, :]


def _raster_size(raster: PixelBounds) -> np.ndarray:
    return (raster[1] - raster[0] + 1).astype(int)


def _masks_vot_toolkit(a: Region, b: Region, bounds: Bounds) -> float:
    """Give the overlap of two regions of which one at least is a mask."""
    box_a, box_b = (_mask_box(one) if isinstance(one, RegionMask) else _box(one) for one in (a, b))
    raster, decided = _raster_vot_toolkit(box_a, box_b, bounds)
    if not np.isnan(decided):
        return float(decided)
    first, second = _paint(a, raster), _paint(b, raster)
    return float((first & second).sum() / max((first | second).sum(), 1))


def _mask_box(mask: RegionMask) -> PixelBounds:
    first, last = np.zeros(2), np.zeros(2)  # an empty mask counts as its first pixel
    if mask.pixels.any():
        extent = mask_to_box(mask.pixels)
        first, last = extent[:2], extent[2:] - 1
    return first + mask.offset, last + mask.offset


def _paint(region: Region, raster: PixelBounds) -> np.ndarray:
    """Give the raster's pixels, (rows, columns) bool."""
    width, height = (int(side) for side in raster[1] - raster[0] + 1)
    if not isinstance(region, RegionMask):
        size = _raster_size(raster)
        return fill(_in_raster(region, raster), size, tips=True).paint(width)
    x, y = (int(at) for at in raster[0])
    rows, columns = np.nonzero(region.pixels)
    rows, columns = rows + region.offset[1] - y, columns + region.offset[0] - x
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    painted = np.zeros((height, width), bool)
    painted[rows[inside], columns[inside]] = True
    return painted
