"""Regions of many frames, and the shapes in which their pixels are counted.

T: frames. N: regions of one kind. K: numbers of a region. V: corners of a polygon.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from cyclesiam.geometry.masks import mask_to_box


@dataclass(frozen=True, slots=True, eq=False)
class Rectangles:
    """N upright rectangles.

    Args:
        first: (N, 2) column and row of the first pixel.
        last: (N, 2) column and row of the last pixel, included; below `first` in an empty one.
    """

    first: np.ndarray
    last: np.ndarray

    def take(self, which: np.ndarray) -> "Rectangles":
        """Return some of the rectangles, (N,) bool."""
        return Rectangles(self.first[which], self.last[which])

    def count(self) -> np.ndarray:
        """Return the number of pixels (N,)."""
        return np.clip(self.last - self.first + 1, 0, None).prod(axis=1)

    def count_intersection(self, other: "Rectangles") -> np.ndarray:
        """Return the number of pixels (N,) shared with the other's rectangles."""
        first, last = np.maximum(self.first, other.first), np.minimum(self.last, other.last)
        return Rectangles(first, last).count()


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """N polygons with the same number of corners.

    Args:
        corners: (N, V, 2) x and y.
    """

    corners: np.ndarray

    def take(self, which: np.ndarray) -> "Polygons":
        """Return some of the polygons, (N,) bool."""
        return Polygons(self.corners[which])


@dataclass(frozen=True, slots=True, eq=False)
class RegionMask:
    """One region as pixels.

    Args:
        offset: column and row of the first pixel in the image.
        pixels: (H, W) bool.
    """

    offset: tuple[int, int]
    pixels: np.ndarray

    def take(self, _: np.ndarray) -> "RegionMask":
        """Return itself, the only one."""
        return self

    def box(self) -> Rectangles:
        """Return the box around the region; an empty mask counts as its first pixel."""
        box = mask_to_box(self.pixels) if self.pixels.any() else np.array([0.0, 0, 1, 1])
        return Rectangles(box[None, :2] + self.offset, box[None, 2:] - 1 + self.offset)


Shape = Rectangles | Polygons | RegionMask
Region = np.ndarray | RegionMask
"""(4,) rectangle xywh, (2V,) polygon x1, y1, x2, y2 ..., (1,) code without region, or a mask."""


def is_code(region: Region, code: int | None = None) -> bool:
    """Check whether a region of a trajectory is a code: `code`, or any where that is None."""
    if isinstance(region, RegionMask) or len(region) != 1:
        return False
    return code is None or bool(region[0] == code)


class RegionArray(Sequence[Region]):
    """T regions, those of one kind in one array, so that they are processed at once.

    Args:
        length: T.
        kinds: K to the frames (N,) whose region has K numbers, and these regions (N, K).
        masks: frame to mask.

    Raises:
        ValueError: no region has K numbers, a number is not finite, or a frame does not have
            exactly one region.
    """

    def __init__(
        self,
        length: int,
        kinds: Mapping[int, tuple[np.ndarray, np.ndarray]],
        masks: Mapping[int, RegionMask] | None = None,
    ) -> None:
        self.masks = dict(masks or {})
        self.kind = np.full(length, -1)  # (T,) K, and 0 for a mask
        self._row = np.zeros(length, int)  # (T,) where in the array of its kind
        self._values: dict[int, np.ndarray] = {}
        for size, (frames, values) in kinds.items():
            _check(size, values)
            self.kind[frames] = size
            self._row[frames] = np.arange(len(frames))
            self._values[size] = values
        self.kind[list(self.masks)] = 0
        count = len(self.masks) + sum(len(frames) for frames, _ in kinds.values())
        if count != length or (self.kind < 0).any():
            raise ValueError(f"{count} regions for {length} frames; each needs one")

    @classmethod
    def from_regions(cls, regions: Sequence[Region] | np.ndarray) -> "RegionArray":
        """Return regions sorted by kind: of a list, or of an array (T, K)."""
        if isinstance(regions, RegionArray):
            return regions
        if isinstance(regions, np.ndarray) and regions.ndim == 2:
            frames_of_all = np.arange(len(regions))
            kinds = {regions.shape[1]: (frames_of_all, regions.astype(float))}
            return cls(len(regions), kinds)
        masks = {t: region for t, region in enumerate(regions) if isinstance(region, RegionMask)}
        frames: dict[int, list[int]] = {}
        for frame, region in enumerate(regions):
            if not isinstance(region, RegionMask):
                frames.setdefault(len(region), []).append(frame)
        kinds = {
            size: (np.array(of_kind), np.array([regions[t] for t in of_kind], float))
            for size, of_kind in frames.items()
        }
        return cls(len(regions), kinds, masks)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers K of the regions that are no masks."""
        return tuple(self._values)

    def values(self, size: int, frames: np.ndarray) -> np.ndarray:
        """Return the regions (N, size) of frames (N,), all of which have `size` numbers."""
        return self._values[size][self._row[frames]]

    def take(self, frames: np.ndarray) -> "RegionArray":
        """Return the regions of some frames (N,)."""
        kind = self.kind[frames]
        kinds = {
            size: (found, self.values(size, frames[found]))
            for size in self.sizes
            if len(found := np.flatnonzero(kind == size))
        }
        masks = {int(n): self.masks[int(frames[n])] for n in np.flatnonzero(kind == 0)}
        return RegionArray(len(frames), kinds, masks)

    def exceeds(self, width: float, height: float) -> np.ndarray:
        """Return which regions (T,) reach right of `width` or below `height`, in pixels.

        A code never does. For a mask it is not computed: the value is True.
        """
        exceeds = self.kind == 0
        for size in self.sizes:
            if size > 1:
                frames = np.flatnonzero(self.kind == size)
                values = self.values(size, frames)
                x, y = values[:, 0::2], values[:, 1::2]
                if size == 4:
                    x, y = x.sum(axis=1, keepdims=True), y.sum(axis=1, keepdims=True)
                exceeds[frames] = (x.max(axis=1) > width) | (y.max(axis=1) > height)
        return exceeds

    def frames_with(self, code: int) -> list[int]:
        """Return the frames that hold a code, in order."""
        if 1 not in self._values:
            return []
        frames = np.flatnonzero(self.kind == 1)
        return frames[self.values(1, frames)[:, 0] == code].tolist()

    @property
    def is_code(self) -> np.ndarray:
        """(T,) bool, which frames hold a code."""
        return self.kind == 1

    def __len__(self) -> int:
        return len(self.kind)

    @overload
    def __getitem__(self, frame: int) -> Region: ...
    @overload
    def __getitem__(self, frame: slice) -> Sequence[Region]: ...
    def __getitem__(self, frame: int | slice) -> Region | Sequence[Region]:
        if isinstance(frame, slice):
            return [self[t] for t in range(*frame.indices(len(self)))]
        if self.kind[frame] == 0:
            return self.masks[frame % len(self)]
        return self._values[int(self.kind[frame])][self._row[frame]]

    def __iter__(self) -> Iterator[Region]:
        return (self[frame] for frame in range(len(self)))


def _check(size: int, values: np.ndarray) -> None:
    if not (size in (1, 4) or (size >= 6 and size % 2 == 0)):
        raise ValueError(f"{size} numbers are no code, rectangle or polygon")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise ValueError(f"a region must be finite, got {values[~finite][0]}")
