"""Backbones: from a crop to features at stride 8.

All keep a crop's center at the features' center, because every stride is taken without padding
on sizes of 2^n - 1: a 127-pixel template gives 15 x 15 features, a 255-pixel search crop 31 x 31.

Shapes: B crops of S pixels on a side.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

FIRST_STAGE = 3  # layers of the small backbone's stem up to stride 4


class Backbone(Protocol):
    """Any module that computes features of crops at stride 8.

    Attributes:
        channels: of the features.
        stage_channels: stride to channels of the stages before them; masks need finer maps.
        mean: of the colors that its weights expect, RGB, 0..255.
        std: their standard deviation.
    """

    channels: int
    stage_channels: ClassVar[Mapping[int, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, crops: Tensor) -> Tensor:
        """Return the (B, channels, (S - 7) / 8, (S - 7) / 8) of (B, 3, S, S) normalized crops."""
        ...

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the features of (B, 3, S, S) normalized crops, and stride to stage.

        The cells of a stage of stride s are centered in the crop, (S + 1) / s - 1 or fewer on a
        side.
        """
        ...


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """Build a convolution without bias and a batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class SmallBackbone(nn.Module):
    """A backbone for CPUs: 0.28 GMAC for a 255-pixel crop.

    Two strided convolutions, then bottlenecks at stride 8. The convolutions are dense: on a CPU
    with wide vectors they compute 4 to 10 times as much a second as depth-wise ones. There is no
    layer at stride 2, where a CPU spends its time on memory.
    """

    channels = 128
    stage_channels: ClassVar[Mapping[int, int]] = {8: 128, 4: 48}
    mean = (114.0, 114.0, 114.0)
    std = (58.0, 58.0, 58.0)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *conv_bn(3, 48, 7, stride=4),
            nn.ReLU(inplace=True),
            *conv_bn(48, 128, 3, stride=2),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(*(SmallBlock(128, 64, dilation) for dilation in (1, 2, 1, 2)))

    def forward(self, crops: Tensor) -> Tensor:
        """Return the (B, 128, (S - 7) / 8, (S - 7) / 8) features of (B, 3, S, S) crops."""
        return self.forward_stages(crops)[0]

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the features of (B, 3, S, S) crops, and the stages of strides 8 and 4."""
        fine = self.stem[:FIRST_STAGE](crops)
        coarse = self.stem[FIRST_STAGE:](fine)
        return self.blocks(coarse), {8: coarse, 4: fine}


class SmallBlock(nn.Module):
    """A residual bottleneck: a 1x1, a dilated 3x3 and a 1x1 convolution."""

    def __init__(self, channels: int, narrow: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *conv_bn(channels, narrow, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, narrow, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            *conv_bn(narrow, channels, 1),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Turn (B, C, H, W) features into features of the same shape."""
        return self.relu(features + self.layers(features))


class PyramidBackbone(nn.Module):
    """A feature pyramid for CPUs: 3.5 times the weights of `SmallBackbone`, in its time.

    Most of its layers are at stride 16. There a weight costs a quarter of the arithmetic, and
    training a quarter of the memory, of what it does at stride 8. What they see of an object is
    upsampled and added to stride 8, where places are known finely.

    Source: Feature Pyramid Networks (Lin et al., CVPR 2017), section 3; blocks of ResNet-18 (He et
    al., CVPR 2016).
    """

    channels = 96
    stage_channels: ClassVar[Mapping[int, int]] = {8: 96, 4: 32}
    mean = SmallBackbone.mean
    std = SmallBackbone.std

    def __init__(self) -> None:
        super().__init__()
        self.to_stride4 = nn.Sequential(*conv_bn(3, 32, 7, stride=4), nn.ReLU(inplace=True))
        self.to_stride8 = nn.Sequential(*conv_bn(32, 96, 3, stride=2), nn.ReLU(inplace=True))
        self.to_stride16 = nn.Sequential(*conv_bn(96, 144, 3, stride=2), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(BasicBlock(144), BasicBlock(144))
        self.top_down = conv_bn(144, 96, 1)
        self.lateral = conv_bn(96, 96, 1)
        self.relu = nn.ReLU(inplace=True)
        self.merge = SmallBlock(96, 48, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return the (B, 96, (S - 7) / 8, (S - 7) / 8) features of (B, 3, S, S) crops.

        Args:
            crops: S is 15 more than a multiple of 16.
        """
        return self.forward_stages(crops)[0]

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the features of (B, 3, S, S) crops, and the stages of strides 8 and 4."""
        fine = self.to_stride4(crops)
        coarse = self.to_stride8(fine)
        seen = self.top_down(self.blocks(self.to_stride16(coarse)))
        merged = self.relu(self.lateral(coarse) + _upsample_2x(seen))
        return self.merge(merged), {8: coarse, 4: fine}


class BasicBlock(nn.Module):
    """ResNet-18's residual block: two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *conv_bn(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            *conv_bn(channels, channels, 3, padding=1),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Turn (B, C, H, W) features into features of the same shape."""
        return self.relu(features + self.layers(features))


def _upsample_2x(maps: Tensor) -> Tensor:
    """Turn (B, C, n, n) maps into (B, C, 2n + 1, 2n + 1), bilinearly, as the mask head does.

    In this form ONNX Runtime takes a fifth of the time: it keeps the layout of its convolutions.
    """
    doubled = F.interpolate(maps, scale_factor=2.0, mode="nearest")
    return F.avg_pool2d(doubled, 2, stride=1, padding=1, count_include_pad=False)


class Bottleneck(nn.Module):
    """ResNet's bottleneck with torchvision's names; a stride is taken without padding."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        padding = 0 if stride == 2 else dilation
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, features: Tensor) -> Tensor:
        """Turn (B, in, H, W) features into (B, 4 * width, H', W')."""
        shortcut = features if self.downsample is None else self.downsample(features)
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


class CenteredShortcut(nn.Sequential):
    """A strided 1x1 shortcut that reads where an unpadded strided 3x3 has its centers."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layers to (B, C, H, W) features without their outermost pixels."""
        return super().forward(input[..., 1:-1, 1:-1])


class ResNet50(nn.Module):
    """ResNet-50 up to `layer3` at stride 8, with torchvision's key names and 256 channels.

    `layer3` is dilated instead of strided. Weights trained on images (torchvision's, DINO's,
    MoCo's) load from a file by name, without their `layer4` and `fc`.

    Args:
        wide_shortcuts: whether the shortcuts of `layer2` and `layer3` are 3x3 convolutions, as in
            the published SiamMask; else 1x1, as in torchvision. `layer3`'s alone takes 9 of the
            31 GFLOP.

    Source: SiamRPN++ (Li et al., CVPR 2019), section 3.2.
    """

    channels = 256
    stage_channels: ClassVar[Mapping[int, int]] = {8: 512, 4: 256, 2: 64}
    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)

    def __init__(self, *, wide_shortcuts: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        if wide_shortcuts:
            to_512, to_1024 = conv_bn(256, 512, 3, stride=2), conv_bn(512, 1024, 3, padding=1)
        else:
            to_512 = CenteredShortcut(*conv_bn(256, 512, 1, stride=2))
            to_1024 = conv_bn(512, 1024, 1)
        self.layer1 = _resnet_layer(64, 64, 3, conv_bn(64, 256, 1))
        self.layer2 = _resnet_layer(256, 128, 4, to_512, stride=2)
        self.layer3 = _resnet_layer(512, 256, 6, to_1024, dilation=2)
        self.adjust = conv_bn(1024, 256, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return the (B, 256, (S - 7) / 8, (S - 7) / 8) features of (B, 3, S, S) crops."""
        return self.forward_stages(crops)[0]

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Return the features of (B, 3, S, S) crops; stages are `layer2`, `layer1`, `conv1`."""
        first = self.relu(self.bn1(self.conv1(crops)))
        fine = self.layer1(self.maxpool(first))
        coarse = self.layer2(fine)
        return self.adjust(self.layer3(coarse)), {8: coarse, 4: fine, 2: first}


def _resnet_layer(
    in_channels: int,
    width: int,
    blocks: int,
    shortcut: nn.Module,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    # The first block is not dilated yet, as in SiamRPN++'s published configuration.
    first = Bottleneck(in_channels, width, stride=stride, downsample=shortcut)
    wide = width * Bottleneck.expansion
    rest = (Bottleneck(wide, width, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
