"""Masks of targets in a frame: placed from a window, told apart, measured, and packed.

A mask keeps only the rectangle of pixels that it can lie in, so that many targets in a large frame
cost what they cover.

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
from cyclesiam.geometry.regions import mask_to_box

RotatedBox = tuple[float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class MaskProbability:
    """How likely the pixels of a rectangle are a target's; those beyond it are not.

    Args:
        left, top: the rectangle's first column and row in the frame.
        values: (h, w) float32 in 0..1.
    """

    left: int
    top: int
    values: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The pixels of a target in a frame.

    Args:
        left, top: first column and row of the rectangle that holds them.
        pixels: (h, w) bool within that rectangle.
        frame_size: H, W.
    """

    left: int
    top: int
    pixels: np.ndarray
    frame_size: tuple[int, int]

    @property
    def area(self) -> int:
        """Its number of pixels."""
        return int(np.count_nonzero(self.pixels))

    def to_array(self) -> np.ndarray:
        """Give (H, W) bool."""
        whole = np.zeros(self.frame_size, bool)
        h, w = self.pixels.shape
        whole[self.top : self.top + h, self.left : self.left + w] = self.pixels
        return whole

    @classmethod
    def from_array(cls, array: np.ndarray) -> Self:
        """Keep the rectangle around the pixels of an (H, W) array that are not zero."""
        extent, size = mask_to_box(array), (array.shape[0], array.shape[1])
        if np.isnan(extent).any():
            return cls(0, 0, np.zeros((0, 0), bool), size)
        x0, y0, x1, y1 = extent.astype(int).tolist()
        return cls(x0, y0, array[y0:y1, x0:x1].astype(bool), size)

    def box(self) -> np.ndarray:
        """Give the (4,) xyxy box around it, as `mask_extent`."""
        return mask_to_box(self.pixels) + np.array([self.left, self.top] * 2)

    def rotated_box(self) -> RotatedBox | None:
        """Give the rectangle of least area around its largest connected part.

        Returns:
            x1, y1, ... x4, y4 in pixels, around the pixels' whole squares; None of an empty mask.
        """
        contours, _ = cv2.findContours(
            self.pixels.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        if not contours:
            return None
        largest = max(contours, key=lambda contour: (cv2.contourArea(contour), len(contour)))
        # Indices of pixels are their upper left corners; the others count, too.
        hull = cv2.convexHull(largest)[:, 0]
        squares = np.concatenate([hull + np.array([x, y]) for x in (0, 1) for y in (0, 1)])
        squares = (squares + np.array([self.left, self.top])).astype(np.float32)
        corners = cv2.boxPoints(cv2.minAreaRect(squares))
        x1, y1, x2, y2, x3, y3, x4, y4 = corners.ravel().tolist()
        return x1, y1, x2, y2, x3, y3, x4, y4

    def to_rle(self) -> dict[str, Any]:
        """Give COCO's run lengths: `{"size": [H, W], "counts": "..."}`."""
        counts: Any = coco.encode(np.asfortranarray(self.to_array().astype(np.uint8)))["counts"]
        return {"size": [*self.frame_size], "counts": counts.decode("ascii")}

    @classmethod
    def from_rle(cls, packed: dict[str, Any]) -> Self:
        """Read what `to_rle` gave.

        Raises:
            ValueError: it is no such thing.
        """
        try:
            height, width = (int(side) for side in packed["size"])
            counts = packed["counts"].encode("ascii")
            with warnings.catch_warnings():  # of what newer numpy wants of pycocotools' arrays
                warnings.simplefilter("ignore", DeprecationWarning)
                decoded = coco.decode({"size": [height, width], "counts": counts})
        except (TypeError, KeyError, AttributeError, ValueError, MemoryError) as error:
            raise ValueError(f"a mask must be run lengths of COCO's kind: {error}") from None
        return cls.from_array(decoded)


def paste_mask(
    values: np.ndarray, window: Sequence[float], frame_size: tuple[int, int]
) -> MaskProbability:
    """Lay a network's mask over the frame that it was seen in, bilinearly.

    Args:
        values: (T, T) float32 in 0..1.
        window: cxcywh in image pixels that it covers.
        frame_size: H, W.
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
    placed = cv2.warpAffine(values, to_image, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    return MaskProbability(left, top, placed)


def resolve_overlaps(
    probabilities: Sequence[MaskProbability], frame_size: tuple[int, int], threshold: float
) -> list[Mask]:
    """Give each pixel to the target that it is most likely of, where any is likely enough.

    Args:
        probabilities: of targets in one frame.
        frame_size: H, W.
        threshold: least probability of a mask's pixel.
    """
    pixels = [one.values > threshold for one in probabilities]
    starts = np.array([(one.left, one.top) for one in probabilities]).reshape(-1, 2)
    ends = starts + np.array([one.values.shape[::-1] for one in probabilities]).reshape(-1, 2)
    low, high = np.maximum(starts[:, None], starts), np.minimum(ends[:, None], ends)
    for pair in np.argwhere(np.triu((low < high).all(axis=-1), 1)):  # rectangles that meet
        first, second = pair
        (left, top), (right, bottom) = low[first, second], high[first, second]
        here, there = (
            (slice(top - y, bottom - y), slice(left - x, right - x)) for x, y in starts[pair]
        )
        wins = probabilities[second].values[there] > probabilities[first].values[here]
        pixels[first][here] &= ~wins
        pixels[second][there] &= wins
    return [
        Mask(one.left, one.top, own, frame_size)
        for one, own in zip(probabilities, pixels, strict=True)
    ]


def box_to_mask(box: Sequence[float], frame_size: tuple[int, int]) -> Mask:
    """Give the pixels whose centres lie in a box, xyxy in pixels."""
    x0, y0, x1, y1 = pixel_bounds(box, frame_size)
    pixels = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool)
    return Mask(x0, y0, pixels, frame_size)


def pixel_bounds(box: Sequence[float], frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give the first column and row whose pixels lie in a box, and those just beyond it."""
    height, width = frame_size
    x0, y0, x1, y1 = (math.ceil(edge - 0.5) for edge in box)
    return min(max(x0, 0), width), min(max(y0, 0), height), min(x1, width), min(y1, height)


def merge_masks(masks: Mapping[int, np.ndarray], frame_size: tuple[int, ...]) -> np.ndarray:
    """Merge masks into one label map; where they overlap, the smaller mask wins.

    Args:
        masks: number of an object to its pixels, (H, W) bool.
        frame_size: H, W.

    Returns:
        (H, W) uint8, 0 where no mask is.

    >>> merge_masks({1: np.array([[True, False]]), 2: np.array([[True, True]])}, (1, 2))
    array([[1, 2]], dtype=uint8)
    """
    labels = np.zeros(frame_size, np.uint8)
    for number in sorted(masks, key=lambda number: (-int(masks[number].sum()), -number)):
        labels[masks[number]] = number
    return labels
