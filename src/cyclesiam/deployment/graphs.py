"""The graphs of a network, as modules to be traced; `signatures` names their inputs and outputs.

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
    """Return the modules to be traced, with the inputs and outputs of `signatures`."""
    known = signatures(network.config)
    graphs: dict[GraphName, nn.Module] = {
        "embed": _Embed(network, known["embed"]),
        "search": _Search(network, known["search"]),
    }
    if "segment" in known:
        graphs["segment"] = _Segment(network, known["segment"])
    return graphs


class _Graph(nn.Module):
    """A part of a network with a graph's names and layouts."""

    def __init__(self, network: SiamRPN, signature: Signature) -> None:
        super().__init__()
        self.network = network
        self.signature = signature

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs; all arrays in the graph's layout."""
        named_inputs = zip(self.signature.inputs, inputs, strict=True)
        outputs = self.compute([to_network_layout(name, tensor) for name, tensor in named_inputs])
        named_outputs = zip(self.signature.outputs, outputs, strict=True)
        return tuple(to_graph_layout(name, tensor) for name, tensor in named_outputs)

    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the outputs; all arrays in the network's layout."""
        raise NotImplementedError


class _Embed(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Embed crops and boxes."""
        return self.network.embed(inputs[0], inputs[1])


class _Search(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Search crops; the mask kernel is only for `segment`, so anything stands in for it."""
        crops, *template = inputs
        unused = [crops] if self.network.has_masks else []
        proposals = self.network.search((*template, *unused), crops)
        outputs = [proposals.boxes, proposals.scores, _not_none(proposals.features)]
        if self.network.mask is not None:
            outputs += self.network.mask.reduce(proposals.response.masks).values()
        return tuple(outputs)


class _Segment(_Graph):
    def compute(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Predict masks from windows."""
        kernel, template_window, *stages, pixels, color_priors, boxes = inputs
        by_stride = dict(zip(self.network.config.stage_strides, stages, strict=True))
        windows = MaskInputs(kernel, template_window, None, by_stride, pixels, color_priors, boxes)
        mask = _not_none(self.network.mask)
        return (mask.predict(windows, coarse=False).sharp.sigmoid(),)


def _not_none(value: Item | None) -> Item:
    assert value is not None
    return value
