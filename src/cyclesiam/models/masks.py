"""The mask branch: which pixels around a position of the response are the target's.

A mask covers as many crop pixels as a template, around the middle of its position. It is computed
for chosen positions only: the window of every map that a mask needs is taken out first, so that a
mask costs the same whether the response has one position or 625.

Shapes: B targets; M chosen positions, of any of them; T pixels on a side of a template and of a
mask, c = (T - 7) / 8 cells of a window at stride 8.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclesiam.models.backbones import conv_norm

KERNEL = 7  # cells on a side of a template's kernel, and so of what one position compares
PIXEL_CHANNELS = 6  # red, green, blue, two beliefs, and how far inside the box
MIDDLE, SPREAD = 114.0, 58.0  # of colours, as of the small backbone's
WIDTHS = {8: 64, 4: 32, 2: 16}  # stride to channels of the refinement
STAGE_WIDTH = 24  # channels that a stage of the backbone is reduced to
PIXEL_WIDTHS = {4: 24, 2: 16}  # stride to channels of what is seen in pixels
EDGE = 4.0  # crop pixels over which the picture of a box fades, to each side


class MaskContext(NamedTuple):
    """What masks are read from, of B search crops.

    Args:
        kernel: of the templates, as `MaskBranch.embed` gives it.
        crops: (B, 3, S, S) in 0..255.
        stages: stride to (B, C, n, n) maps of the backbone, strides 8, 4 and maybe 2.
        features: (B, C, n, n) that score and box are read from.
        extent: (B, C, n, n) maps in which the box branch sees the target's extent; None without.
    """

    kernel: Tensor
    crops: Tensor
    stages: Mapping[int, Tensor]
    features: Tensor
    extent: Tensor | None


class MaskWindows(NamedTuple):
    """What the masks of M positions are read from: the parts of a `MaskContext` around them.

    Args:
        kernel: (M, hidden, 7, 7) of their templates.
        near: (M, C, k, k) features that the kernel compares, with what an adapter reads beyond.
        own: (M, own, c, c) of all maps at stride 8 that came with the response.
        stages: stride to window of the backbone's stage.
        pixels: (M, 6, T, T) what is known of every pixel.
    """

    kernel: Tensor
    near: Tensor
    own: Tensor
    stages: Mapping[int, Tensor]
    pixels: Tensor


class MaskLogits(NamedTuple):
    """Masks of M positions, before the sigmoid.

    Args:
        coarse: (M, (T - 1) / 2, (T - 1) / 2), from the response vector alone: every second pixel,
            from the second on. None where only the sharp one was asked for.
        sharp: (M, T, T), refined with the backbone's stages.
    """

    coarse: Tensor | None
    sharp: Tensor


class MaskLayout(NamedTuple):
    """Which windows masks are read from.

    Args:
        size: T.
        padding: cells that an adapting convolution reads beyond what it gives.
    """

    size: int
    padding: int

    @property
    def margin(self) -> int:
        """Crop pixels by which the mask of an outermost position reaches beyond the crop."""
        return (self.size - 63) // 2


class MaskBranch(nn.Module):
    """Read masks from the response, and sharpen them.

    Args:
        in_channels: of the backbone's features.
        stage_channels: stride to channels of the backbone's stages.
        extent_channels: of the box branch's maps; 0 without.
        hidden_channels: of the response.
        template_size: T.
        kernel_size: of the adapting convolutions.

    Source: SiamMask (Wang et al., CVPR 2019), section 3.2 and its appendix's refinement.
    """

    def __init__(
        self,
        in_channels: int,
        stage_channels: Mapping[int, int],
        extent_channels: int,
        hidden_channels: int,
        template_size: int,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.size = template_size
        self.padding = kernel_size // 2
        # First, because it does not follow a convolution: a correlation lies between.
        self.normalise = nn.BatchNorm2d(hidden_channels)
        self.adapt_template = nn.Conv2d(
            in_channels, hidden_channels, kernel_size, padding=self.padding, bias=False
        )
        self.adapt_search = nn.Conv2d(in_channels, hidden_channels, kernel_size, bias=False)
        side = (template_size - 1) // 2
        self.coarse = nn.Sequential(
            *conv_norm(hidden_channels, hidden_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_channels, side * side, 1),
        )
        own = in_channels + extent_channels
        self.refine = MaskRefinement(hidden_channels, own, stage_channels)

    def embed(self, template: Tensor) -> Tensor:
        """Turn (B, C, 7, 7) template features into the branch's (B, hidden, 7, 7) kernels."""
        return self.adapt_template(template)

    def forward(
        self,
        context: MaskContext,
        beliefs: Tensor,
        rows: Tensor,
        positions: Tensor,
        boxes: Tensor,
        *,
        coarse: bool = True,
    ) -> MaskLogits:
        """Give the masks of M positions.

        Args:
            context: of B search crops.
            beliefs: (B, 2, n, n), of every second pixel of the crops from the first on: how likely
                its colour is the target's, 1, or its surroundings', 0; against all of them, and
                against those nearby.
            rows: (M,) which of the B.
            positions: (M, 2) column and row in the response.
            boxes: (M, 4) xyxy in crop pixels, what the box branch says there.
            coarse: give the coarse mask, too.
        """
        layout = MaskLayout(self.size, self.padding)
        windows = look_around(context, beliefs, rows, positions, boxes, layout)
        return self.read(windows, coarse=coarse)

    def read(self, windows: MaskWindows, *, coarse: bool = True) -> MaskLogits:
        """Give the masks of M positions whose windows were taken; else as `forward`."""
        vector = self.respond(windows.kernel, windows.near)
        sharp = self.refine(vector, windows.own, windows.stages, windows.pixels)
        if not coarse:
            return MaskLogits(None, sharp)
        side = (self.size - 1) // 2
        return MaskLogits(self.coarse(vector).reshape(-1, side, side), sharp)

    def respond(self, kernel: Tensor, near: Tensor) -> Tensor:
        """Correlate at chosen positions only; (M, hidden, 1, 1). Arguments as `MaskWindows`."""
        response = self.adapt_search(near) * kernel
        return self.normalise(response.sum(dim=(2, 3), keepdim=True))


def look_around(
    context: MaskContext,
    beliefs: Tensor,
    rows: Tensor,
    positions: Tensor,
    boxes: Tensor,
    layout: MaskLayout,
) -> MaskWindows:
    """Take the windows of M positions out of all maps.

    Args:
        context: of B search crops.
        beliefs: as `MaskBranch.forward`; so are `rows`, `positions` and `boxes`.
        rows: (M,).
        positions: (M, 2).
        boxes: (M, 4).
        layout: which windows the masks need.
    """
    cells = (layout.size - 7) // 8

    def window(maps: Tensor, stride: int) -> Tensor:
        # Unpadded convolutions lost cells all around.
        lost = ((context.crops.shape[-1] + 1) // stride - 1 - maps.shape[-1]) // 2
        side, margin = (cells + 1) * (8 // stride) - 1, layout.margin // stride + lost
        return take_windows(maps, rows, positions * (8 // stride), side, margin)

    own = window(context.features, 8)
    if context.extent is not None:
        own = torch.cat((own, window(context.extent, 8)), dim=1)
    side = KERNEL + 2 * layout.padding
    return MaskWindows(
        context.kernel[rows],
        take_windows(context.features, rows, positions, side, layout.padding),
        own,
        {stride: window(maps, stride) for stride, maps in context.stages.items()},
        _pixels(context.crops, beliefs, rows, positions, boxes, layout),
    )


def _pixels(
    crops: Tensor,
    beliefs: Tensor,
    rows: Tensor,
    positions: Tensor,
    boxes: Tensor,
    layout: MaskLayout,
) -> Tensor:
    """Give what is known of every pixel of the masks; (M, 6, T, T)."""
    size, half, margin = layout.size, (layout.size + 1) // 2, layout.margin
    looks = take_windows(crops, rows, positions * 8, size, margin)
    # Belief i is of crop pixel 2 i, and a window begins at an even pixel.
    shares = take_windows(beliefs, rows, positions * 4, half, margin // 2)
    shares = F.interpolate(shares, size=(size, size), mode="bilinear", align_corners=True)
    corners = boxes - (positions * 8 - margin).repeat(1, 2)
    inside = picture_boxes(corners, size)
    pixels = torch.empty(
        (rows.shape[0], PIXEL_CHANNELS, size, size),
        device=looks.device,
        memory_format=torch.channels_last,
    )
    pixels[:, :3] = looks * (1 / SPREAD) - MIDDLE / SPREAD
    pixels[:, 3:5] = shares - 0.5
    pixels[:, 5] = inside
    return pixels


def picture_boxes(boxes: Tensor, size: int) -> Tensor:
    """Draw (M, 4) xyxy boxes as (M, size, size): 1 inside, -1 outside, fading at the edges."""
    middles = torch.arange(size, device=boxes.device) + 0.5
    x0, y0, x1, y1 = boxes[..., None].unbind(dim=1)
    across = torch.minimum(middles - x0, x1 - middles)
    down = torch.minimum(middles - y0, y1 - middles)
    return (torch.minimum(across[:, None, :], down[:, :, None]) / EDGE).clamp(-1, 1)


class MaskRefinement(nn.Module):
    """Double the resolution, each time with what is seen at that resolution; at last without.

    Args:
        vector_channels: of the response.
        own_channels: of all maps at stride 8 that came with the response.
        stage_channels: stride to channels of the backbone's stages.
    """

    def __init__(
        self, vector_channels: int, own_channels: int, stage_channels: Mapping[int, int]
    ) -> None:
        super().__init__()
        widths, pixels = WIDTHS, PIXEL_WIDTHS
        self.vector = nn.Conv2d(vector_channels, widths[8], 1)
        self.own = nn.Conv2d(own_channels, widths[8], 1)
        self.to_half = _conv(PIXEL_CHANNELS, pixels[2], stride=2, padding=0)
        self.to_quarter = _conv(pixels[2], pixels[4], stride=2, padding=0)
        self.stages = nn.ModuleDict(
            {
                str(stride): nn.Conv2d(channels, widths[8] if stride == 8 else STAGE_WIDTH, 1)
                for stride, channels in stage_channels.items()
            }
        )
        self.blocks = nn.ModuleDict()
        self.narrow = nn.ModuleDict()
        for stride in (8, 4, 2):
            width, seen = widths[stride], widths[stride]
            if stride < 8:
                seen += pixels[stride] + STAGE_WIDTH * (stride in stage_channels)
            self.blocks[str(stride)] = _conv(seen, width)
            if stride > 2:
                self.narrow[str(stride)] = nn.Conv2d(width, widths[stride // 2], 1)
        # No more: at full resolution a convolution costs as much as all before, and edges that
        # a tracker's guided filter finds are as good.
        self.predict = nn.Conv2d(widths[2], 1, 3, padding=1)

    def forward(
        self, vector: Tensor, own: Tensor, stages: Mapping[int, Tensor], pixels: Tensor
    ) -> Tensor:
        """Give (M, T, T) logits.

        Args:
            vector: (M, hidden, 1, 1) of the response.
            own: (M, own, c, c) window of the maps that came with it.
            stages: stride to window of the backbone's stage.
            pixels: (M, 6, T, T) what is known of every pixel.
        """
        half = self.to_half(pixels)
        seen = {2: [half], 4: [self.to_quarter(half)], 8: []}
        first = self.vector(vector) + self.own(own)
        for stride, maps in stages.items():
            reduced = self.stages[str(stride)](maps)
            if stride == 8:
                first = first + reduced
            else:
                seen[stride].append(F.relu(reduced))
        out = self.blocks["8"](F.relu(first))
        for stride in (4, 2):
            out = double(self.narrow[str(2 * stride)](out))
            out = self.blocks[str(stride)](torch.cat((out, *seen[stride]), dim=1))
        return double(self.predict(out))[:, 0]


def take_windows(maps: Tensor, rows: Tensor, first: Tensor, side: int, margin: int) -> Tensor:
    """Take square windows out of maps; beyond their border there are zeros.

    Args:
        maps: (B, C, n, n).
        rows: (M,) which map.
        first: (M, 2) column and row of each window's first cell, from `margin` cells before the
            map's.
        side: cells on a side of a window.
        margin: cells by which windows may lie outside.

    Returns:
        (M, C, side, side).
    """
    if maps.device.type == "cpu" and not (maps.requires_grad or torch.compiler.is_exporting()):
        corners = zip(rows.tolist(), (first - margin).tolist(), strict=True)
        taken = [_take_window(maps[row : row + 1], corner, side) for row, corner in corners]
        return taken[0] if len(taken) == 1 else torch.cat(taken)
    padded = F.pad(maps, (margin,) * 4)
    steps = torch.arange(side, device=maps.device)
    x, y = (first[:, axis, None] + steps for axis in (0, 1))
    cells = padded.permute(0, 2, 3, 1)[rows[:, None, None], y[:, :, None], x[:, None, :]]
    return cells.permute(0, 3, 1, 2)


def _take_window(maps: Tensor, corner: Sequence[int], side: int) -> Tensor:
    """Take the window whose first column and row are a corner, out of (1, C, n, n) maps."""
    left, top = corner
    height, width = maps.shape[-2:]
    inside = maps[..., max(top, 0) : top + side, max(left, 0) : left + side]
    beyond = (-left, left + side - width, -top, top + side - height)
    return F.pad(inside, [max(cells, 0) for cells in beyond]) if max(beyond) > 0 else inside


def double(maps: Tensor) -> Tensor:
    """Turn (M, C, n, n) maps into (M, C, 2n + 1, 2n + 1), bilinearly.

    Cell i of the maps lies at cell 2i + 1, as unpadded strided 3x3 convolutions have it.
    """
    side = maps.shape[-1] + 2
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    wide = F.interpolate(padded, size=(2 * side - 1,) * 2, mode="bilinear", align_corners=True)
    return wide[..., 1:-1, 1:-1]


def _conv(
    in_channels: int, out_channels: int, *, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        *conv_norm(in_channels, out_channels, 3, stride=stride, padding=padding),
        nn.ReLU(inplace=True),
    )
