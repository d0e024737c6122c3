"""Inputs and outputs of a network's graphs; each graph takes any number of targets.

`embed` embeds templates, `search` searches crops, `segment` predicts masks from windows. Windows
are sliced outside of the graphs, which so hold arithmetic alone. Images go in channels-last,
(B, H, W, C): the tracker's crops and the runtimes' convolutions have them so in memory.

Shapes: B targets.
"""

from dataclasses import dataclass
from typing import Literal

from cyclesiam.arrays import AnyArray, array_namespace
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.mask_windows import MaskInputs

GraphName = Literal["embed", "search", "segment"]
IMAGE_INPUTS = ("crops", "looks")  # channels-last


@dataclass(frozen=True, slots=True)
class Signature:
    """The names of a graph's inputs and outputs, in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signatures(config: NetworkConfig) -> dict[GraphName, Signature]:
    """Return the signature of each graph of a network."""
    template = ["score_kernel", "box_kernel"]
    if config.shape_prior:
        template += ["score_modulation", "box_modulation"]
    if not config.masks:
        return {
            "embed": Signature(("crops", "boxes"), tuple(template)),
            "search": Signature(("crops", *template), ("boxes", "scores", "features")),
        }
    stages = [stage_name(stride) for stride in config.stage_strides]
    outputs = ("boxes", "scores", "features", *stages)
    windows = ("kernel", "near", *stages, "looks", "beliefs", "corners")
    return {
        "embed": Signature(("crops", "boxes"), (*template, "mask_kernel")),
        "search": Signature(("crops", *template), outputs),
        "segment": Signature(windows, ("masks",)),
    }


def stage_name(stride: int) -> str:
    """Return the graphs' name of a stage of the backbone, as `MaskHead.reduce` returns it."""
    return f"reduced_{stride}"


def to_graph_layout(name: str, array: AnyArray) -> AnyArray:
    """Turn a network's array into a graph's: images (B, 3, S, S) into (B, S, S, 3).

    Args:
        name: of the graph's input or output.
        array: any other than an image is returned as it is.
    """
    return array_namespace(array).moveaxis(array, 1, -1) if name in IMAGE_INPUTS else array


def to_network_layout(name: str, array: AnyArray) -> AnyArray:
    """Turn a graph's array into a network's; the inverse of `to_graph_layout`."""
    return array_namespace(array).moveaxis(array, -1, 1) if name in IMAGE_INPUTS else array


def flatten_windows(windows: MaskInputs) -> tuple[AnyArray, ...]:
    """Return windows in the order of the inputs of `segment`, in the network's layout."""
    kernel, template_window, _, stages, *rest = windows
    return (kernel, template_window, *stages.values(), *rest)
