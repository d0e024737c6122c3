"""The mask branch: which pixels around a position of the response are the target's.

A mask covers as many crop pixels as a template, around the middle of its position. It is computed
for chosen positions only, from windows of the maps; see `mask_windows`.

Shapes: B targets; M chosen positions, of any of them; T pixels on a side of a template and of a
mask, c = (T - 7) / 8 cells of a window at stride 8.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclesiam.models.backbones import conv_bn
from cyclesiam.models.mask_inputs import PIXEL_CHANNELS, pixel_inputs, resize_maps
from cyclesiam.models.mask_windows import MaskFeatures, MaskInputs, MaskLayout, slice_mask_windows

WIDTHS = {8: 64, 4: 32, 2: 16}  # stride to channels of the refinement
STAGE_WIDTH = 24  # channels that a stage of the backbone is reduced to
PIXEL_WIDTHS = {4: 24, 2: 16}  # stride to channels of what is seen in pixels


class MaskLogits(NamedTuple):
    """Masks of M positions, before the sigmoid.

    Args:
        coarse: (M, (T - 1) / 2, (T - 1) / 2), from the response vector alone: every second pixel,
            from the second on. None where only the sharp one was asked for.
        sharp: (M, T, T), refined with the backbone's stages.
    """

    coarse: Tensor | None
    sharp: Tensor


class MaskHead(nn.Module):
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
            *conv_bn(hidden_channels, hidden_channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_channels, side * side, 1),
        )
        own = in_channels + extent_channels
        self.refine = MaskRefinement(hidden_channels, own, stage_channels)

    def template_kernel(self, template: Tensor) -> Tensor:
        """Turn (B, C, 7, 7) template features into the branch's (B, hidden, 7, 7) kernels."""
        return self.adapt_template(template)

    def forward(
        self,
        context: MaskFeatures,
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
        windows = slice_mask_windows(context, beliefs, rows, positions, boxes, layout)
        return self.predict(windows, coarse=coarse)

    def predict(self, windows: MaskInputs, *, coarse: bool = True) -> MaskLogits:
        """Give the masks of M positions whose windows were taken; else as `forward`."""
        vector = self.correlate(windows.kernel, windows.template_window)
        reduced = windows.stages
        if windows.stride8 is not None:
            reduced = self.refine.reduce(windows.stride8, windows.stages)
        pixels = pixel_inputs(windows.pixels, windows.color_priors, windows.boxes)
        sharp = self.refine(vector, reduced, pixels)
        if not coarse:
            return MaskLogits(None, sharp)
        side = (self.size - 1) // 2
        return MaskLogits(self.coarse(vector).reshape(-1, side, side), sharp)

    def reduce(self, context: MaskFeatures) -> dict[int, Tensor]:
        """Reduce all maps of crops to what masks take of them: stride to (B, width, n, n).

        Windows of these are as good as windows of the maps: a graph that gives them gives less.
        """
        return self.refine.reduce(context.own, context.stages)

    def correlate(self, kernel: Tensor, near: Tensor) -> Tensor:
        """Correlate at chosen positions only; (M, hidden, 1, 1). Arguments as `MaskWindows`."""
        response = self.adapt_search(near) * kernel
        return self.normalise(response.sum(dim=(2, 3), keepdim=True))


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

    def reduce(self, own: Tensor, stages: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Take from maps, or from windows of them, what is needed; stride to (M, width, n, n).

        Args:
            own: (M, own, c, c) all maps at stride 8 that came with the response.
            stages: stride to maps of the backbone's stage.
        """
        # Biases come later: what lies beyond the border of a map stays zero.
        reduced = {
            stride: F.conv2d(maps, self._stage(stride).weight) for stride, maps in stages.items()
        }
        reduced[8] = reduced[8] + F.conv2d(own, self.own.weight)
        return reduced

    def _stage(self, stride: int) -> nn.Conv2d:
        stage = self.stages[str(stride)]
        assert isinstance(stage, nn.Conv2d)
        return stage

    def forward(self, vector: Tensor, reduced: Mapping[int, Tensor], pixels: Tensor) -> Tensor:
        """Give (M, T, T) logits.

        Args:
            vector: (M, hidden, 1, 1) of the response.
            reduced: windows as `reduce` gives them.
            pixels: (M, 6, T, T) what is known of every pixel.
        """
        half = self.to_half(pixels)
        seen = {2: [half], 4: [self.to_quarter(half)]}
        for stride, maps in reduced.items():
            if stride < 8:
                seen[stride].append(F.relu(_shift(maps, self._stage(stride).bias)))
        first = _shift(_shift(reduced[8], self.own.bias), self._stage(8).bias)
        out = self.blocks["8"](F.relu(self.vector(vector) + first))
        for stride in (4, 2):
            out = upsample_2x(self.narrow[str(2 * stride)](out))
            out = self.blocks[str(stride)](torch.cat((out, *seen[stride]), dim=1))
        return upsample_2x(self.predict(out))[:, 0]


def upsample_2x(maps: Tensor) -> Tensor:
    """Turn (M, C, n, n) maps into (M, C, 2n + 1, 2n + 1), bilinearly.

    Cell i of the maps lies at cell 2i + 1, as unpadded strided 3x3 convolutions have it.
    """
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return resize_maps(padded, 2 * padded.shape[-1] - 1)[..., 1:-1, 1:-1]


def _shift(maps: Tensor, bias: Tensor | None) -> Tensor:
    assert bias is not None
    return maps + bias[:, None, None]


def _conv(
    in_channels: int, out_channels: int, *, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        *conv_bn(in_channels, out_channels, 3, stride=stride, padding=padding),
        nn.ReLU(inplace=True),
    )
