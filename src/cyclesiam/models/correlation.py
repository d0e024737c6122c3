"""Depth-wise cross-correlation: how much a search crop looks like the template, channel by channel.

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
        any_number = not isinstance(search.shape[0], int)
        return _add_shifts(search, template) if any_number else _slide(search, template)
    return _DepthwiseCorrelation.apply(search, template)  # pyright: ignore[reportReturnType]


def cross_correlate_pixelwise(search: Tensor, template: Tensor) -> Tensor:
    """Compare every cell of the search features with every cell of the template.

    Where the depth-wise correlation says that something like the template lies around here, this
    says which part of the template lies here: it keeps the target's extent.

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
        groups=B * C,  # every channel of every target is its own convolution
    )
    return response.reshape(B, C, *response.shape[-2:])


def _add_shifts(search: Tensor, kernel: Tensor) -> Tensor:
    """Correlate by products of matrices: a graph of any batch has no convolution of B * C groups.

    Column j of every kernel meets the search features shifted by j to the left, all in one product;
    what row i of the kernels says is added after a shift by i.
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
    """The correlation with both gradients written as correlations too.

    The library's own backward of a convolution with B * C groups takes 5-10 times as long.
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

    Each branch of the tracker (score, box, mask) owns one, so that the same backbone features
    can mean something different to each task. The two halves are separate, because a template
    is adapted once and searched for many times.

    Args:
        in_channels: channels of the backbone's features.
        hidden_channels: channels of the response.
        kernel_size: of the adapting convolutions; 3 in SiamRPN++, 1 where arithmetic is dear.
    """

    def __init__(self, in_channels: int, hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.adapt_template = _adapter(in_channels, hidden_channels, kernel_size)
        self.adapt_search = _adapter(in_channels, hidden_channels, kernel_size)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Correlate (B, hidden, h, w), from `adapt_template`, with (B, C, H, W) features."""
        return cross_correlate_depthwise(self.adapt_search(search), kernel)


def _adapter(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    # Padded, so that a 1x1 and a 3x3 adapter give the same response size; not normalised,
    # because the response is.
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
