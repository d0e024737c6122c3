"""The mean of two networks: what each forgot, the other still knows."""

import copy
from typing import TYPE_CHECKING, Any

import torch

from cyclesiam.config_aliases import renamed_class
from cyclesiam.models.siamrpn import SiamRPN


@torch.no_grad()
def average_networks(first: SiamRPN, second: SiamRPN) -> SiamRPN:
    """Give a network whose weights are half way between two.

    It works where one was trained on from the other, or both from a third: between them the loss
    is low all the way.

    Args:
        first: trainable, as `load_weights` gives it on request; it is not changed.
        second: of the same config, likewise.

    Raises:
        ValueError: the networks differ in kind, or were made for inference.

    Source: WiSE-FT (Wortsman et al., CVPR 2022), section 3, with a share of one half.
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
