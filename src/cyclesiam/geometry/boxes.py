"""Axis-aligned boxes as arrays: formats, overlap, and the offsets that an RPN predicts.

A box is four floats in pixels, x to the right and y down. The format is part of every name:
`xyxy` (two corners), `xywh` (top-left corner, size), `cxcywh` (center, size). Coordinates are
continuous: the box (0, 0, W, H) covers a W x H image exactly.
"""

import math

from cyclesiam.arrays import Array, array_namespace, new_array

MAX_LOG_SCALE = math.log(1000 / 16)  # a 16 px anchor may grow to 1000 px; keeps exp() finite

XYWH = tuple[float, float, float, float]
"""One box as plain numbers: left, top, width, height in continuous pixels."""

MAX_COORDINATE = 1e9  # pixels; beyond, areas and their sums leave what float32 can tell apart


def parse_number(text: str) -> float:
    """Return a number from text. Unlike `float`, refuse what only Python writes: `1_0`, `１０`.

    Raises:
        ValueError: it is no number.

    >>> parse_number(" -8.5e1 ")
    -85.0
    """
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text)


def xyxy_to_cxcywh(boxes: Array) -> Array:
    """Return (..., 4) boxes given by two corners as center and size."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    parts = ((top_left + bottom_right) / 2, bottom_right - top_left)
    return array_namespace(boxes).concat(parts, axis=-1)


def cxcywh_to_xyxy(boxes: Array) -> Array:
    """Return (..., 4) boxes given by center and size as two corners."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return array_namespace(boxes).concat((center - half, center + half), axis=-1)


def xywh_to_xyxy(boxes: Array) -> Array:
    """Return (..., 4) boxes given by top-left corner and size as two corners."""
    return array_namespace(boxes).concat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), axis=-1)


def xyxy_to_xywh(boxes: Array) -> Array:
    """Return (..., 4) boxes given by two corners as top-left corner and size."""
    return array_namespace(boxes).concat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), axis=-1)


def encode_boxes(boxes: Array, anchors: Array) -> Array:
    """Return boxes as RPN offsets from anchors; the inverse of `decode_boxes`.

    Args:
        boxes: (..., 4) cxcywh, sizes above zero.
        anchors: (..., 4) cxcywh, sizes above zero; broadcast against `boxes`.

    Returns:
        (..., 4) offsets (dx, dy, dw, dh): center shift in units of the anchor's size, and the
        logarithm of the size ratio.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 4.
    """
    center, size = boxes[..., :2], boxes[..., 2:]
    anchor_center, anchor_size = anchors[..., :2], anchors[..., 2:]
    xp = array_namespace(boxes)
    return xp.concat(((center - anchor_center) / anchor_size, xp.log(size / anchor_size)), axis=-1)


def decode_boxes(offsets: Array, anchors: Array) -> Array:
    """Return the boxes that RPN offsets make of anchors; the inverse of `encode_boxes`.

    Args:
        offsets: (..., 4) output of `encode_boxes`; log sizes are clipped to `MAX_LOG_SCALE`.
        anchors: (..., 4) cxcywh; broadcast against `offsets`.

    Returns:
        (..., 4) boxes, cxcywh, always finite for finite offsets.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 4.
    """
    anchor_center, anchor_size = anchors[..., :2], anchors[..., 2:]
    center = offsets[..., :2] * anchor_size + anchor_center
    xp = array_namespace(offsets)
    size = xp.exp(offsets[..., 2:].clip(max=MAX_LOG_SCALE)) * anchor_size
    return xp.concat((center, size), axis=-1)


def box_area(boxes: Array) -> Array:
    """Return the areas of (..., 4) xyxy boxes; zero where the corners are reversed."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clip(min=0)
    return sides[..., 0] * sides[..., 1]


def box_iou(boxes: Array, others: Array) -> Array:
    """Return intersection over union, element by element.

    Args:
        boxes: (..., 4) xyxy.
        others: (..., 4) xyxy; broadcast against `boxes`.

    Returns:
        (...) in 0..1; 0 where both boxes are empty.
    """
    xp = array_namespace(boxes)
    low = xp.maximum(boxes[..., :2], others[..., :2])
    high = xp.minimum(boxes[..., 2:], others[..., 2:])
    sides = (high - low).clip(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    union = box_area(boxes) + box_area(others) - intersection
    return intersection / union.clip(min=float(xp.finfo(union.dtype).tiny))


def generalized_box_iou(boxes: Array, others: Array) -> Array:
    """Return the IoU less the empty ratio of the smallest box around both, element by element.

    Unlike the IoU it tells how far apart boxes are that share nothing.

    Args:
        boxes: (..., 4) xyxy, corners in order.
        others: (..., 4) xyxy, corners in order; broadcast against `boxes`.

    Returns:
        (...) in -1..1; 1 where both are equal and not empty.

    Source: Generalized IoU (Rezatofighi et al., CVPR 2019), algorithm 1.
    """
    xp = array_namespace(boxes)
    iou = box_iou(boxes, others)
    sides = xp.maximum(boxes[..., 2:], others[..., 2:]) - xp.minimum(
        boxes[..., :2], others[..., :2]
    )
    around = (sides[..., 0] * sides[..., 1]).clip(min=float(xp.finfo(iou.dtype).tiny))
    union = (box_area(boxes) + box_area(others)) / (1 + iou)  # as IoU = (areas - union) / union
    return iou - 1 + union / around


def clip_boxes_to_frame(
    boxes: Array, frame_size: tuple[int, int], *, min_size: float = 4.0
) -> Array:
    """Return boxes moved and resized so that a tracker can search around them.

    Args:
        boxes: (..., 4) xyxy.
        frame_size: height and width of the frame in pixels.
        min_size: smallest width and height that result, in pixels.

    Returns:
        (..., 4) xyxy with the center inside the frame and sides from `min_size` to the frame's.
    """
    height, width = frame_size
    xp = array_namespace(boxes)
    limits = new_array(boxes, [width, height])
    both = xyxy_to_cxcywh(boxes)
    center = xp.minimum(both[..., :2].clip(min=0), limits)
    size = xp.minimum(both[..., 2:].clip(min=min_size), limits.clip(min=min_size))
    return cxcywh_to_xyxy(xp.concat((center, size), axis=-1))
