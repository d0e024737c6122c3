"""Masks of targets in a frame: pasting, overlaps, label maps, boxes, and run lengths.

A mask stores only the rectangle that holds its pixels. The cost of many targets in a large frame
grows with their areas, not with the frame's.

Shapes: (H, W) a frame, (h, w) the rectangle of a mask, T pixels on a side of a network's mask.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from pycocotools import mask as coco

from cyclesiam.geometry.crops import crop_to_image_matrix

RotatedBox = tuple[float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class MaskProbability:
    """Probability of each pixel of a rectangle to belong to a target; 0 outside the rectangle.

    Args:
        left, top: first column and row of the rectangle in the frame.
        values: (h, w) float32 in 0..1.
    """

    left: int
    top: int
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The pixels of a target in a frame.

    Args:
        left, top: first column and row of the rectangle that holds the pixels.
        pixels: (h, w) bool within that rectangle.
        frame_size: H, W.
    """

    left: int
    top: int
    pixels: np.ndarray
    frame_size: tuple[int, int]

    @property
    def area(self) -> int:
        """The number of pixels of the target."""
        return int(np.count_nonzero(self.pixels))

    def to_array(self) -> np.ndarray:
        """Return the mask of the whole frame, (H, W) bool."""
        array = np.zeros(self.frame_size, bool)
        h, w = self.pixels.shape
        array[self.top : self.top + h, self.left : self.left + w] = self.pixels
        return array

    @classmethod
    def from_array(cls, array: np.ndarray) -> Self:
        """Make a mask of the pixels of an (H, W) array that are not zero."""
        box, size = mask_to_box(array), (array.shape[0], array.shape[1])
        if np.isnan(box).any():
            return cls(0, 0, np.zeros((0, 0), bool), size)
        x0, y0, x1, y1 = box.astype(int).tolist()
        return cls(x0, y0, array[y0:y1, x0:x1].astype(bool), size)

    def box(self) -> np.ndarray:
        """Return the tight box around the pixels, (4,) float xyxy; NaN of an empty mask."""
        return mask_to_box(self.pixels) + np.array([self.left, self.top] * 2)

    def rotated_box(self) -> RotatedBox | None:
        """Return the rectangle of minimal area around the largest connected component.

        Returns:
            Corners x1, y1, ... x4, y4 in pixels. The rectangle holds the whole squares of the
            pixels, not only their centers. None of an empty mask.
        """
        contours, _ = cv2.findContours(
            self.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        if not contours:
            return None
        largest = max(contours, key=lambda contour: (cv2.contourArea(contour), len(contour)))
        # The index of a pixel is its upper left corner. The other three corners count too.
        hull = cv2.convexHull(largest)[:, 0]
        squares = np.concatenate([hull + np.array([x, y]) for x in (0, 1) for y in (0, 1)])
        squares = (squares + np.array([self.left, self.top])).astype(np.float32)
        corners = cv2.boxPoints(cv2.minAreaRect(squares))
        x1, y1, x2, y2, x3, y3, x4, y4 = corners.ravel().tolist()
        return x1, y1, x2, y2, x3, y3, x4, y4

    def to_rle(self) -> dict[str, Any]:
        """Return COCO run lengths: `{"size": [H, W], "counts": "..."}`."""
        counts: Any = coco.encode(np.asfortranarray(self.to_array().astype(np.uint8)))["counts"]
        return {"size": [*self.frame_size], "counts": counts.decode("ascii")}

    @classmethod
    def from_rle(cls, packed: dict[str, Any]) -> Self:
        """Make a mask from COCO run lengths, the output of `to_rle`.

        Raises:
            ValueError: `packed` does not hold valid run lengths.
        """
        try:
            height, width = (int(side) for side in packed["size"])
            counts = packed["counts"].encode("ascii")
            with warnings.catch_warnings():  # pycocotools warns with newer NumPy
                warnings.simplefilter("ignore", DeprecationWarning)
                decoded = coco.decode({"size": [height, width], "counts": counts})
        except (TypeError, KeyError, AttributeError, ValueError, MemoryError) as error:
            raise ValueError(f"a mask must be run lengths of COCO's kind: {error}") from None
        return cls.from_array(decoded)


def paste_mask(
    values: np.ndarray, window: Sequence[float], frame_size: tuple[int, int]
) -> MaskProbability:
    """Resample a network's mask from its window to the pixels of the frame, bilinearly.

    Args:
        values: (T, T) float32 probabilities in 0..1.
        window: region of the frame that `values` cover, cxcywh in pixels.
        frame_size: H, W.

    Returns:
        The probabilities within the part of the window that lies in the frame.
    """
    cx, cy, width, height = window
    left, top = (
        max(math.floor(cx - width / 2), 0),
        max(math.floor(cy - height / 2), 0),
    )
    right = min(math.ceil(cx + width / 2), frame_size[1])
    bottom = min(math.ceil(cy + height / 2), frame_size[0])
    if right <= left or bottom <= top:
        return MaskProbability(0, 0, np.zeros((0, 0), np.float32))
    to_image = crop_to_image_matrix((cx - left, cy - top, width, height), values.shape[::-1])
    pasted = cv2.warpAffine(values, to_image, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    return MaskProbability(left, top, pasted)


def resolve_overlaps(
    probabilities: Sequence[MaskProbability], frame_size: tuple[int, int], threshold: float
) -> list[Mask]:
    """Assign each pixel to the most probable target; return one mask for each target.

    Args:
        probabilities: one for each target of the frame. Of equal values the first target wins.
        frame_size: H, W.
        threshold: a pixel belongs to no target where no probability is above this, 0..1.
    """
    pixels = [one.values > threshold for one in probabilities]
    starts = np.array([(one.left, one.top) for one in probabilities]).reshape(-1, 2)
    ends = starts + np.array([one.values.shape[::-1] for one in probabilities]).reshape(-1, 2)
    low, high = np.maximum(starts[:, None], starts), np.minimum(ends[:, None], ends)
    for pair in np.argwhere(np.triu((low < high).all(axis=-1), 1)):  # rectangles that overlap
        first, second = pair
        (left, top), (right, bottom) = low[first, second], high[first, second]
        in_first, in_second = (
            (slice(top - y, bottom - y), slice(left - x, right - x)) for x, y in starts[pair]
        )
        wins = probabilities[second].values[in_second] > probabilities[first].values[in_first]
        pixels[first][in_first] &= ~wins
        pixels[second][in_second] &= wins
    return [
        Mask(one.left, one.top, own, frame_size)
        for one, own in zip(probabilities, pixels, strict=True)
    ]


def box_to_mask(box: Sequence[float], frame_size: tuple[int, int]) -> Mask:
    """Return the mask of the pixels whose centers lie in a box, xyxy in pixels."""
    x0, y0, x1, y1 = pixel_bounds(box, frame_size)
    pixels = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool)
    return Mask(x0, y0, pixels, frame_size)


def pixel_bounds(box: Sequence[float], frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the range of pixels whose centers lie in a box, clipped to the frame.

    Args:
        box: xyxy in pixels.
        frame_size: H, W.

    Returns:
        First column, first row, and the column and row after the last ones. For a box outside
        the frame the end may come before the start.
    """
    height, width = frame_size
    x0, y0, x1, y1 = (math.ceil(edge - 0.5) for edge in box)
    return min(max(x0, 0), width), min(max(y0, 0), height), min(x1, width), min(y1, height)


def merge_masks(masks: Mapping[int, np.ndarray], frame_size: tuple[int, ...]) -> np.ndarray:
    """Merge masks of objects into one label map. Where masks overlap, the smaller one wins.

    Args:
        masks: object ids, 1..255, to pixels, (H, W) bool.
        frame_size: H, W.

    Returns:
        (H, W) uint8: the object's id, 0 where there is none.

    >>> merge_masks({1: np.array([[True, False]]), 2: np.array([[True, True]])}, (1, 2))
    array([[1, 2]], dtype=uint8)
    """
    labels = np.zeros(frame_size, np.uint8)
    for object_id in sorted(masks, key=lambda key: (-int(masks[key].sum()), -key)):
        labels[masks[object_id]] = object_id
    return labels


def polygon_to_box(points: np.ndarray) -> np.ndarray:
    """Return the tight box around each polygon.

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
    """Return the tight box around a mask.

    Args:
        mask: (H, W); pixels that are not zero belong to the region.

    Returns:
        (4,) float xyxy in continuous pixels: the box of a single pixel has size 1. NaN of an
        empty mask.

    >>> mask_to_box(np.eye(3))
    array([0., 0., 3., 3.])
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.full(4, np.nan)
    # A pixel covers the unit square from its index on.
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
