"""Regions of many frames: rectangles, polygons, masks and codes, held by kind.

T: frames. K: numbers of a region.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class RegionMask:
    """A region given by its pixels.

    Args:
        offset: column and row of the first pixel in the image.
        pixels: (H, W) bool.
    """

    offset: tuple[int, int]
    pixels: np.ndarray


Region = np.ndarray | RegionMask
"""(4,) rectangle xywh, (2V,) polygon x1, y1, x2, y2 ..., (1,) code without region, or a mask."""


def is_code(region: Region, code: int | None = None) -> bool:
    """Say whether a region is a code (any, or the given one) in a trajectory."""
    if isinstance(region, RegionMask) or len(region) != 1:
        return False
    return code is None or bool(region[0] == code)


class RegionArray(Sequence[Region]):
    """T regions, those of the same kind in one array, so that they are judged all at once.

    Args:
        length: T.
        kinds: K to the frames (N,) that have a region of K numbers, and these regions (N, K).
        masks: frame to mask.

    Raises:
        ValueError: K numbers are no region, a number is not finite, or a frame has not one region.
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
        given = len(self.masks) + sum(len(frames) for frames, _ in kinds.values())
        if given != length or (self.kind < 0).any():
            raise ValueError(f"{given} regions for {length} frames; each needs one")

    @classmethod
    def from_regions(cls, regions: Sequence[Region] | np.ndarray) -> "RegionArray":
        """Hold regions by kind: a list of them, or an array (T, K)."""
        if isinstance(regions, RegionArray):
            return regions
        if isinstance(regions, np.ndarray) and regions.ndim == 2:
            every = np.arange(len(regions))
            return cls(len(regions), {regions.shape[1]: (every, regions.astype(float))})
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
        """The numbers K that occur, without masks."""
        return tuple(self._values)

    def values(self, size: int, frames: np.ndarray) -> np.ndarray:
        """Give the regions (N, size) of frames (N,) that are all of that kind."""
        return self._values[size][self._row[frames]]

    def take(self, frames: np.ndarray) -> "RegionArray":
        """Give the regions of some frames (N,), as a table of N frames."""
        kind = self.kind[frames]
        kinds = {
            size: (found, self.values(size, frames[found]))
            for size in self.sizes
            if len(found := np.flatnonzero(kind == size))
        }
        masks = {int(n): self.masks[int(frames[n])] for n in np.flatnonzero(kind == 0)}
        return RegionArray(len(frames), kinds, masks)

    def exceeds(self, width: float, height: float) -> np.ndarray:
        """Say which regions (T,) reach beyond a point, right of or below it; codes never do.

        A mask is always said to.
        """
        reaches = self.kind == 0
        for size in self.sizes:
            if size > 1:
                frames = np.flatnonzero(self.kind == size)
                values = self.values(size, frames)
                x, y = values[:, 0::2], values[:, 1::2]
                if size == 4:
                    x, y = x.sum(axis=1, keepdims=True), y.sum(axis=1, keepdims=True)
                reaches[frames] = (x.max(axis=1) > width) | (y.max(axis=1) > height)
        return reaches

    def frames_with(self, code: int) -> list[int]:
        """List the frames that hold a code."""
        if 1 not in self._values:
            return []
        frames = np.flatnonzero(self.kind == 1)
        return frames[self.values(1, frames)[:, 0] == code].tolist()

    @property
    def is_code(self) -> np.ndarray:
        """Say which frames (T,) hold a code."""
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
