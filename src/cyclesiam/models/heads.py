"""Heads: they predict the score and the box of every response cell.

Shapes: B targets; (h, w) cells of a template, (H, W) of search features.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclesiam.models.correlation import DepthwiseCorrelation, cross_correlate_pixelwise

Modulation = tuple[Tensor, Tensor]  # gain and shift of each channel, each (B, C, 1, 1)


class DepthwiseHead(nn.Module):
    """A head that adapts features, correlates them channel by channel, and predicts.

    Args:
        in_channels: channels of the backbone's features.
        hidden_channels: channels of the response.
        out_channels: numbers predicted for each cell.
        kernel_size: side of the adapting convolutions.

    Source: SiamRPN++ (Li et al., CVPR 2019), figure 3.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.correlation = DepthwiseCorrelation(in_channels, hidden_channels, kernel_size)
        self.normalise = nn.BatchNorm2d(hidden_channels)  # a sum of 49 products has no scale
        self.predict = nn.Sequential(
            nn.Conv2d(hidden_channels, hidden_channels, 1, bias=False),
            nn.BatchNorm2d(hidden_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden_channels, out_channels, 1),
        )

    def template_kernel(self, template: Tensor) -> Tensor:
        """Turn (B, C, h, w) template features into the head's (B, hidden, h, w) kernels."""
        return self.correlation.adapt_template(template)

    def forward(
        self, kernel: Tensor, search: Tensor, modulation: Modulation | None = None
    ) -> Tensor:
        """Predict (B, out, H - h + 1, W - w + 1) maps.

        Args:
            kernel: (B, hidden, h, w) from `template_kernel`.
            search: (B, C, H, W) features.
            modulation: of the response's channels.
        """
        return self.predict(modulate(self.normalise(self.correlation(kernel, search)), modulation))


class PixelwiseHead(nn.Module):
    """A head that compares every cell of the search with every cell of the template.

    A softmax over the template's cells tells which part of the template lies in a search cell.
    These weights, with some features of the search cell, pass through dilated convolutions that
    reach as far as a target. So the target's extent can be predicted; a depth-wise correlation
    blurs it.

    Args:
        in_channels: channels of the backbone's features.
        hidden_channels: channels of the convolutions.
        out_channels: numbers predicted for each cell.
        cells: cells on a side of the template.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int, out_channels: int, cells: int
    ) -> None:
        super().__init__()
        compared, own = 64, 24
        self.cells = cells
        self.adapt_template = nn.Conv2d(in_channels, compared, 1, bias=False)
        self.adapt_search = nn.Conv2d(in_channels, compared, 1, bias=False)
        self.adapt_search.load_state_dict(self.adapt_template.state_dict())  # equal at first
        self.sharpness = nn.Parameter(torch.tensor(16.0))  # of the softmax; cosines are flat
        self.own = nn.Sequential(
            nn.Conv2d(in_channels, own, 1, bias=False), nn.BatchNorm2d(own), nn.ReLU(inplace=True)
        )
        layers: list[nn.Module] = []
        widths = cells**2 + own, hidden_channels, hidden_channels
        for dilation, width in enumerate(widths, start=1):  # together 6 cells to each side
            layers += [
                nn.Conv2d(
                    width, hidden_channels, 3, padding=dilation, dilation=dilation, bias=False
                ),
                nn.BatchNorm2d(hidden_channels),
                nn.ReLU(inplace=True),
            ]
        self.look = nn.Sequential(*layers)
        self.predict = nn.Conv2d(hidden_channels, out_channels, 1)

    def template_kernel(self, template: Tensor) -> Tensor:
        """Turn (B, C, h, w) template features into (B, h * w, 64) unit vectors."""
        return F.normalize(self.adapt_template(template).float().flatten(2), dim=1).mT

    def forward(
        self, kernel: Tensor, search: Tensor, modulation: Modulation | None = None
    ) -> Tensor:
        """Predict (B, out, H - h + 1, W - w + 1) maps.

        Args:
            kernel: (B, h * w, 64) from `template_kernel`.
            search: (B, C, H, W) features.
            modulation: of the channels that the maps are predicted from.
        """
        return self.predict_maps(self.correlate(kernel, search), modulation)

    def correlate(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Return (B, hidden, H, W) maps of which part of the template lies where.

        Args:
            kernel: (B, h * w, 64) from `template_kernel`.
            search: (B, C, H, W) features.
        """
        compared = F.normalize(self.adapt_search(search).float(), dim=1)
        similarity = self.sharpness * cross_correlate_pixelwise(compared, kernel)
        weights = _softmax_of_channels(similarity) * self.cells
        return self.look(torch.cat((weights, self.own(search)), dim=1))

    def predict_maps(self, features: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Predict (B, out, H - h + 1, W - w + 1) maps from the (B, hidden, H, W) of `correlate`."""
        margin = self.cells // 2
        features = features[..., margin:-margin, margin:-margin]
        return self.predict(modulate(features, modulation))


def _softmax_of_channels(maps: Tensor) -> Tensor:
    if not torch.compiler.is_exporting():
        return maps.softmax(dim=1)
    powers = (maps - maps.amax(dim=1, keepdim=True)).exp()  # ONNX Runtime's softmax moves channels
    return powers / powers.sum(dim=1, keepdim=True)


def modulate(response: Tensor, modulation: Modulation | None) -> Tensor:
    """Apply a gain and a shift to each channel of (B, C, H, W), if there are any."""
    if modulation is None:
        return response
    gain, shift = modulation
    return response * (1 + gain) + shift


class ShapePrior(nn.Module):
    """Turn the target's width and height in its template into a modulation of each head.

    The template alone does not tell them: a box on half a wheel and a box on the whole wheel can
    have the same center. A gain and a shift of each response channel cost next to no time.

    Args:
        channels: of each head's response.

    Source: FiLM (Perez et al., AAAI 2018), for the form.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = [2 * count for count in channels]
        last = nn.Linear(32, sum(self.channels))
        self.layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(inplace=True), last)
        nn.init.zeros_(last.weight)  # no modulation at first
        nn.init.zeros_(last.bias)

    def forward(self, sizes: Tensor) -> tuple[Tensor, ...]:
        """Return the modulation of each head, (B, 2, channels, 1, 1): gain and shift.

        Args:
            sizes: (B, 2) logarithms of relative width and height.
        """
        parts = self.layers(sizes).split(self.channels, dim=1)
        return tuple(part.reshape(sizes.shape[0], 2, -1, 1, 1) for part in parts)
