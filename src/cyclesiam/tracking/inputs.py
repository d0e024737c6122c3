"""Check boxes, images and masks that users pass to a tracker, and make arrays of them.

Shapes: B targets, (H, W) the frame.
"""

from collections.abc import Sequence

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, to_device_of
from cyclesiam.errors import TargetError


def validate_box(box_xywh: Sequence[float], frame_size: tuple[int, int]) -> list[float]:
    """Return a box as four floats, if it can be a target.

    Args:
        box_xywh: left, top, width, height in pixels.
        frame_size: height and width of the frame.

    Raises:
        TargetError: it is not four finite numbers, is empty, or lies outside the frame.
    """
    height, width = frame_size
    try:
        box = [float(number) for number in box_xywh]
    except (TypeError, ValueError):
        raise TargetError(f"a box is four numbers x, y, w, h; got {box_xywh!r}") from None
    shown = ", ".join(f"{number:g}" for number in box)
    if len(box) != 4:
        raise TargetError(f"a box is four numbers x, y, w, h; got {len(box)}: {shown}")
    if not np.isfinite(box).all():
        raise TargetError(f"a box must be finite numbers x, y, w, h; got {shown}")
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise TargetError(f"a box must have a width and height above zero; got {shown}")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TargetError(f"the box {shown} (x, y, w, h) lies outside the {width}x{height} frame")
    return box


def to_frame(image: np.ndarray, like: AnyArray) -> AnyArray:
    """Return an image as (1, 3, H, W) uint8, without a copy on a CPU.

    Args:
        image: (H, W, 3) uint8 RGB.
        like: an array of the library, and on the device, that the tracker computes with.

    Raises:
        ValueError: the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"an image must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}"
        )
    pixels = to_device_of(like, np.require(image, requirements=["C", "W"]))
    return array_namespace(like).moveaxis(pixels, -1, 0)[None]


def to_masks(masks: Sequence[np.ndarray], like: AnyArray) -> AnyArray:
    """Return masks as (B, 1, H, W) uint8, 255 on the targets' pixels.

    Args:
        masks: (H, W) each, not zero on a target's pixels.
        like: an array of the library, and on the device, that the tracker computes with.
    """
    stacked = np.stack([np.where(mask, 255, 0) for mask in masks]).astype(np.uint8)
    return to_device_of(like, stacked)[:, None]
