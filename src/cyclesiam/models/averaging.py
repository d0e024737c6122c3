"""The mean of two networks, which keeps what either of them has forgotten."""

import copy
from typing import TYPE_CHECKING, Any

import torch

from cyclesiam.config_aliases import renamed_class
from cyclesiam.models.siamrpn import SiamRPN


@torch.no_grad()
def average_networks(first: SiamRPN, second: SiamRPN) -> SiamRPN:
    """Return a network whose weights are the mean of two networks' weights.

    One must have been trained on from the other, or both from a third: then the loss is low on
    the line between them.

    Args:
        first: trainable, from `load_weights(..., trainable=True)`; it is not changed.
        second: of the same config, likewise trainable.

    Raises:
        ValueError: the configs differ, or a network was fused for inference.

    Source: WiSE-FT (Wortsman et al., CVPR 2022), section 3, with a mixing coefficient of one half.
    """
    if first.config != second.config or not (first.normalizes_input and second.normalizes_input):
        raise ValueError("only trainable networks of one config have a mean")
    mean = copy.deepcopy(first)
    others = second.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(others[name].to(value.device), 0.5)
    return mean


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
