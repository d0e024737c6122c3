"""What masks are read from: windows of all maps around chosen positions of the response.

The window of every map that a mask needs is taken out before anything is computed, so that a mask
costs the same whether the response has one position or 625.

Shapes: B targets; M chosen positions, of any of them; T pixels on a side of a template and of a
mask, c = (T - 7) / 8 cells of a window at stride 8.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cyclesiam.arrays import AnyArray, array_namespace, concat_rows, new_array
from cyclesiam.geometry.crops import slice_window

KERNEL = 7  # cells on a side of a template's kernel, and so of what one position compares


class MaskFeatures(NamedTuple):
    """What masks are read from, of B search crops.

    Args:
        kernel: of the templates, as `MaskBranch.embed` gives it.
        crops: (B, 3, S, S) in 0..255.
        stages: stride to (B, C, n, n) maps of the backbone, strides 8, 4 and maybe 2.
        features: (B, C, n, n) that score and box are read from.
        extent: (B, C, n, n) maps in which the box branch sees the target's extent; None without.
        reduced: whether `stages` are already what `MaskBranch.reduce` gives of all maps.
    """

    kernel: AnyArray
    crops: AnyArray
    stages: Mapping[int, AnyArray]
    features: AnyArray
    extent: AnyArray | None = None
    reduced: bool = False

    @property
    def own(self) -> AnyArray:
        """(B, own, n, n), all maps at stride 8 that came with the response."""
        if self.extent is None:
            return self.features
        return array_namespace(self.features).concat((self.features, self.extent), axis=1)


class MaskInputs(NamedTuple):
    """What the masks of M positions are read from: the parts of a `MaskContext` around them.

    Args:
        kernel: (M, hidden, 7, 7) of their templates.
        near: (M, C, k, k) features that the kernel compares, with what an adapter reads beyond.
        own: (M, own, c, c) of all maps at stride 8 that came with the response; None where stages
            are reduced already.
        stages: stride to window of the backbone's stage.
        looks: (M, 3, T, T) the crops themselves, 0..255.
        beliefs: (M, 2, (T + 1) / 2, (T + 1) / 2) of every second of their pixels from the first on.
        corners: (M, 4) xyxy boxes in their pixels, what the box branch says there.
    """

    kernel: AnyArray
    template_window: AnyArray
    stride8: AnyArray | None
    stages: Mapping[int, AnyArray]
    pixels: AnyArray
    color_priors: AnyArray
    boxes: AnyArray


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


def slice_mask_windows(
    context: MaskFeatures,
    beliefs: AnyArray,
    rows: AnyArray,
    positions: AnyArray,
    boxes: AnyArray,
    layout: MaskLayout,
) -> MaskInputs:
    """Take the windows of M positions out of all maps.

    Args:
        context: of B search crops.
        beliefs: as `MaskBranch.forward`; so are `rows`, `positions` and `boxes`.
        rows: (M,).
        positions: (M, 2).
        boxes: (M, 4).
        layout: which windows the masks need.
    """
    cells, half, margin = (layout.size - 7) // 8, (layout.size + 1) // 2, layout.margin

    def window(maps: AnyArray, stride: int) -> AnyArray:
        # Unpadded convolutions lost cells all around.
        lost = ((context.crops.shape[-1] + 1) // stride - 1 - maps.shape[-1]) // 2
        side, reach = (cells + 1) * (8 // stride) - 1, margin // stride + lost
        return slice_windows(maps, rows, positions * (8 // stride), side, reach)

    own = None
    if not context.reduced:
        parts = (context.features, context.extent)
        shown = [window(maps, 8) for maps in parts if maps is not None]
        own = array_namespace(boxes).concat(shown, axis=1)
    side = KERNEL + 2 * layout.padding
    corners = new_array(boxes, positions * 8 - margin)
    return MaskInputs(
        context.kernel[rows],
        slice_windows(context.features, rows, positions, side, layout.padding),
        own,
        {stride: window(maps, stride) for stride, maps in context.stages.items()},
        slice_windows(context.crops, rows, positions * 8, layout.size, margin),
        # Belief i is of crop pixel 2 i, and a window begins at an even pixel.
        slice_windows(beliefs, rows, positions * 4, half, margin // 2),
        boxes - array_namespace(boxes).concat((corners, corners), axis=1),
    )


def slice_windows(
    maps: AnyArray, rows: AnyArray, first: AnyArray, side: int, margin: int
) -> AnyArray:
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
    if isinstance(maps, np.ndarray) or _one_by_one(maps):
        corners = zip(rows.tolist(), (first - margin).tolist(), strict=True)
        return concat_rows([slice_window(maps[row : row + 1], at, side) for row, at in corners])
    torch = array_namespace(maps)
    padded = torch.nn.functional.pad(maps, (margin,) * 4)
    steps = torch.arange(side, device=maps.device)
    x, y = (first[:, axis, None] + steps for axis in (0, 1))
    cells = padded.permute(0, 2, 3, 1)[rows[:, None, None], y[:, :, None], x[:, None, :]]
    return cells.permute(0, 3, 1, 2)


def _one_by_one(maps: AnyArray) -> bool:
    """Whether windows of a tensor are views: on a CPU, where no graph and no gradient is wanted."""
    exporting = array_namespace(maps).compiler.is_exporting()
    return maps.device.type == "cpu" and not (maps.requires_grad or exporting)
