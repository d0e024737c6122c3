"""The graphs of a network, as modules to be traced; what they are called with, see `signatures`.

Shapes: B targets.
"""

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

from cyclesiam.deployment.signatures import (
    GraphName,
    Signature,
    signatures,
    to_graph_layout,
    to_network_layout,
)
from cyclesiam.models.mask_windows import MaskInputs
from cyclesiam.models.siamrpn import SiamRPN

Item = TypeVar("Item")


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
        given = self.compute([to_network_layout(name, tensor) for name, tensor in taken])
        named = zip(self.signature.outputs, given, strict=True)
        return tuple(to_graph_layout(name, tensor) for name, tensor in named)

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
        by_stride = dict(zip(self.network.config.stage_strides, stages, strict=True))
        windows = MaskInputs(kernel, near, None, by_stride, looks, beliefs, corners)
        mask = _there(self.network.mask)
        return (mask.predict(windows, coarse=False).sharp.sigmoid(),)


def _there(value: Item | None) -> Item:
    assert value is not None
    return value
