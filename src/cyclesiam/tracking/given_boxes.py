"""Boxes that people give: what is wrong with them is said before anything is followed."""

from collections.abc import Sequence

import numpy as np

from cyclesiam.errors import TargetError


def check_box(box_xywh: Sequence[float], frame_size: tuple[int, int]) -> list[float]:
    """Give a box as four floats, if it can be a target.

    Args:
        box_xywh: left, top, width, height in pixels.
        frame_size: height and width of the frame.

    Raises:
        TargetError: what is wrong with it.
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
