"""Cross-correlation: how similar each place of a search crop is to the template.

Shapes: B targets, C channels, (H, W) search features, (h, w) template features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function


def cross_correlate_depthwise(search: Tensor, template: Tensor) -> Tensor:
    """Slide each template over its own search features, channel by channel.

    Args:
        search: (B, C, H, W).
        template: (B, C, h, w), with h <= H and w <= W.

    Returns:
        (B, C, H - h + 1, W - w + 1): one similarity map per channel.

    Source: SiamRPN++ (Li et al., CVPR 2019), "Depthwise Cross Correlation".
    """
    if torch.compiler.is_exporting():
        is_dynamic = not isinstance(search.shape[0], int)
        return _add_shifts(search, template) if is_dynamic else _slide(search, template)
    return _DepthwiseCorrelation.apply(search, template)  # pyright: ignore[reportReturnType]


def cross_correlate_pixelwise(search: Tensor, template: Tensor) -> Tensor:
    """Compare every cell of the search features with every cell of the template.

    The depth-wise correlation finds places that are similar to the whole template. This one finds
    which part of the template lies in each cell, and so keeps the target's extent.

    Args:
        search: (B, C, H, W).
        template: (B, h * w, C).

    Returns:
        (B, h * w, H, W): dot products.

    Source: Alpha-Refine (Yan et al., CVPR 2021), section 3.2.
    """
    B, _, H, W = search.shape
    return (template @ search.flatten(2)).reshape(B, -1, H, W)


def _slide(search: Tensor, kernel: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
    """Correlate every channel of every target with its own kernel, as one grouped convolution."""
    B, C, H, W = search.shape
    response = F.conv2d(
        search.reshape(1, B * C, H, W),
        kernel.reshape(B * C, 1, *kernel.shape[-2:]),
        padding=padding,
        groups=B * C,
    )
    return response.reshape(B, C, *response.shape[-2:])


def _add_shifts(search: Tensor, kernel: Tensor) -> Tensor:
    """Correlate by matrix products: a graph with a dynamic B cannot have B * C groups.

    One product multiplies column j of every kernel with the search features shifted left by j.
    Then the response of each row i of the kernels is added, shifted up by i.
    """
    B, C, H, W = search.shape
    h, w = kernel.shape[-2:]
    height, width = H - h + 1, W - w + 1
    shifted = torch.stack([search[..., j : j + width] for j in range(w)], dim=2)
    rows = (kernel @ shifted.flatten(3)).reshape(B, C, h, H, width)
    response = rows[:, :, 0, :height]
    for i in range(1, h):
        response = response + rows[:, :, i, i : i + height]
    return response


class _DepthwiseCorrelation(Function):
    """The correlation, with both gradients written as correlations, too.

    PyTorch's own backward of a convolution with B * C groups takes 5 to 10 times as long.
    """

    @staticmethod
    def forward(ctx, search: Tensor, template: Tensor) -> Tensor:
        ctx.save_for_backward(search, template)
        return _slide(search, template)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore
        search, template = ctx.saved_tensors
        h, w = template.shape[-2:]
        to_search = _slide(gradient, template.flip(-2, -1), padding=(h - 1, w - 1))
        return to_search, _slide(search, gradient)


class DepthwiseCorrelation(nn.Module):
    """Adapt template and search features to one task, then correlate them.

    Each depth-wise head owns one, so each can use the same backbone features in its own way. A
    template is adapted once and searched for many times, so its adapter is a layer of its own.

    Args:
        in_channels: channels of the backbone's features.
        hidden_channels: channels of the response.
        kernel_size: side of the adapting convolutions; 3 in SiamRPN++, 1 to save arithmetic.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.adapt_template = _adapter(in_channels, hidden_channels, kernel_size)
        self.adapt_search = _adapter(in_channels, hidden_channels, kernel_size)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Correlate (B, hidden, h, w), from `adapt_template`, with (B, C, H, W) features."""
        return cross_correlate_depthwise(self.adapt_search(search), kernel)


def _adapter(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    # Padded, so that the response size does not depend on the kernel's; not normalized, because
    # the response is.
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
