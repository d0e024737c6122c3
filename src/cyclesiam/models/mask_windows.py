"""What masks are predicted from: windows of all maps around chosen cells of the response.

Only the windows that a mask needs are computed with, so a mask costs the same whether the response
has one cell or 625.

Shapes: B targets; M chosen cells, of any of them; T pixels on a side of a template and of a mask,
c = (T - 7) / 8 cells on a side of a window at stride 8.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, concat_rows, new_array
from cyclesiam.geometry.crops import slice_window

KERNEL = 7  # cells on a side of a template's kernel, and so of what one response cell compares


class MaskFeatures(NamedTuple):
    """What masks are predicted from, for B search crops.

    Args:
        kernel: (B, hidden, 7, 7) of the templates, from `MaskHead.template_kernel`.
        crops: (B, 3, S, S) in 0..255.
        stages: stride to (B, C, n, n) maps of the backbone, strides 8, 4 and maybe 2.
        features: (B, C, n, n) of the backbone, which the score and box heads read.
        box_features: (B, C, n, n) that a pixelwise box head predicts from; None without such a
            head.
        reduced: whether `stages` are the output of `MaskHead.reduce`.
    """

    kernel: AnyArray
    crops: AnyArray
    stages: Mapping[int, AnyArray]
    features: AnyArray
    box_features: AnyArray | None = None
    reduced: bool = False

    @property
    def own(self) -> AnyArray:
        """(B, own, n, n) maps at stride 8 that are no stage: `features` and `box_features`."""
        if self.box_features is None:
            return self.features
        return array_namespace(self.features).concat((self.features, self.box_features), axis=1)


class MaskInputs(NamedTuple):
    """What M masks are predicted from: windows of `MaskFeatures`.

    Args:
        kernel: (M, hidden, 7, 7) of their templates.
        template_window: (M, C, k, k) features that the kernel is compared with, and a border for
            the adapting convolution.
        stride8: (M, own, c, c) of the maps at stride 8 that are no stage; None if `stages` are
            reduced.
        stages: stride to window of the backbone's stage.
        pixels: (M, 3, T, T) of the crops, 0..255.
        color_priors: (M, 2, (T + 1) / 2, (T + 1) / 2) of every second pixel, the first included.
        boxes: (M, 4) xyxy of the proposals, in pixels of the windows.
    """

    kernel: AnyArray
    template_window: AnyArray
    stride8: AnyArray | None
    stages: Mapping[int, AnyArray]
    pixels: AnyArray
    color_priors: AnyArray
    boxes: AnyArray


class MaskLayout(NamedTuple):
    """Which windows masks are predicted from.

    Args:
        size: T.
        padding: cells that the adapting convolution reads beyond its output.
    """

    size: int
    padding: int

    @property
    def margin(self) -> int:
        """Crop pixels by which the mask of an outermost cell reaches beyond the crop."""
        return (self.size - 63) // 2


def slice_mask_windows(
    searched: MaskFeatures,
    color_priors: AnyArray,
    rows: AnyArray,
    cells: AnyArray,
    boxes: AnyArray,
    layout: MaskLayout,
) -> MaskInputs:
    """Slice the windows around M response cells out of all maps.

    Args:
        searched: maps of B search crops.
        color_priors: (B, 2, n, n), see `MaskHead.forward`.
        rows: (M,) which of the B crops.
        cells: (M, 2) column and row in the response.
        boxes: (M, 4) xyxy in crop pixels.
        layout: which windows the masks need.
    """
    side, half, margin = (layout.size - 7) // 8, (layout.size + 1) // 2, layout.margin

    def window(maps: AnyArray, stride: int) -> AnyArray:
        # Unpadded convolutions lost cells all around.
        lost = ((searched.crops.shape[-1] + 1) // stride - 1 - maps.shape[-1]) // 2
        length, border = (side + 1) * (8 // stride) - 1, margin // stride + lost
        return slice_windows(maps, rows, cells * (8 // stride), length, border)

    stride8 = None
    if not searched.reduced:
        parts = (searched.features, searched.box_features)
        windows = [window(maps, 8) for maps in parts if maps is not None]
        stride8 = array_namespace(boxes).concat(windows, axis=1)
    corners = new_array(boxes, cells * 8 - margin)
    template_side = KERNEL + 2 * layout.padding
    return MaskInputs(
        searched.kernel[rows],
        slice_windows(searched.features, rows, cells, template_side, layout.padding),
        stride8,
        {stride: window(maps, stride) for stride, maps in searched.stages.items()},
        slice_windows(searched.crops, rows, cells * 8, layout.size, margin),
        # Prior i is of crop pixel 2 i, and a window begins at an even pixel.
        slice_windows(color_priors, rows, cells * 4, half, margin // 2),
        boxes - array_namespace(boxes).concat((corners, corners), axis=1),
    )


def slice_windows(
    maps: AnyArray, rows: AnyArray, first: AnyArray, side: int, margin: int
) -> AnyArray:
    """Slice square windows out of maps; beyond a map's border there are zeros.

    Args:
        maps: (B, C, n, n).
        rows: (M,) which map.
        first: (M, 2) column and row of each window's first cell, counted from `margin` cells
            before the map's first.
        side: cells on a side of a window.
        margin: cells by which windows may lie outside.

    Returns:
        (M, C, side, side).
    """
    if isinstance(maps, np.ndarray) or _can_slice_views(maps):
        corners = zip(rows.tolist(), (first - margin).tolist(), strict=True)
        return concat_rows([slice_window(maps[row : row + 1], at, side) for row, at in corners])
    torch = array_namespace(maps)
    padded = torch.nn.functional.pad(maps, (margin,) * 4)
    steps = torch.arange(side, device=maps.device)
    x, y = (first[:, axis, None] + steps for axis in (0, 1))
    cells = padded.permute(0, 2, 3, 1)[rows[:, None, None], y[:, :, None], x[:, None, :]]
    return cells.permute(0, 3, 1, 2)


def _can_slice_views(maps: AnyArray) -> bool:
    """Check whether a tensor lies on the CPU and needs neither a graph nor gradients."""
    exporting = array_namespace(maps).compiler.is_exporting()
    return maps.device.type == "cpu" and not (maps.requires_grad or exporting)
