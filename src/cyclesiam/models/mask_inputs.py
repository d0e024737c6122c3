"""What the mask head is given for every pixel: the crop, its color priors, and the chosen box.

Shapes: M masks, T pixels on a side of a mask.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL_CHANNELS = 6  # red, green, blue, two color priors, and the map of the box
MEAN, STD = 114.0, 58.0  # of colors, the statistics of the small backbone
EDGE = 4.0  # crop pixels over which the map of a box changes its sign, to each side
FEW = 8  # channels below which runtimes resize slowly, and multiply matrices quickly


def pixel_inputs(pixels: Tensor, color_priors: Tensor, boxes: Tensor) -> Tensor:
    """Return the (M, 6, T, T) inputs of every pixel of masks.

    Args:
        pixels: (M, 3, T, T) of the crops, 0..255.
        color_priors: (M, 2, (T + 1) / 2, (T + 1) / 2) of every second pixel, 0..1.
        boxes: (M, 4) xyxy in these pixels.
    """
    size = pixels.shape[-1]
    parts = (
        pixels * (1 / STD) - MEAN / STD,
        resize_maps(color_priors, size) - 0.5,
        box_maps(boxes, size)[:, None],
    )
    if torch.compiler.is_exporting():
        return torch.cat(parts, dim=1)
    inputs = torch.empty(
        (pixels.shape[0], PIXEL_CHANNELS, size, size),
        device=pixels.device,
        memory_format=torch.channels_last,
    )
    inputs[:, :3], inputs[:, 3:5], inputs[:, 5:] = parts
    return inputs


def resize_maps(maps: Tensor, size: int) -> Tensor:
    """Resize (M, C, n, n) maps to (M, C, size, size), bilinearly with aligned corners."""
    if not (torch.compiler.is_exporting() and maps.shape[1] < FEW):
        return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=True)
    cells = torch.eye(maps.shape[-1], device=maps.device)[None, None]
    rows = F.interpolate(cells, size=(size, maps.shape[-1]), mode="bilinear", align_corners=True)[
        0, 0
    ]
    return rows @ maps @ rows.mT


def box_maps(boxes: Tensor, size: int) -> Tensor:
    """Draw (M, 4) xyxy boxes as (M, size, size): 1 inside, -1 outside, a ramp at the edges."""
    centers = torch.arange(size, device=boxes.device) + 0.5
    x0, y0, x1, y1 = boxes[..., None].unbind(dim=1)
    across = torch.minimum(centers - x0, x1 - centers)
    down = torch.minimum(centers - y0, y1 - centers)
    return (torch.minimum(across[:, None, :], down[:, :, None]) / EDGE).clamp(-1, 1)
