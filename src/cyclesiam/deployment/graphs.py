"""The graphs of a network: what is exported, and how a graph's numbers are called.

Three graphs, each with any number of targets: `embed` templates, `search` crops, and `segment` what
a search saw. Windows of masks are taken outside: the graphs then hold arithmetic alone, which is
what runtimes are quick at. Maps and pictures go in and out channels-last, (B, H, W, C), as both
the tracker's crops and the runtimes' convolutions have them in memory.

Shapes: B targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import Tensor, nn

from cyclesiam.models.backbones import ResNet50, SmallBackbone
from cyclesiam.models.mask_windows import MaskWindows
from cyclesiam.models.siamrpn import NetworkConfig, SiamRPN

Item = TypeVar("Item")
GraphName = Literal["embed", "search", "segment"]
PICTURES = ("crops", "looks")  # channels-last


@dataclass(frozen=True, slots=True)
class Signature:
    """The names of a graph's inputs and outputs, in their order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signatures(config: NetworkConfig) -> dict[GraphName, Signature]:
    """Give the graphs of a network, and what they are called with."""
    template = ["score_kernel", "box_kernel"]
    if config.shape_prior:
        template += ["score_modulation", "box_modulation"]
    if not config.masks:
        return {
            "embed": Signature(("crops", "boxes"), tuple(template)),
            "search": Signature(("crops", *template), ("boxes", "scores", "features")),
        }
    stages = [stage_name(stride) for stride in stage_strides(config)]
    seen = ("boxes", "scores", "features", *stages)
    windows = ("kernel", "near", *stages, "looks", "beliefs", "corners")
    return {
        "embed": Signature(("crops", "boxes"), (*template, "mask_kernel")),
        "search": Signature(("crops", *template), seen),
        "segment": Signature(windows, ("masks",)),
    }


def stage_strides(config: NetworkConfig) -> tuple[int, ...]:
    """Give the strides of the backbone's stages that masks are read from."""
    backbone = SmallBackbone if config.backbone == "small" else ResNet50
    return tuple(backbone.stage_channels)


def stage_name(stride: int) -> str:
    """Name the maps of a stage of the backbone, reduced to what masks take of them."""
    return f"reduced_{stride}"


def as_graph_has_it(name: str, tensor: Tensor) -> Tensor:
    """Turn what a network takes or gives into a graph's: (B, 3, S, S) pictures to (B, S, S, 3)."""
    return tensor.permute(0, 2, 3, 1) if name in PICTURES else tensor


def as_network_has_it(name: str, tensor: Tensor) -> Tensor:
    """Turn a graph's input or output into a network's; the inverse of `as_graph_has_it`."""
    return tensor.permute(0, 3, 1, 2) if name in PICTURES else tensor


def flatten_windows(windows: MaskWindows) -> tuple[Tensor, ...]:
    """Give the windows of masks in the order of the inputs of `segment`, as the network has it."""
    kernel, near, _, stages, *rest = windows
    return (kernel, near, *stages.values(), *rest)


def make_graphs(network: SiamRPN) -> dict[GraphName, nn.Module]:
    """Give the modules to be traced, with the inputs and outputs of `signatures`."""
    known = signatures(network.config)
    graphs: dict[GraphName, nn.Module] = {
        "embed": _Embed(network, known["embed"]),
        "search": _Search(network, known["search"]),
    }
    if "segment" in known:
        graphs["segment"] = _Segment(network, known["segment"])
    return graphs


class _Graph(nn.Module):
    """A part of a network behind a graph's names and layouts."""

    def __init__(self, network: SiamRPN, signature: Signature) -> None:
        super().__init__()
        self.network = network
        self.signature = signature

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give the outputs of the inputs, all as the graph has them."""
        taken = zip(self.signature.inputs, inputs, strict=True)
        given = self.compute([as_network_has_it(name, tensor) for name, tensor in taken])
        named = zip(self.signature.outputs, given, strict=True)
        return tuple(as_graph_has_it(name, tensor) for name, tensor in named)

    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Give the outputs of the inputs, all as the network has them."""
        raise NotImplementedError


class _Embed(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Embed crops and boxes."""
        return self.network.embed(inputs[0], inputs[1])


class _Search(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Search crops; the kernel of masks only waits for `segment`, and takes no part."""
        crops, *template = inputs
        unused = [crops] if self.network.has_masks else []
        proposals = self.network.search((*template, *unused), crops)
        seen = [proposals.boxes, proposals.scores, _there(proposals.features)]
        if self.network.mask is not None:
            seen += self.network.mask.reduce(proposals.response.masks).values()
        return tuple(seen)


class _Segment(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Read masks from windows."""
        kernel, near, *stages, looks, beliefs, corners = inputs
        by_stride = dict(zip(stage_strides(self.network.config), stages, strict=True))
        windows = MaskWindows(kernel, near, None, by_stride, looks, beliefs, corners)
        mask = _there(self.network.mask)
        return (mask.read(windows, coarse=False).sharp.sigmoid(),)


def _there(value: Item | None) -> Item:
    assert value is not None
    return value
