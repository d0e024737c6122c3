"""Masks on disk: PNG files whose pixels are numbers of objects, not colors.

H, W: rows and columns of an image.

OpenCV returns the colors of a palette. So these files are read with Pillow, which returns indices.
"""

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from cyclesiam.datasets.label_policy import check_label_access
from cyclesiam.errors import DatasetError

VOID = 255
"""Label of pixels that the annotators left undecided."""
MAX_GRAY_LABEL = 32
"""Largest label in a gray file. The first color of the benchmarks' palette, dark red, has a
brightness of 38, so a palette that was converted to gray is recognized."""
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, zlib.error, Image.DecompressionBombError)
"""What Pillow raises on a file that is damaged or not an image."""
GRAY_DEPTH = 24  # byte of a PNG's header that holds the bits per pixel


def read_label_map(path: Path, *, first: bool = False) -> np.ndarray:
    """Read numbers of objects.

    Args:
        path: a PNG with a palette, whose indices are the labels, or a gray one whose values are
            small numbers, 0 and 255 (`MAX_GRAY_LABEL`, `VOID`).
        first: whether an object begins in this frame, for the label policy.

    Returns:
        (H, W) uint8.

    Raises:
        DatasetError: the file is missing, damaged, in colors, not a PNG, or gray with values that
            are not labels.
        LabelPolicyError: the label policy does not allow it to be read.
    """
    image = _open(path, first)
    if image.mode not in ("P", "L", "1"):
        raise DatasetError(
            f"{path}: a label map must be a PNG with a palette, or gray with the labels as values; "
            f"this one has pixels of the kind {image.mode}. Get the benchmark's own file."
        )
    labels = _values(image, path)
    strange = (labels > MAX_GRAY_LABEL) & (labels != VOID)
    if image.mode != "P" and strange.any():
        raise DatasetError(
            f"{path}: this PNG has no palette, and its value {labels[strange].min()} is not a "
            "label: its palette was lost by converting it. Get the benchmark's own file."
        )
    return labels


def read_mask(path: Path, *, first: bool = False) -> np.ndarray:
    """Read which pixels are not background: label not 0, or not black in a gray or color file.

    Args:
        path: a PNG.
        first: whether the object begins in this frame, for the label policy.

    Returns:
        (H, W) bool.

    Raises:
        DatasetError: the file is missing, damaged or not a PNG.
        LabelPolicyError: the label policy does not allow it to be read.
    """
    image = _open(path, first)
    if image.mode in ("P", "L", "1"):
        return _values(image, path).astype(bool)
    return np.any(np.asarray(image.convert("RGB")), axis=2)


def image_size(path: Path) -> tuple[int, int]:
    """Return (W, H) of an image from its header alone.

    Raises:
        DatasetError: the file is missing, or is not an image.
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
    """Return the stored numbers (H, W) uint8 of a gray or palette image."""
    values = np.asarray(image).astype(np.uint8)
    if image.mode != "L":
        return values
    with path.open("rb") as file:
        bits = file.read(GRAY_DEPTH + 1)[GRAY_DEPTH]
    return values // np.uint8(255 // (2**bits - 1))  # Pillow spreads 2 and 4 bits over 0..255


def _unreadable(path: Path) -> DatasetError:
    return DatasetError(f"{path}: this image cannot be read. Unpack it again.")
