"""What makes a network, and where its proposals lie; exported networks need it without PyTorch.

Shapes: K anchors, G x G response cells, M of the K * G * G proposals.
"""

from dataclasses import dataclass, field
from typing import Literal

from cyclesiam.arrays import AnyArray, array_namespace
from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.mask_windows import MaskLayout

BackboneName = Literal["small", "pyramid", "resnet50"]
STAGE_STRIDES: dict[BackboneName, tuple[int, ...]] = {
    "small": (8, 4),
    "pyramid": (8, 4),
    "resnet50": (8, 4, 2),
}
TEMPLATE_CELLS = 7  # the center of the 15 x 15 template features; the rest is context and border


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkConfig:
    """What makes a network: weights fit only a network of the same config."""

    backbone: BackboneName = "small"
    """`small` is made for CPUs. `pyramid` has 2.7 times its weights in the same time, most of them
    at stride 16. `resnet50` is the paper's."""
    wide_shortcuts: bool = False
    """3x3 shortcuts in `resnet50`, as in the published SiamMask: its recipe needs them."""
    hidden_channels: int = 72
    """Channels of the response of each depth-wise head; more cost time in every frame."""
    box_head: Literal["pixelwise", "depthwise"] = "pixelwise"
    """How the box head compares. `pixelwise`: cell by cell, which keeps the target's extent.
    `depthwise`: channel by channel as the score head does, which is the paper's."""
    box_channels: int = 48
    """Channels of a pixelwise box head; more cost time in every frame."""
    adapter_kernel: int = 1
    """Side of the convolutions that adapt features to a head; 3 costs 9 times as much as 1."""
    shape_prior: bool = True
    """Whether the heads are given the size of the first box; False in the paper's network."""
    masks: bool = False
    """Whether there is a mask head."""
    mask_channels: int = 96
    """Channels of the response that masks are predicted from; more cost time for each mask."""
    template_size: int = 127
    """Side of the template crop in pixels; larger templates hold more context and cost more."""
    search_size: int = 255
    """Side of the search crop in pixels; larger crops find faster targets and cost more."""
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    """Shapes of the proposals."""

    def __post_init__(self) -> None:
        if self.backbone not in STAGE_STRIDES:
            names = ", ".join(STAGE_STRIDES)
            raise ValueError(f"backbone must be one of {names}, got {self.backbone!r}")
        if self.box_head not in ("pixelwise", "depthwise"):
            raise ValueError(f"box_head must be pixelwise or depthwise, got {self.box_head!r}")
        for name in ("template_size", "search_size"):
            if (getattr(self, name) - 7) % self.anchors.stride:
                raise ValueError(
                    f"{name} must be 7 more than a multiple of {self.anchors.stride}, so that "
                    f"strides meet the crop's center; got {getattr(self, name)}"
                )
            if self.backbone == "pyramid" and (getattr(self, name) - 15) % 16:
                raise ValueError(
                    f"{name} must be 15 more than a multiple of 16, so that stride 16 meets the "
                    f"crop's center; got {getattr(self, name)}"
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
        """G, the cells on a side of the response."""
        return (self.search_size - 7) // self.anchors.stride - TEMPLATE_CELLS + 1

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Strides of the backbone's stages that masks are predicted from."""
        return STAGE_STRIDES[self.backbone]

    @property
    def mask_layout(self) -> MaskLayout:
        """Which windows masks are predicted from."""
        return MaskLayout(self.template_size, self.adapter_kernel // 2)

    def proposal_cells(self, chosen: AnyArray) -> AnyArray:
        """Return the (M, 2) column and row in the response of (M,) proposals."""
        cells = chosen % self.response_size**2
        return array_namespace(cells).stack(
            (cells % self.response_size, cells // self.response_size), axis=-1
        )

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Return the (M, 4) cxcywh that the masks of (M,) proposals cover, in crop pixels."""
        xp = array_namespace(chosen)
        cells = xp.asarray(self.proposal_cells(chosen), dtype=xp.float32)
        centers = (
            self.anchors.stride * (cells - (self.response_size - 1) / 2) + self.search_size / 2
        )
        return xp.concat((centers, xp.full_like(centers, self.template_size)), axis=-1)


class ConfiguredNetwork:
    """The sizes of a network and the places of its proposals, all known from its `config`."""

    config: NetworkConfig

    @property
    def template_size(self) -> int:
        """Side of the crops that `embed` takes, in pixels."""
        return self.config.template_size

    @property
    def search_size(self) -> int:
        """Side of the crops that `search` takes, in pixels."""
        return self.config.search_size

    @property
    def stride(self) -> int:
        """Crop pixels from one cell of the features to the next."""
        return self.config.anchors.stride

    @property
    def has_masks(self) -> bool:
        """Whether `segment` can be called."""
        return self.config.masks

    def proposal_cells(self, chosen: AnyArray) -> AnyArray:
        """Return the (M, 2) column and row in the response of (M,) proposals."""
        return self.config.proposal_cells(chosen)

    def mask_windows(self, chosen: AnyArray) -> AnyArray:
        """Return the (M, 4) cxcywh that the masks of (M,) proposals cover, in crop pixels."""
        return self.config.mask_windows(chosen)
