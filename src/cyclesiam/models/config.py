"""What makes a network, and how its proposals lie: known of an exported one, too, without PyTorch.

Shapes: K anchors, G x G response positions, M chosen proposals of K * G * G.
"""

from dataclasses import dataclass, field
from typing import Literal

from cyclesiam.arrays import AnyArray, array_namespace
from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.mask_windows import MaskLayout

BackboneName = Literal["small", "resnet50"]
STAGE_STRIDES: dict[BackboneName, tuple[int, ...]] = {"small": (8, 4), "resnet50": (8, 4, 2)}
TEMPLATE_CELLS = 7  # the middle of the 15 x 15 template features; the rest is context and border


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """What makes a network: weights fit one of the same config only."""

    backbone: BackboneName = "small"
    """`small` for CPUs, `resnet50` for the paper's."""
    wide_shortcuts: bool = False
    """Only for `resnet50`: the published SiamMask's 3x3 shortcuts."""
    hidden_channels: int = 72
    """Channels of the response of each branch that correlates depth-wise."""
    box_head: Literal["pixelwise", "depthwise"] = "pixelwise"
    """How the box branch compares: cell by cell, which shows the target's extent, or depth-wise
    as the score branch does, which is the paper's."""
    box_channels: int = 48
    """Channels of a pixelwise box branch."""
    adapter_kernel: int = 1
    """Size of the convolutions that adapt features to a branch."""
    shape_prior: bool = True
    """Tell the branches the size of the first box; False for the paper's network."""
    masks: bool = False
    """Give masks, too."""
    mask_channels: int = 96
    """Channels of the response that masks are read from."""
    template_size: int = 127
    """Side of the template crop in pixels."""
    search_size: int = 255
    """Side of the search crop in pixels."""
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """Shapes of the proposals."""

    def __post_init__(self) -> None:
        if isinstance(self.anchors, dict):  # as the hub's mixin reads it from config.json
            object.__setattr__(self, "anchors", AnchorConfig(**self.anchors))
        if self.backbone not in ("small", "resnet50"):
            raise ValueError(f"backbone must be small or resnet50, got {self.backbone!r}")
        if self.box_head not in ("pixelwise", "depthwise"):
            raise ValueError(f"box_head must be pixelwise or depthwise, got {self.box_head!r}")
        for name in ("template_size", "search_size"):
            if (getattr(self, name) - 7) % self.anchors.stride:
                raise ValueError(
                    f"{name} must be 7 more than a multiple of {self.anchors.stride}, so that "
                    f"strides meet the crop's centre; got {getattr(self, name)}"
                )
        template, search = (self.template_size - 7) // 8, (self.search_size - 7) // 8
        fits = TEMPLATE_CELLS <= template <= search and template % 2 == 1
        if self.anchors.stride != 8 or not fits:
            raise ValueError(
                "anchors must have the backbones' stride 8, the template an odd number of "
                f"{TEMPLATE_CELLS} features or more on a side, and the search no fewer; got {self}"
            )

    @property
    def response_size(self) -> int:
        """Positions on a side of the response."""
        return (self.search_size - 7) // self.anchors.stride - TEMPLATE_CELLS + 1

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Strides of the backbone's stages that masks are read from."""
        return STAGE_STRIDES[self.backbone]

    @property
    def mask_layout(self) -> MaskLayout:
        """Which windows masks are read from."""
        return MaskLayout(self.template_size, self.adapter_kernel // 2)

    def proposal_cells(self, chosen: AnyArray) -> AnyArray:
        """Give the (M, 2) column and row in the response of (M,) proposals."""
        place = chosen % self.response_size**2
        return array_namespace(place).stack(
            (place % self.response_size, place // self.response_size), axis=-1
        )

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Give the (M, 4) cxcywh that the masks of (M,) proposals cover, in crop pixels."""
        xp = array_namespace(chosen)
        positions = xp.asarray(self.proposal_cells(chosen), dtype=xp.float32)
        middles = (
            self.anchors.stride * (positions - (self.response_size - 1) / 2) + self.search_size / 2
        )
        sides = xp.full_like(middles, self.template_size)
        return xp.concat((middles, sides), axis=-1)
