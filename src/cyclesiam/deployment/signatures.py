"""How a network's graphs are called, and what with: three graphs, each with any number of targets.

`embed` templates, `search` crops, and `segment` what a search saw. Windows of masks are taken
outside: the graphs then hold arithmetic alone, which is what runtimes are quick at. Maps and
pictures go in and out channels-last, (B, H, W, C), as both the tracker's crops and the runtimes'
convolutions have them in memory.

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
    stages = [stage_name(stride) for stride in config.stage_strides]
    seen = ("boxes", "scores", "features", *stages)
    windows = ("kernel", "near", *stages, "looks", "beliefs", "corners")
    return {
        "embed": Signature(("crops", "boxes"), (*template, "mask_kernel")),
        "search": Signature(("crops", *template), seen),
        "segment": Signature(windows, ("masks",)),
    }


def stage_name(stride: int) -> str:
    """Name the maps of a stage of the backbone, reduced to what masks take of them."""
    return f"reduced_{stride}"


def to_graph_layout(name: str, array: AnyArray) -> AnyArray:
    """Turn what a network takes or gives into a graph's: (B, 3, S, S) pictures to (B, S, S, 3)."""
    return array_namespace(array).moveaxis(array, 1, -1) if name in IMAGE_INPUTS else array


def to_network_layout(name: str, array: AnyArray) -> AnyArray:
    """Turn a graph's input or output into a network's; the inverse of `as_graph_has_it`."""
    return array_namespace(array).moveaxis(array, -1, 1) if name in IMAGE_INPUTS else array


def flatten_windows(windows: MaskInputs) -> tuple[AnyArray, ...]:
    """Give the windows of masks in the order of the inputs of `segment`, as the network has it."""
    kernel, near, _, stages, *rest = windows
    return (kernel, near, *stages.values(), *rest)
