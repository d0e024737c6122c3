"""Crops of frames, and the coordinates of boxes in them.

A window is a box (cxcywh, image pixels, any aspect ratio) that is resized to a square crop. Outside
the frame a crop is filled with the frame's mean color.

Shapes: B windows, F frames (F = B, or 1 frame for all windows), S pixels on a side of the crop.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cyclesiam.arrays import AnyArray, Array, array_namespace, on_cpu, to_numpy
from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.threads import parallel_map

if TYPE_CHECKING:
    from torch import Tensor


def context_windows(boxes: Array, *, scale: float = 1.0) -> Array:
    """Return the square windows around targets with their context.

    Args:
        boxes: (..., 4) xyxy targets, sizes above zero.
        scale: side of the window over the side of the template's window: 1 for the template,
            search size / template size for the search crop, so that both have equal resolution.

    Returns:
        (..., 4) cxcywh windows with side `scale * sqrt((w + p)(h + p))`, p = (w + h) / 2.

    Source: SiamFC (Bertinetto et al., 2016), section 2.2.
    """
    xp = array_namespace(boxes)
    both = xyxy_to_cxcywh(boxes)
    width, height = both[..., 2:3], both[..., 3:]
    padding = (width + height) / 2
    side = scale * xp.sqrt((width + padding) * (height + padding))
    return xp.concat((both[..., :2], side, side), axis=-1)


def boxes_to_crop(boxes: Array, windows: Array, crop_size: int) -> Array:
    """Return (..., 4) xyxy boxes in image pixels as boxes in the crops of `windows`, in pixels."""
    corners = cxcywh_to_xyxy(windows)
    origin, scale = corners[..., :2], crop_size / windows[..., 2:]
    parts = ((boxes[..., :2] - origin) * scale, (boxes[..., 2:] - origin) * scale)
    return array_namespace(boxes).concat(parts, axis=-1)


def boxes_to_image(boxes: Array, windows: Array, crop_size: int) -> Array:
    """Return (..., 4) xyxy boxes in crop pixels as boxes in the image; inverts `boxes_to_crop`."""
    corners = cxcywh_to_xyxy(windows)
    origin, scale = corners[..., :2], windows[..., 2:] / crop_size
    parts = (boxes[..., :2] * scale + origin, boxes[..., 2:] * scale + origin)
    return array_namespace(boxes).concat(parts, axis=-1)


def crop(
    frames: AnyArray, windows: AnyArray, crop_size: int, *, fill: float | None = None
) -> AnyArray:
    """Crop windows out of frames and resize them bilinearly to squares.

    On a CPU this is OpenCV's `warpAffine` (ten times faster there), elsewhere `grid_sample`.

    Args:
        frames: (F, C, H, W) uint8, C up to 4; fastest on a CPU in channels-last memory, the layout
            of decoded frames.
        windows: (B, 4) cxcywh in image pixels.
        crop_size: side of the crops, S.
        fill: value outside the frame; None for the frame's mean color.

    Returns:
        (B, C, S, S) float32 in 0..255, on the frames' device.

    Raises:
        ValueError: F is neither 1 nor B.
    """
    if len(frames) not in (1, len(windows)):
        raise ValueError(f"{len(windows)} windows need 1 or as many frames, got {len(frames)}")
    if on_cpu(frames):
        return crop_with_opencv(frames, windows, crop_size, fill=fill)
    return crop_with_grid_sample(frames, windows, crop_size, fill=fill)


def frame_size(frames: AnyArray) -> tuple[int, int]:
    """Return H, W of frames (F, C, H, W)."""
    return frames.shape[-2], frames.shape[-1]


def crop_to_image_matrix(window: Sequence[float], crop_size: tuple[int, int]) -> np.ndarray:
    """Return the (2, 3) affine map from pixel indices of a crop to those of the image.

    Args:
        window: cxcywh in image pixels.
        crop_size: width and height of the crop in pixels.
    """
    cx, cy, width, height = window
    step_x, step_y = width / crop_size[0], height / crop_size[1]
    # Pixel i covers i..i+1 and is sampled at its center: hence the halves.
    left, top = cx - width / 2 + step_x / 2 - 0.5, cy - height / 2 + step_y / 2 - 0.5
    return np.array([[step_x, 0, left], [0, step_y, top]])


def crop_with_opencv(
    frames: Array, windows: Array, crop_size: int, *, fill: float | None = None
) -> Array:
    """Crop with OpenCV, one window after another; arguments and result are those of `crop`."""
    images = [np.ascontiguousarray(frame.transpose(1, 2, 0)) for frame in to_numpy(frames)]
    sources = range(len(windows)) if len(images) > 1 else (0,) * len(windows)
    boxes = windows.tolist()
    fills: dict[int, Sequence[float]] = {}  # of frames that a window leaves
    for source, window in zip(sources, boxes, strict=True):
        if source not in fills and _leaves_image(window, images[source].shape):
            fills[source] = cv2.mean(images[source]) if fill is None else (fill,) * 4
    crops = np.empty((len(boxes), crop_size, crop_size, frames.shape[1]), np.float32)

    def fill_in(crop: np.ndarray, source: int, window: Sequence[float]) -> None:
        warped = cv2.warpAffine(
            images[source],
            crop_to_image_matrix(window, (crop_size, crop_size)),
            (crop_size, crop_size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fills.get(source, (0,) * 4),
        )
        crop[:] = warped.reshape(crop.shape)

    parallel_map(fill_in, crops, sources, boxes)
    return array_namespace(frames).asarray(crops.transpose(0, 3, 1, 2))


def _leaves_image(window: Sequence[float], shape: Sequence[int]) -> bool:
    """Check whether bilinear samples of a cxcywh window may lie outside an (H, W, ...) image."""
    cx, cy, width, height = window
    inside_x = width / 2 + 1 <= cx <= shape[1] - width / 2 - 1
    return not (inside_x and height / 2 + 1 <= cy <= shape[0] - height / 2 - 1)


def crop_with_grid_sample(
    frames: "Tensor", windows: "Tensor", crop_size: int, *, fill: float | None = None
) -> "Tensor":
    """Crop with `grid_sample`, all windows at once; arguments and result are those of `crop`."""
    torch = array_namespace(frames)
    B, S = len(windows), crop_size
    images = frames.float()
    background = images.mean(dim=(-2, -1), keepdim=True) if fill is None else fill
    images = (images - background).expand(B, -1, -1, -1)  # zero padding then is the background
    height, width = images.shape[-2:]
    position = (torch.arange(S, device=windows.device, dtype=windows.dtype) + 0.5) / S - 0.5
    x = (windows[:, 0, None] + position * windows[:, 2, None]) * 2 / width - 1  # (B, S) in -1..1
    y = (windows[:, 1, None] + position * windows[:, 3, None]) * 2 / height - 1
    grid = torch.stack((x[:, None].expand(B, S, S), y[:, :, None].expand(B, S, S)), dim=-1)
    sampled = torch.nn.functional.grid_sample(images, grid.to(images.dtype), align_corners=False)
    return sampled + background


def slice_window(maps: Array, corner: Sequence[int], side: int, *, fill: float = 0.0) -> Array:
    """Return a square part of maps without resizing; a view if it lies inside the maps.

    Args:
        maps: (..., H, W).
        corner: first column and row of the square. The square must overlap the maps.
        side: number of its columns and rows.
        fill: value outside the maps.

    Returns:
        (..., side, side).
    """
    left, top = corner
    height, width = maps.shape[-2:]
    inside = maps[..., max(top, 0) : top + side, max(left, 0) : left + side]
    if min(left, top) >= 0 and left + side <= width and top + side <= height:
        return inside
    padding = [max(cells, 0) for cells in (-left, left + side - width, -top, top + side - height)]
    if not isinstance(maps, np.ndarray):
        return array_namespace(maps).nn.functional.pad(inside, padding, value=fill)
    padded = np.full_like(maps, fill, shape=(*maps.shape[:-2], side, side))  # keeps memory order
    padded[..., padding[2] : side - padding[3], padding[0] : side - padding[1]] = inside
    return padded
