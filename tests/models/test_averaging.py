import dataclasses

import pytest
import torch

from cyclesiam.models.averaging import average_networks
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.siamrpn import SiamRPN
from support.networks import TINY


def networks():
    torch.manual_seed(0)
    return SiamRPN(TINY), SiamRPN(TINY)


def test_every_weight_lies_half_way():
    first, second = networks()
    before = {name: value.clone() for name, value in first.state_dict().items()}
    mean = average_networks(first, second).state_dict()
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (before[name] + second.state_dict()[name]) / 2)
        assert torch.equal(first.state_dict()[name], before[name])  # the first is as it was


def test_a_network_is_its_own_mean():
    first, _ = networks()
    for name, value in average_networks(first, first).state_dict().items():
        assert torch.equal(value, first.state_dict()[name])


def test_other_kinds_have_no_mean():
    first, second = networks()
    other = SiamRPN(dataclasses.replace(TINY, box_head="depthwise"))
    for pair in (
        (first, other),
        (fuse_for_inference(first), second),
        (first, fuse_for_inference(second)),
    ):
        with pytest.raises(ValueError, match="have a mean"):
            average_networks(*pair)
