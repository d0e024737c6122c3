"""Backbones: from a crop to features, eight pixels a step.

Both keep a crop's centre at the features' centre, because every stride is taken without padding
on sizes of 2^n - 1: a 127-pixel template gives 15 x 15 features, a 255-pixel search crop 31 x 31.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from torch import Tensor, nn

FIRST_STAGE = 3  # layers of the small backbone's stem up to stride 4


class Backbone(Protocol):
    """Any module that embeds crops at stride 8.

    `channels` is the depth of what it gives, and `stage_channels` that of what it sees on the way,
    by its stride: a mask needs finer maps. `mean` and `std` are the RGB statistics, in
    0..255, of the pictures that its weights expect.
    """

    channels: int
    stage_channels: ClassVar[Mapping[int, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, crops: Tensor) -> Tensor:
        """Embed (B, 3, S, S) normalised crops as (B, channels, (S - 7) / 8, (S - 7) / 8)."""
        ...

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Embed them, and give stages on the way by their stride s.

        Their cells are centred in the crop, and (S + 1) / s - 1 or fewer on a side.
        """
        ...


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """Convolve and normalise."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class SmallBackbone(nn.Module):
    """Dense convolutions for CPUs: 0.28 GMAC for a 255-pixel crop.

    Two strided convolutions, then bottlenecks at stride 8. Dense rather than depth-wise: on a
    CPU with wide vectors they run at 4 to 10 times the arithmetic rate, forward and backward;
    and no layer at stride 2, where a CPU spends its time on memory.
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
        """Embed (B, 3, S, S) crops as (B, 128, (S - 7) / 8, (S - 7) / 8)."""
        return self.forward_stages(crops)[0]

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Embed them, and give the stages of strides 8 and 4."""
        fine = self.stem[:FIRST_STAGE](crops)
        coarse = self.stem[FIRST_STAGE:](fine)
        return self.blocks(coarse), {8: coarse, 4: fine}


class SmallBlock(nn.Module):
    """A residual bottleneck: narrow, look around, widen, add."""

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
        """Turn (B, C, H, W) features into as many."""
        return self.relu(features + self.layers(features))


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
    """A strided 1x1 shortcut that reads where an unpadded strided 3x3 has its middles."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layers to (B, C, H, W) features without their outermost pixels."""
        return super().forward(input[..., 1:-1, 1:-1])


class ResNet50(nn.Module):
    """ResNet-50 to `layer3` at stride 8, with torchvision's key names, adjusted to 256 channels.

    `layer3` is dilated instead of strided. Weights trained for pictures (torchvision's, DINO's,
    MoCo's) load from a file by name; their `layer4` and `fc` have no place here.

    Args:
        wide_shortcuts: take the shortcuts of `layer2` and `layer3` with 3x3 convolutions, as the
            published SiamMask weights do. `layer3`'s alone is 9 of their 31 GFLOP; 1x1
            shortcuts, as in torchvision, are the default.

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
        """Embed (B, 3, S, S) crops as (B, 256, (S - 7) / 8, (S - 7) / 8)."""
        return self.forward_stages(crops)[0]

    def forward_stages(self, crops: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """Embed them, and give `layer2`, `layer1` and `conv1` as stages."""
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
