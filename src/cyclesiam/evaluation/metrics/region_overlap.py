"""Overlap of regions on the pixel grid, by the rules of the programs that the VOT challenges used.

N: pairs of regions. V: corners of a polygon.

Both regions are filled into a raster; the overlap is the number of pixels in both over the number
in either. The programs differ in how they round and fill, and so by up to some hundredths:

`pysot`: the C code of the TraX library (2016 to 2019) as pysot and the MATLAB toolkit used it; the
    numbers of papers for VOT2016 and VOT2018. A rectangle has the corners x and x + w, so ten
    pixels cover eleven columns.
`matlab_2019`: the C code with the corners x and x + w - 1; the MATLAB toolkit from April 2019 on.
`vot_toolkit`: today's Python program (0.9), with masks.

Source: the definitions of those programs; votchallenge/trax, votchallenge/toolkit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from cyclesiam.evaluation.metrics.raster import count_pixels
from cyclesiam.evaluation.metrics.regions import (
    Polygons,
    Rectangles,
    Region,
    RegionArray,
    RegionMask,
    Shape,
)

OverlapRules = Literal["pysot", "matlab_2019", "vot_toolkit"]
PAIRS_AT_ONCE = 256  # of polygons; their rows then stay in the processor's cache
MIN_AREA_RATIO = 1e-10  # TraX calls regions apart when their boxes differ more in area

Bounds = tuple[float, float] | None
"""Width and height that clip regions, or None. In the C rules both are *inclusive* (an image of
W x H has the bounds (W - 1, H - 1)); in `vot_toolkit` they are the size of the image."""


def region_overlap(
    a: Region, b: Region, bounds: Bounds = None, rules: OverlapRules = "pysot"
) -> float:
    """Return the overlap of two regions.

    Args:
        a: one region, in pixels.
        b: the other region.
        bounds: to which both are clipped.
        rules: of which program.

    Returns:
        0..1. In the C rules NaN where nothing is filled or a region is a code; in `vot_toolkit`
        never NaN.

    Raises:
        ValueError: the rules are unknown, a region is invalid or not finite, or a mask is to be
            compared by the C rules.
    """
    return float(region_overlaps([a], [b], bounds, rules)[0])


def region_overlaps(
    a: Sequence[Region], b: Sequence[Region], bounds: Bounds = None, rules: OverlapRules = "pysot"
) -> np.ndarray:
    """Return the overlap of each pair of regions.

    Args:
        a: N regions, in pixels.
        b: N regions.
        bounds: to which they are clipped.
        rules: of which program.

    Returns:
        (N,) in 0..1. In the C rules NaN where nothing is filled or a region is a code; in
        `vot_toolkit` never NaN.

    Raises:
        ValueError: the rules are unknown, `a` and `b` differ in length, a region is invalid or not
            finite, or a mask is to be compared by the C rules.
    """
    if rules not in PROGRAMS:
        raise ValueError(f"no overlap rules {rules!r}; there are {', '.join(PROGRAMS)}")
    if len(a) != len(b):
        raise ValueError(f"regions must come in pairs, got {len(a)} and {len(b)}")
    program = PROGRAMS[rules]
    one, other = RegionArray.from_regions(a), RegionArray.from_regions(b)
    overlaps = np.full(len(a), np.nan)
    for pair in sorted({*one.masks, *other.masks}):
        side_a, side_b = (
            side if isinstance(side, RegionMask) else side[None]
            for side in (one[pair], other[pair])
        )
        overlaps[pair] = _overlaps(side_a, side_b, bounds, program)[0]
    for size_a, size_b in product(one.sizes, other.sizes):
        if 1 in (size_a, size_b) and not program.counts_codes:
            continue
        pairs = np.flatnonzero((one.kind == size_a) & (other.kind == size_b))
        at_once = len(pairs) if size_a == size_b == 4 else PAIRS_AT_ONCE
        for start in range(0, len(pairs), at_once or 1):
            some = pairs[start : start + at_once]
            overlaps[some] = _overlaps(
                one.values(size_a, some), other.values(size_b, some), bounds, program
            )
    return overlaps


@dataclass(frozen=True, slots=True, eq=False)
class _Rasters:
    """Rasters of N pairs: (N, 2) column and row of the first pixel, and (N, 2) columns and rows."""

    origin: np.ndarray
    size: np.ndarray

    def take(self, which: np.ndarray) -> "_Rasters":
        """Return some of the rasters, (N,) bool, with sizes as integers."""
        return _Rasters(self.origin[which], self.size[which].astype(int))


def _overlaps(
    a: np.ndarray | RegionMask,
    b: np.ndarray | RegionMask,
    bounds: Bounds,
    program: "_TraxRules | _ToolkitRules",
) -> np.ndarray:
    """Return the overlaps (N,) of regions (N, numbers), all of one kind on either side."""
    shapes = program.shape(a), program.shape(b)
    rasters, overlaps = program.rasters(_box(shapes[0]), _box(shapes[1]), bounds)
    counted = np.isnan(overlaps)
    if counted.any():
        rasters = rasters.take(counted)
        shape_a, shape_b = (program.to_raster(shape.take(counted), rasters) for shape in shapes)
        pixels = count_pixels(shape_a, shape_b, rasters.size, fill_tips=program.fill_tips)
        overlaps[counted] = program.quotient(*pixels)
    return overlaps


def _box(shape: Shape) -> Rectangles:
    """Return the boxes around shapes; an empty mask counts as its first pixel."""
    if isinstance(shape, Polygons):
        return Rectangles(shape.corners.min(axis=1), shape.corners.max(axis=1))
    return shape.box() if isinstance(shape, RegionMask) else shape


class _TraxRules:
    """The C rules, on float32 corners; TraX is the library that they come from.

    Args:
        excess: by how much x + w lies beyond a rectangle's last corner.
    """

    fill_tips = False
    counts_codes = False

    def __init__(self, excess: int) -> None:
        self._excess = excess

    def shape(self, regions: np.ndarray | RegionMask) -> Shape:
        """Return the shapes of regions (N, numbers), not rounded."""
        if isinstance(regions, RegionMask):
            raise ValueError("the C rules know no masks; use the rules 'vot_toolkit'")
        if regions.shape[1] != 4:
            return Polygons(regions.reshape(len(regions), -1, 2).astype(np.float32))
        corner = regions[:, :2].astype(np.float32)
        opposite = (regions[:, :2] + regions[:, 2:] - self._excess).astype(np.float32)
        return Rectangles(np.minimum(corner, opposite), np.maximum(corner, opposite))

    def rasters(self, a: Rectangles, b: Rectangles, bounds: Bounds) -> tuple[_Rasters, np.ndarray]:
        """Return rasters around pairs, and overlaps (N,): 0 of regions apart, NaN of others."""
        a_low, a_high = self._clipped_box(a, bounds)
        b_low, b_high = self._clipped_box(b, bounds)
        origin = np.minimum(a_low, b_low)
        size = np.trunc(np.maximum(a_high, b_high) - origin) + 1
        a_area, b_area = (a_high - a_low).prod(axis=1), (b_high - b_low).prod(axis=1)
        # Not clipped: boxes apart on both axes have a positive product, as in the program.
        intersection = (np.minimum(a_high, b_high) - np.maximum(a_low, b_low)).prod(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            # 0/0 is NaN, and no comparison with it holds: two boxes without area are filled
            apart = (a_area / b_area < MIN_AREA_RATIO) | (b_area / a_area < MIN_AREA_RATIO)
            apart |= intersection / (a_area + b_area - intersection) <= 0
        return _Rasters(origin, size), np.where(apart | (size < 1).any(axis=1), 0.0, np.nan)

    def _clipped_box(self, box: Rectangles, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.floor(box.first), np.ceil(box.last)
        if bounds is None:
            return low, high
        return np.maximum(low, np.float32(0)), np.minimum(high, np.asarray(bounds, np.float32))

    def to_raster(self, shape: Shape, rasters: _Rasters) -> Shape:
        """Return shapes rounded, and counted from their rasters' first pixel."""
        if isinstance(shape, Polygons):
            return Polygons(_round_half_away(shape.corners - rasters.origin[:, None]))
        assert isinstance(shape, Rectangles)
        first = _round_half_away(shape.first - rasters.origin)
        last = _round_half_away(shape.last - rasters.origin)
        empty = (first == last).any(axis=1, keepdims=True)  # a single node in a row, or one row
        first, last = np.maximum(first, 0), np.minimum(last, rasters.size - 1)
        return Rectangles(first, np.where(empty, first - 1, last))

    def quotient(self, intersection: np.ndarray, union: np.ndarray) -> np.ndarray:
        """Return overlaps (N,), NaN where nothing is filled."""
        with np.errstate(invalid="ignore"):
            overlaps = intersection.astype(np.float32) / union.astype(np.float32)
        return overlaps.astype(np.float64)


def _round_half_away(values: np.ndarray) -> np.ndarray:
    """Round halves away from zero; in double, where adding a half to a float32 is exact."""
    values = values.astype(np.float64)
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


class _ToolkitRules:
    """The rules of vot-toolkit: whole-numbered regions, and masks."""

    fill_tips = True
    counts_codes = True

    def shape(self, regions: np.ndarray | RegionMask) -> Shape:
        """Return the shapes of regions (N, numbers), rounded."""
        if isinstance(regions, RegionMask):
            return regions
        if regions.shape[1] == 1:  # a code: a polygon of one corner has no pixels
            return Polygons(np.zeros((len(regions), 1, 2)))
        rounded = np.rint(regions.astype(np.float32)).astype(np.float64)
        if regions.shape[1] == 4:
            return Rectangles(rounded[:, :2], rounded[:, :2] + rounded[:, 2:] - 1)
        return Polygons(rounded.reshape(len(regions), -1, 2))

    def rasters(self, a: Rectangles, b: Rectangles, bounds: Bounds) -> tuple[_Rasters, np.ndarray]:
        """Return rasters around pairs, and overlaps (N,): 1 or 0 of small rasters, else NaN."""
        first, last = np.minimum(a.first, b.first), np.maximum(a.last, b.last)
        small = (last <= first).any(axis=1)
        if bounds is not None:
            first, last = np.maximum(first, 0), np.minimum(last, np.asarray(bounds, float) - 1)
        outside = (last <= first).any(axis=1)
        overlaps = np.where(small, 1.0, np.where(outside, 0.0, np.nan))
        return _Rasters(first, last - first + 1), overlaps

    def to_raster(self, shape: Shape, rasters: _Rasters) -> Shape:
        """Return shapes counted from their rasters' first pixel.

        Where the raster begins left of or above the image (only without bounds), the program takes
        a rectangle's last pixel in the image for its last in the raster. That clips too early. A
        negative one counts from the raster's far end, as in a Python slice.
        """
        origin = rasters.origin
        if isinstance(shape, RegionMask):
            x, y = (np.array(shape.offset) - origin[0]).astype(int).tolist()
            return RegionMask(offset=(x, y), pixels=shape.pixels)
        if isinstance(shape, Polygons):
            return Polygons(shape.corners - origin[:, None])
        end = rasters.size - 1.0
        raster_last = origin + end
        first, last = shape.first - origin, shape.last - origin
        clipped = np.where(raster_last < -1, raster_last + end + 1, np.minimum(last, raster_last))
        return Rectangles(np.maximum(first, 0), np.where(last < 0, -1, np.minimum(clipped, end)))

    def quotient(self, intersection: np.ndarray, union: np.ndarray) -> np.ndarray:
        """Return overlaps (N,), 0 where nothing is filled."""
        return intersection / np.maximum(union, 1)


PROGRAMS = {"pysot": _TraxRules(0), "matlab_2019": _TraxRules(1), "vot_toolkit": _ToolkitRules()}
