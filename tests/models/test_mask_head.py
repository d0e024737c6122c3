"""The mask head: windows, resolutions, and one cell computed alone as among all."""

import dataclasses

import pytest
import torch

from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.mask_head import upsample_2x
from cyclesiam.models.mask_inputs import box_maps
from cyclesiam.models.mask_windows import slice_windows
from cyclesiam.models.siamrpn import SiamRPN
from support.networks import TINY

CONFIGS = {
    "tiny": dataclasses.replace(TINY, masks=True, mask_channels=8),
    "small": NetworkConfig(masks=True),
    "pyramid": NetworkConfig(backbone="pyramid", masks=True),
    "paper": NetworkConfig(
        backbone="resnet50",
        hidden_channels=8,
        mask_channels=8,
        box_head="depthwise",
        shape_prior=False,
        adapter_kernel=3,
        masks=True,
    ),
}


@pytest.fixture(params=CONFIGS)
def network(request):
    """Return a network whose norms have statistics of some data."""
    torch.manual_seed(0)
    network = SiamRPN(CONFIGS[request.param])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def search(network, B=2):
    generator = torch.Generator().manual_seed(0)
    templates = 255 * torch.rand(B, 3, *(network.template_size,) * 2, generator=generator)
    crops = 255 * torch.rand(B, 3, *(network.search_size,) * 2, generator=generator)
    boxes = torch.tensor([[20.0, 20, 50, 59]]).repeat(B, 1)
    n = (network.search_size + 1) // 2
    return (
        network.search(network.embed(templates, boxes), crops),
        torch.rand(B, 2, n, n, generator=generator),
    )


@torch.inference_mode()
def test_a_mask_has_the_templates_size_and_lies_around_its_position(network):
    proposals, color_priors = search(network)
    chosen = torch.tensor([0, network.config.response_size**2 // 2])  # first, center
    masks = network.segment(proposals, chosen, color_priors)
    assert masks.shape == (2, network.template_size, network.template_size)
    assert 0 < masks.min() < masks.max() < 1
    windows = network.mask_windows(chosen)
    centers = network.anchors[chosen, :2]  # anchors lie at the center of their cells
    torch.testing.assert_close(windows[:, :2], centers)
    assert (windows[:, 2:] == network.template_size).all()


@torch.inference_mode()
def test_one_cell_alone_gives_the_same_mask(network):
    """Also at the border, where a mask's window reaches beyond the crop."""
    proposals, color_priors = search(network, 1)
    last = network.config.response_size**2 - 1
    chosen = torch.tensor([0, network.config.response_size - 1, last // 2, last])
    rows = torch.zeros(4, dtype=torch.long)
    boxes = proposals.boxes[0, chosen]
    together = network.mask_logits(proposals.response, color_priors, rows, chosen, boxes)
    for n in range(4):
        alone = network.mask_logits(
            proposals.response, color_priors, rows[:1], chosen[n : n + 1], boxes[n : n + 1]
        )
        torch.testing.assert_close(alone.sharp[0], together.sharp[n], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(alone.coarse[0], together.coarse[n], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_the_response_at_a_position_is_the_whole_correlations(network):
    """By the slow definition: adapt the whole map, correlate everywhere, read the cell."""
    from cyclesiam.models.correlation import cross_correlate_depthwise

    proposals, _ = search(network)
    searched, mask = proposals.response.masks, network.mask
    padding = (mask.padding,) * 4
    adapted = mask.adapt_search(torch.nn.functional.pad(searched.features, padding))
    whole = mask.normalise(cross_correlate_depthwise(adapted, searched.kernel))
    cells = torch.tensor([[0, 0], [network.config.response_size - 1, 1]])  # column, row
    side = 7 + 2 * mask.padding
    windows = slice_windows(searched.features, torch.tensor([0, 1]), cells, side, mask.padding)
    found = mask.correlate(searched.kernel, windows)
    for n, (x, y) in enumerate(cells.tolist()):
        torch.testing.assert_close(found[n, :, 0, 0], whole[n, :, y, x], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_a_fused_network_draws_the_same_masks(network):
    proposals, color_priors = search(network)
    fused_proposals, _ = search(fuse_for_inference(network))
    chosen = torch.tensor([3, 40])
    plain = network.segment(proposals, chosen, color_priors)
    fused = fuse_for_inference(network).segment(fused_proposals, chosen, color_priors)
    torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)


def test_only_what_was_searched_can_be_segmented(network):
    proposals, color_priors = search(network, 1)
    without_masks = proposals.response._replace(masks=None)
    features_only = dataclasses.replace(proposals, response=without_masks)
    with pytest.raises(ValueError, match="no masks"):
        network.segment(features_only, torch.tensor([0]), color_priors)
    boxes_only = SiamRPN(dataclasses.replace(network.config, masks=False))
    assert not boxes_only.has_masks


def test_both_parts_can_be_exported(network):
    """Each alone, as a graph of its own; what is windowed before stays outside."""
    vector = torch.rand(1, network.config.mask_channels, 1, 1)
    cells = (network.template_size - 7) // 8
    own = network.mask.refine.own.in_channels
    stages = {
        stride: torch.rand(1, channels, *((cells + 1) * (8 // stride) - 1,) * 2)
        for stride, channels in network.backbone.stage_channels.items()
    }
    pixels = torch.rand(1, 6, *(network.template_size,) * 2)
    with torch.no_grad():
        reduced = network.mask.refine.reduce(torch.rand(1, own, cells, cells), stages)
    refine_inputs = vector, reduced, pixels
    for module, inputs in ((network.mask.coarse, (vector,)), (network.mask.refine, refine_inputs)):
        exported = torch.export.export(module, inputs).module()
        torch.testing.assert_close(exported(*inputs), module(*inputs))


def test_reduced_maps_give_the_same_masks(network):
    """Also where windows reach beyond the crop: zeros stay zeros, without a bias."""
    proposals, color_priors = search(network, 2)
    response = proposals.response
    searched = response.masks
    maps = network.mask.reduce(searched)
    reduced = response._replace(
        masks=searched._replace(stages=maps, box_features=None, reduced=True)
    )
    rows, chosen = torch.tensor([0, 1]), torch.tensor([0, network.config.response_size**2 - 1])
    boxes = proposals.boxes[rows, chosen]
    masks = [
        network.mask_logits(outputs, color_priors, rows, chosen, boxes).sharp
        for outputs in (response, reduced)
    ]
    torch.testing.assert_close(*masks)


def test_gradients_reach_every_parameter_of_the_branch():
    torch.manual_seed(0)
    network = SiamRPN(CONFIGS["tiny"])
    proposals, color_priors = search(network)
    rows = chosen = torch.tensor([0, 1])
    logits = network.mask_logits(
        proposals.response, color_priors, rows, chosen, proposals.boxes[rows, chosen]
    )
    (logits.sharp.square().sum() + logits.coarse.square().sum()).backward()
    for name, parameter in network.mask.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_windows_are_taken_with_zeros_beyond_the_border():
    maps = torch.arange(32.0).reshape(2, 1, 4, 4)
    rows, first = torch.tensor([0, 1]), torch.tensor([[0, 1], [4, 2]])  # column, row; margin 2
    taken = slice_windows(maps, rows, first, 3, 2)
    expected = [[[0, 0, 0], [0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]]
    expected[0] = [[0, 0, 0], [0, 0, 0], [0, 0, 4]]  # rows -1, 0, 1 of columns -2, -1, 0
    expected[0][1][2], expected[1] = 0, [[18, 19, 0], [22, 23, 0], [26, 27, 0]]
    torch.testing.assert_close(taken[:, 0], torch.tensor(expected, dtype=torch.float))
    alone = slice_windows(maps[1:], torch.tensor([0]), first[1:], 3, 2)
    torch.testing.assert_close(alone, taken[1:])


def test_doubling_keeps_straight_lines_straight():
    line = torch.arange(5.0).repeat(5, 1)[None, None]
    doubled = upsample_2x(line)
    assert doubled.shape[-2:] == (11, 11)
    torch.testing.assert_close(doubled[0, 0, 5, 1:-1], torch.arange(9) / 2)


def test_a_box_map_is_positive_inside_the_box():
    drawn = box_maps(torch.tensor([[10.0, 20, 50, 40]]), 63)[0]
    assert drawn[30, 30] == 1
    assert drawn[30, 58] == -1
    assert drawn[19, 30] < 0 < drawn[20, 30]
    assert drawn[30, 9] < 0 < drawn[30, 10]
