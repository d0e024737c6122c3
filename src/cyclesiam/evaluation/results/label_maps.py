"""Label maps as result files: PNGs with the palette of DAVIS.

H, W: rows and columns.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from cyclesiam.datasets.label_maps import VOID, read_label_map, read_mask
from cyclesiam.errors import DatasetError


def davis_palette() -> bytes:
    """Return the 256 colors of DAVIS and PASCAL VOC as bytes, red, green and blue of each.

    The bits of a label go to red, green and blue in turn, to the highest bit of each first.

    >>> list(davis_palette()[3:12])
    [128, 0, 0, 0, 128, 0, 128, 128, 0]
    """
    colors = np.zeros((256, 3), int)
    for label in range(256):
        for bit in range(8):
            colors[label, bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
    return colors.astype(np.uint8).tobytes()


PALETTE = davis_palette()


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Write a label map (H, W) uint8 as a PNG whose pixels are the labels."""
    image = Image.fromarray(np.ascontiguousarray(labels))
    image.putpalette(PALETTE)
    image.save(path, format="PNG")


def read_labels(
    path: Path, size: tuple[int, int], *, objects: int, one_object: bool = False
) -> np.ndarray:
    """Read a label map that is a result.

    Args:
        path: a PNG with a palette, or a gray one with the labels as values.
        size: H, W that it must have.
        objects: the largest label that it may have.
        one_object: whether all labels but 0 count as object 1.

    Returns:
        (H, W) uint8.

    Raises:
        DatasetError: the file is missing, no such PNG, or of another size. Or it has labels that
            the annotation does not have.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: this label map is missing. Write one for each frame.")
    labels = read_mask(path).astype(np.uint8) if one_object else read_label_map(path)
    if labels.shape != size:
        raise DatasetError(
            f"{path}: this label map has {labels.shape[1]} x {labels.shape[0]} pixels, the "
            f"annotation {size[1]} x {size[0]}. Write it at the size of the frames."
        )
    largest = int(labels.max())
    if largest > objects:
        void = " (void, which only annotations have)" if largest == VOID else ""
        raise DatasetError(
            f"{path}: this label map has the label {largest}{void}, but there are {objects} "
            "objects. Write the labels of the first annotation only."
        )
    return labels
