"""What masks read of every pixel: the crop itself, what its colours say, and the chosen box.

Shapes: M chosen positions, T pixels on a side of a mask.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL_CHANNELS = 6  # red, green, blue, two beliefs, and how far inside the box
MIDDLE, SPREAD = 114.0, 58.0  # of colours, as of the small backbone's
EDGE = 4.0  # crop pixels over which the picture of a box fades, to each side
FEW = 8  # channels below which runtimes resize slowly, and multiply matrices quickly


def pixel_inputs(looks: Tensor, beliefs: Tensor, corners: Tensor) -> Tensor:
    """Give what is known of every pixel of masks, (M, 6, T, T); arguments as `MaskWindows`."""
    size = looks.shape[-1]
    parts = (
        looks * (1 / SPREAD) - MIDDLE / SPREAD,
        resize_maps(beliefs, size) - 0.5,
        box_maps(corners, size)[:, None],
    )
    if torch.compiler.is_exporting():
        return torch.cat(parts, dim=1)
    pixels = torch.empty(
        (looks.shape[0], PIXEL_CHANNELS, size, size),
        device=looks.device,
        memory_format=torch.channels_last,
    )
    pixels[:, :3], pixels[:, 3:5], pixels[:, 5:] = parts
    return pixels


def resize_maps(maps: Tensor, size: int) -> Tensor:
    """Give (M, C, size, size) of (M, C, n, n) maps, bilinearly, corner upon corner."""
    if not (torch.compiler.is_exporting() and maps.shape[1] < FEW):
        return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=True)
    cells = torch.eye(maps.shape[-1], device=maps.device)[None, None]
    rows = F.interpolate(cells, size=(size, maps.shape[-1]), mode="bilinear", align_corners=True)[
        0, 0
    ]
    return rows @ maps @ rows.mT


def box_maps(boxes: Tensor, size: int) -> Tensor:
    """Draw (M, 4) xyxy boxes as (M, size, size): 1 inside, -1 outside, fading at the edges."""
    middles = torch.arange(size, device=boxes.device) + 0.5
    x0, y0, x1, y1 = boxes[..., None].unbind(dim=1)
    across = torch.minimum(middles - x0, x1 - middles)
    down = torch.minimum(middles - y0, y1 - middles)
    return (torch.minimum(across[:, None, :], down[:, :, None]) / EDGE).clamp(-1, 1)
