"""Check boxes, images and masks that users pass to a tracker, and make arrays of them.

Shapes: B targets, (H, W) the frame.
"""

from collections.abc import Mapping, Sequence, Set
from os import PathLike
from typing import Any
from warnings import warn

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, to_device_of
from cyclesiam.errors import CycleSiamWarning, ImageError, TargetError

MIN_SIDE = 0.5  # pixels; a box that is narrower holds nothing to look for


def validate_box(box_xywh: Sequence[float], frame_size: tuple[int, int]) -> list[float]:
    """Return a box as four floats, if it can be a target.

    A box that is larger than the frame is cut to the frame, with a warning.

    Args:
        box_xywh: left, top, width, height in pixels.
        frame_size: height and width of the frame.

    Raises:
        TargetError: it is not four finite numbers, is less than `MIN_SIDE` wide or high, or lies
            outside the frame.
    """
    height, width = frame_size
    box = _four_numbers(box_xywh)
    shown = ", ".join(f"{number:g}" for number in box)
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise TargetError(f"a box must have a width and height above zero; got {shown}")
    if min(w, h) < MIN_SIDE:
        raise TargetError(f"a box must be {MIN_SIDE:g} pixels wide and high, or more; got {shown}")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TargetError(f"the box {shown} (x, y, w, h) lies outside the {width}x{height} frame")
    return box if w <= width and h <= height else _cut_to_frame(box, frame_size)


def _cut_to_frame(box: list[float], frame_size: tuple[int, int]) -> list[float]:
    """Return the part of a box, xywh, that lies in a frame, and warn that it was cut.

    Raises:
        TargetError: hardly anything of it does.
    """
    (x, y, w, h), (height, width) = box, frame_size
    left, top = max(x, 0.0), max(y, 0.0)
    cut = [left, top, min(x + w, width) - left, min(y + h, height) - top]
    shown, cut_shown = (", ".join(f"{number:g}" for number in part) for part in (box, cut))
    if min(cut[2:]) < MIN_SIDE:
        raise TargetError(f"the box {shown} (x, y, w, h) lies outside the {width}x{height} frame")
    warn(
        f"the box {shown} (x, y, w, h) is larger than the {width}x{height} frame, and was cut to "
        f"{cut_shown}; is it in pixels of this frame?",
        CycleSiamWarning,
        stacklevel=3,
    )
    return cut


def _four_numbers(box_xywh: Any) -> list[float]:
    """Return the four finite numbers of a box; neither text nor booleans are numbers.

    Raises:
        TargetError: these are no four finite numbers.
    """
    wrong = TargetError(f"a box is four numbers x, y, w, h; got {repr(box_xywh)[:80]}")
    if isinstance(box_xywh, str | bytes | Set | Mapping):
        raise wrong
    try:
        values = list(box_xywh)
        if any(isinstance(value, str | bytes) or _is_boolean(value) for value in values):
            raise wrong
        box = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise wrong from None
    shown = ", ".join(f"{number:g}" for number in box)
    if len(box) != 4:
        raise TargetError(f"a box is four numbers x, y, w, h; got {len(box)}: {shown}")
    if not np.isfinite(box).all():
        raise TargetError(f"a box must be finite numbers x, y, w, h; got {shown}")
    return box


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def to_frame(image: Any, like: AnyArray, frame_size: tuple[int, int] | None = None) -> AnyArray:
    """Return an image as (1, 3, H, W) uint8 in memory of its own.

    So the caller may draw on the image, or read the next one into it. A copy of 1280 x 720 pixels
    takes 0.2 ms.

    Args:
        image: (H, W, 3) uint8 RGB: an array, a Pillow image, or what else NumPy reads as one.
        like: an array of the library, and on the device, that the tracker computes with.
        frame_size: height and width that it must have; None for any.

    Raises:
        ImageError: there is no image, or it has another shape, type or size.
    """
    pixels = _to_pixels(image)
    if frame_size is not None and pixels.shape[:2] != frame_size:
        (height, width), (first_height, first_width) = pixels.shape[:2], frame_size
        raise ImageError(
            f"an image is {width}x{height} pixels, and those before it {first_width}x"
            f"{first_height}: boxes count in pixels, so resize it, or start anew with .init"
        )
    own = to_device_of(like, np.array(pixels, order="C"))
    return array_namespace(like).moveaxis(own, -1, 0)[None]


def _to_pixels(image: Any) -> np.ndarray:
    """Return an image as an (H, W, 3) uint8 array, which may share the caller's memory.

    Raises:
        ImageError: it is none.
    """
    if image is None:
        raise ImageError("no frame: the image is None. The source has ended, or cannot be read?")
    if not isinstance(image, np.ndarray):
        image = _read_as_array(image)
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 and image.size:
        return image
    if not image.size:
        raise ImageError(f"the image is empty: its shape is {image.shape}")
    hint = _explain_shape(image.shape) or _explain_type(image.dtype)
    raise ImageError(
        f"an image must be (height, width, 3) uint8 RGB, got {image.shape} {image.dtype}{hint}"
    )


def _read_as_array(image: Any) -> np.ndarray:
    """Return a Pillow image, a tensor, or another object that NumPy can read, as an array."""
    kind = f"an image must be an array (height, width, 3) uint8 RGB, got {type(image).__name__}"
    if isinstance(image, str | bytes | PathLike):
        raise ImageError(f"{kind} {str(image)[:80]!r}: read files by cyclesiam.open_frames")
    if isinstance(image, tuple) and len(image) == 2 and isinstance(image[0], bool):
        raise ImageError(f"{kind}: cv2's read() returns two values, `ok, image = capture.read()`")
    if isinstance(getattr(image, "image", None), np.ndarray):
        raise ImageError(f"{kind}: pass its pixels, `frame.image`")
    if not hasattr(image, "__array__") and not hasattr(image, "__array_interface__"):
        raise ImageError(kind)
    try:
        return np.asarray(image)
    except Exception as error:
        raise ImageError(f"{kind}, which NumPy cannot read: {error}") from error


def _explain_shape(shape: tuple[int, ...]) -> str:
    """Return what to do with an image of a shape; nothing if it is right."""
    match shape:
        case (_, _) | (_, _, 1):
            return "; a gray one becomes RGB by cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)"
        case (_, _, 3):
            return ""
        case (_, _, 4):
            return "; image[..., :3] leaves out the transparency"
        case (3, _, _):
            return "; its channels come first, np.moveaxis(image, 0, -1) moves them"
        case (_, _, _, _):
            return "; pass one image at a time"
        case _:
            return ""


def _explain_type(dtype: np.dtype) -> str:
    """Return what to do with an image of a type; nothing where no one thing would do."""
    if dtype.kind == "f":
        return "; values of 0 to 1 become (255 * image).astype(np.uint8)"
    if dtype == np.uint16:
        return "; 16 bits become (image // 256).astype(np.uint8)"
    return ""


def to_masks(masks: Sequence[np.ndarray], like: AnyArray, frame_size: tuple[int, int]) -> AnyArray:
    """Return masks as (B, 1, H, W) uint8, 255 on the targets' pixels.

    Args:
        masks: (H, W) each, not zero on a target's pixels.
        like: an array of the library, and on the device, that the tracker computes with.
        frame_size: height and width of the frame.

    Raises:
        ImageError: a mask has another shape than the frame.
    """
    arrays = [np.asarray(mask) for mask in masks]
    if wrong := [mask.shape for mask in arrays if mask.shape != frame_size]:
        raise ImageError(
            f"a mask must be (height, width) as its frame, {frame_size}; got {wrong[0]}"
        )
    stacked = np.stack([np.where(mask, 255, 0) for mask in arrays]).astype(np.uint8)
    return to_device_of(like, stacked)[:, None]
