"""Masks on disk: PNG files whose pixels are numbers of objects, never colours.

H, W: rows and columns of a picture.

OpenCV gives the colours of a palette, so these files are read with Pillow, which gives the indices.
"""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from cyclesiam.datasets.label_policy import check_label_access
from cyclesiam.errors import DatasetError

VOID = 255
"""Label of pixels that the annotators left open."""
MOST_OBJECTS = 32
"""Largest label that is believed of a grey file. The first colour of the benchmarks' palette, dark
red, has a brightness of 38, so a palette that was converted to grey is found out."""
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on a file that is damaged or no picture."""
GREY_DEPTH = 24  # byte of a PNG's header that has the bits of a pixel


def read_label_map(path: Path, *, first: bool = False) -> np.ndarray:
    """Read numbers of objects.

    Args:
        path: a PNG with a palette (its indices are the labels), or a grey one whose values are
            small numbers, 0 and 255 (`MOST_OBJECTS`, `VOID`).
        first: whether an object begins in this frame, for the label policy.

    Returns:
        (H, W) uint8.

    Raises:
        DatasetError: the file is missing, damaged, in colours, not a PNG, or grey with values that
            are no labels.
        LabelPolicyError: this mask may not be read.
    """
    image = _open(path, first)
    if image.mode not in ("P", "L", "1"):
        raise DatasetError(
            f"{path}: a label map must be a PNG with a palette, or grey with the labels as values; "
            f"this one has pixels of the kind {image.mode}. Get the benchmark's own file."
        )
    labels = _values(image, path)
    strange = (labels > MOST_OBJECTS) & (labels != VOID)
    if image.mode != "P" and strange.any():
        raise DatasetError(
            f"{path}: this PNG has no palette, and its value {labels[strange].min()} is no label: "
            "its palette was lost by converting it. Get the benchmark's own file."
        )
    return labels


def read_mask(path: Path, *, first: bool = False) -> np.ndarray:
    """Read what is not background: label not 0, or not black in a grey or coloured file.

    Args:
        path: a PNG.
        first: whether the object begins in this frame, for the label policy.

    Returns:
        (H, W) bool.

    Raises:
        DatasetError: the file is missing, damaged or not a PNG.
        LabelPolicyError: this mask may not be read.
    """
    image = _open(path, first)
    if image.mode in ("P", "L", "1"):
        return _values(image, path).astype(bool)
    return np.any(np.asarray(image.convert("RGB")), axis=2)


def image_size(path: Path) -> tuple[int, int]:
    """Give (W, H) of a picture from its header alone.

    Raises:
        DatasetError: the file is missing, or is no picture.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except UNREADABLE as error:
        raise _unreadable(path) from error


def _open(path: Path, first: bool) -> Image.Image:
    check_label_access(path, "first mask" if first else "mask")
    try:
        with Image.open(path) as image:
            image.load()
    except UNREADABLE as error:
        raise _unreadable(path) from error
    if image.format != "PNG":
        raise DatasetError(
            f"{path}: a mask must be a PNG, this is {image.format}. Get the benchmark's own file."
        )
    return image


def _values(image: Image.Image, path: Path) -> np.ndarray:
    """Stored numbers (H, W) uint8 of a grey or palette picture."""
    values = np.asarray(image).astype(np.uint8)
    if image.mode != "L":
        return values
    with path.open("rb") as file:
        bits = file.read(GREY_DEPTH + 1)[GREY_DEPTH]
    return values // np.uint8(255 // (2**bits - 1))  # Pillow spreads 2 and 4 bits over 0..255


def _unreadable(path: Path) -> DatasetError:
    return DatasetError(f"{path}: this picture cannot be read. Unpack it again.")
