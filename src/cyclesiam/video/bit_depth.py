"""From 16 bits to 8: cameras for heat and microscopes often fill 10, 12 or 14 of the 16."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

MEASURED_FRAMES = 8  # of a source, evenly spaced
OUTLIERS = 0.01  # percent of pixels at either end: dead ones, and hot ones
NARROW = 1 / 8  # a smaller part of the depth's range is widened, with a margin for later frames
MIN_RANGE = 64  # levels that a picture must have for that; else it shows nothing
MARGIN = 1 / 4  # of the range, at either end


class Levels(NamedTuple):
    """The values of 16-bit pixels that become black and white."""

    black: int
    white: int


def measure_levels(images: Iterable[np.ndarray]) -> Levels:
    """Find the levels of a source from some of its uint16 images.

    White is the largest number of the bits that are in use, an even number of them. Where the
    images fill a narrow range of that, as temperatures do, the range is widened to all levels.
    """
    ends = np.array([np.percentile(image, (OUTLIERS, 100 - OUTLIERS)) for image in images])
    low, high = int(ends[:, 0].min()), int(ends[:, 1].max())
    bits = max(8, high.bit_length())
    white = 2 ** (bits + bits % 2) - 1
    if MIN_RANGE <= high - low < NARROW * white:
        margin = int(MARGIN * (high - low))
        return Levels(max(low - margin, 0), min(high + margin, 65535))
    return Levels(0, white)


def to_8_bits(image: np.ndarray, levels: Levels) -> np.ndarray:
    """Scale uint16 pixels to uint8, black to 0 and white to 255."""
    return _table(levels)[image]


@lru_cache(maxsize=16)
def _table(levels: Levels) -> np.ndarray:
    """Return the uint8 value of each uint16 value."""
    values = np.arange(65536)
    width = levels.white - levels.black
    scaled = (np.clip(values - levels.black, 0, width) * 255 + width // 2) // width
    return scaled.astype(np.uint8)
