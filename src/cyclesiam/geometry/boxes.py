"""Axis-aligned boxes as tensors: formats, overlap, and the offsets that an RPN predicts.

A box is four floats in pixels, x to the right and y down. The format is part of every name:
`xyxy` (two corners), `xywh` (top-left corner, size), `cxcywh` (centre, size). Coordinates are
continuous: the box (0, 0, W, H) covers a W x H image exactly.
"""

import math

import torch
from torch import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)  # a 16 px anchor may grow to 1000 px; keeps exp() finite


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Give the centre and size of (..., 4) boxes given by two corners."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((top_left + bottom_right) / 2, bottom_right - top_left), dim=-1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Give the two corners of (..., 4) boxes given by centre and size."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Give the two corners of (..., 4) boxes given by top-left corner and size."""
    return torch.cat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """Give the top-left corner and size of (..., 4) boxes given by two corners."""
    return torch.cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), dim=-1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Express boxes as RPN offsets from anchors; the inverse of `decode_boxes`.

    Args:
        boxes: (..., 4) cxcywh, sizes above zero.
        anchors: (..., 4) cxcywh, sizes above zero; broadcast against `boxes`.

    Returns:
        (..., 4) offsets (dx, dy, dw, dh): centre shift in units of the anchor's size, and the
        logarithm of the size ratio.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 4.
    """
    centre, size = boxes[..., :2], boxes[..., 2:]
    anchor_centre, anchor_size = anchors[..., :2], anchors[..., 2:]
    return torch.cat(((centre - anchor_centre) / anchor_size, (size / anchor_size).log()), dim=-1)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Place anchors by RPN offsets; the inverse of `encode_boxes`.

    Args:
        offsets: (..., 4) as `encode_boxes` gives them; log sizes are capped at `MAX_LOG_SCALE`.
        anchors: (..., 4) cxcywh; broadcast against `offsets`.

    Returns:
        (..., 4) boxes, cxcywh, always finite for finite offsets.

    Source: CycleSiam (Yuan et al., IROS 2020), equation 4.
    """
    anchor_centre, anchor_size = anchors[..., :2], anchors[..., 2:]
    centre = offsets[..., :2] * anchor_size + anchor_centre
    size = offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp() * anchor_size
    return torch.cat((centre, size), dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Give the area of (..., 4) xyxy boxes; zero where a corner pair is reversed."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Give intersection over union, element by element.

    Args:
        boxes: (..., 4) xyxy.
        others: (..., 4) xyxy; broadcast against `boxes`.

    Returns:
        (...) in 0..1; 0 where both boxes are empty.
    """
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    union = box_area(boxes) + box_area(others) - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def keep_in_frame(boxes: Tensor, frame_size: tuple[int, int], *, smallest: float = 4.0) -> Tensor:
    """Move and shrink boxes so that they stay targets that a tracker can look for.

    Args:
        boxes: (..., 4) xyxy.
        frame_size: height and width of the frame in pixels.
        smallest: least width and height that remain, in pixels.

    Returns:
        (..., 4) xyxy with the centre inside the frame and sides from `smallest` to the frame's.
    """
    height, width = frame_size
    limits = boxes.new_tensor([width, height])
    centre, size = xyxy_to_cxcywh(boxes).split(2, dim=-1)
    centre = torch.minimum(centre.clamp(min=0), limits)
    size = torch.minimum(size.clamp(min=smallest), limits.clamp(min=smallest))
    return cxcywh_to_xyxy(torch.cat((centre, size), dim=-1))
