"""The mask head: which pixels around a response cell are the target's.

A mask covers as many crop pixels as a template, around the center of its cell. It is predicted for
chosen cells only, from windows of the maps; see `mask_windows`.

Shapes: B targets; M chosen cells, of any of them; T pixels on a side of a template and of a mask,
c = (T - 7) / 8 cells on a side of a window at stride 8.
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
PIXEL_WIDTHS = {4: 24, 2: 16}  # stride to channels computed from the pixel inputs


class MaskLogits(NamedTuple):
    """Masks of M cells, before the sigmoid.

    Args:
        coarse: (M, (T - 1) / 2, (T - 1) / 2), from the response vector alone: every second pixel,
            from the second on. None where only the sharp mask was asked for.
        sharp: (M, T, T), refined with the backbone's stages.
    """

    coarse: Tensor | None
    sharp: Tensor


class MaskHead(nn.Module):
    """Predict masks from the response, and refine them.

    Args:
        in_channels: channels of the backbone's features.
        stage_channels: stride to channels of the backbone's stages.
        box_channels: channels of the box head's maps; 0 without.
        hidden_channels: channels of the response.
        template_size: T.
        kernel_size: side of the adapting convolutions.

    Source: SiamMask (Wang et al., CVPR 2019), section 3.2 and the refinement of its appendix.
    """

    def __init__(
        self,
        in_channels: int,
        stage_channels: Mapping[int, int],
        box_channels: int,
        hidden_channels: int,
        template_size: int,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.size = template_size
        self.padding = kernel_size // 2
        # Before the adapters: a norm directly behind a convolution would be folded into it, but
        # this one follows the correlation.
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
        own = in_channels + box_channels
        self.refine = MaskRefinement(hidden_channels, own, stage_channels)

    def template_kernel(self, template: Tensor) -> Tensor:
        """Turn (B, C, 7, 7) template features into the head's (B, hidden, 7, 7) kernels."""
        return self.adapt_template(template)

    def forward(
        self,
        searched: MaskFeatures,
        color_priors: Tensor,
        rows: Tensor,
        cells: Tensor,
        boxes: Tensor,
        *,
        coarse: bool = True,
    ) -> MaskLogits:
        """Predict the masks of M cells.

        Args:
            searched: maps of B search crops.
            color_priors: (B, 2, n, n) of every second pixel of the crops, the first included: how
                likely its color is the target's, 0..1. Channel 0 compares with all surroundings,
                channel 1 with the nearby ones.
            rows: (M,) which of the B crops.
            cells: (M, 2) column and row in the response.
            boxes: (M, 4) xyxy in crop pixels, predicted by the box head at these cells.
            coarse: whether to return the coarse masks, too.
        """
        layout = MaskLayout(self.size, self.padding)
        windows = slice_mask_windows(searched, color_priors, rows, cells, boxes, layout)
        return self.predict(windows, coarse=coarse)

    def predict(self, windows: MaskInputs, *, coarse: bool = True) -> MaskLogits:
        """Predict the masks of M windows; with the coarse ones, if `coarse`."""
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

    def reduce(self, searched: MaskFeatures) -> dict[int, Tensor]:
        """Reduce the maps of whole crops to the channels that masks need.

        Windows of the output give the same masks as windows of the maps, and are smaller. So an
        exported graph returns the output.

        Returns:
            Stride to (B, width, n, n).
        """
        return self.refine.reduce(searched.own, searched.stages)

    def correlate(self, kernel: Tensor, window: Tensor) -> Tensor:
        """Correlate kernels with one window each.

        Args:
            kernel: (M, hidden, 7, 7), from `template_kernel`.
            window: (M, C, k, k) features, k = 7 + 2 * padding.

        Returns:
            (M, hidden, 1, 1), normalized.
        """
        response = self.adapt_search(window) * kernel
        return self.normalise(response.sum(dim=(2, 3), keepdim=True))


class MaskRefinement(nn.Module):
    """Double the resolution three times; the first two times with maps of that resolution.

    Args:
        vector_channels: channels of the response.
        own_channels: channels of all maps at stride 8 that are no stage.
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
            width, in_channels = widths[stride], widths[stride]
            if stride < 8:
                in_channels += pixels[stride] + STAGE_WIDTH * (stride in stage_channels)
            self.blocks[str(stride)] = _conv(in_channels, width)
            if stride > 2:
                self.narrow[str(stride)] = nn.Conv2d(width, widths[stride // 2], 1)
        # No block at full resolution: it would cost as much as all before, and the tracker's
        # guided filter finds edges as well.
        self.predict = nn.Conv2d(widths[2], 1, 3, padding=1)

    def reduce(self, own: Tensor, stages: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Reduce maps, or windows of them, to the channels that `forward` takes.

        Args:
            own: (M, own, c, c) all maps at stride 8 that are no stage.
            stages: stride to maps of the backbone's stage.

        Returns:
            Stride to (M, width, n, n).
        """
        # Without biases, which `forward` adds: zeros beyond the border of a map must stay zeros.
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
        """Return (M, T, T) logits.

        Args:
            vector: (M, hidden, 1, 1) of the response.
            reduced: windows of what `reduce` returns.
            pixels: (M, 6, T, T) from `pixel_inputs`.
        """
        half = self.to_half(pixels)
        inputs = {2: [half], 4: [self.to_quarter(half)]}
        for stride, maps in reduced.items():
            if stride < 8:
                inputs[stride].append(F.relu(_add_bias(maps, self._stage(stride).bias)))
        first = _add_bias(_add_bias(reduced[8], self.own.bias), self._stage(8).bias)
        out = self.blocks["8"](F.relu(self.vector(vector) + first))
        for stride in (4, 2):
            out = upsample_2x(self.narrow[str(2 * stride)](out))
            out = self.blocks[str(stride)](torch.cat((out, *inputs[stride]), dim=1))
        return upsample_2x(self.predict(out))[:, 0]


def upsample_2x(maps: Tensor) -> Tensor:
    """Turn (M, C, n, n) maps into (M, C, 2n + 1, 2n + 1), bilinearly.

    Cell i of the maps lies at cell 2i + 1, as after unpadded strided 3x3 convolutions.
    """
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return resize_maps(padded, 2 * padded.shape[-1] - 1)[..., 1:-1, 1:-1]


def _add_bias(maps: Tensor, bias: Tensor | None) -> Tensor:
    assert bias is not None
    return maps + bias[:, None, None]


def _conv(
    in_channels: int, out_channels: int, *, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        *conv_bn(in_channels, out_channels, 3, stride=stride, padding=padding),
        nn.ReLU(inplace=True),
    )
