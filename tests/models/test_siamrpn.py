import dataclasses

import pytest
import torch

from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.geometry.boxes import cxcywh_to_xyxy
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN
from support.networks import TINY

GRID = 11  # positions on a side: 17 search features less 7 of the template, plus 1


@pytest.fixture
def network():
    torch.manual_seed(0)
    return SiamRPN(TINY).eval()


def make_crops(network, B=3):
    generator = torch.Generator().manual_seed(0)
    templates = torch.rand(B, 3, network.template_size, network.template_size, generator=generator)
    searches = torch.rand(B, 3, network.search_size, network.search_size, generator=generator)
    boxes = torch.tensor([[20.0, 20, 59, 59], [10, 30, 69, 49], [30, 5, 49, 70]])[:B]
    return templates * 255, boxes, searches * 255


def zero_output(head):
    """Make a head predict zero in every cell."""
    torch.nn.init.zeros_([*head.predict.modules()][-1].weight)
    torch.nn.init.zeros_([*head.predict.modules()][-1].bias)


@torch.inference_mode()
def test_shapes(network):
    templates, boxes, searches = make_crops(network)
    proposals = network.search(network.embed(templates, boxes), searches)
    N = 5 * GRID * GRID
    assert network.anchors.shape == (N, 4)
    assert proposals.boxes.shape == (3, N, 4)
    assert proposals.scores.shape == (3, N)
    assert proposals.response.logits.shape == (3, N, 2)
    assert proposals.response.offsets.shape == (3, N, 4)
    assert 0 < proposals.scores.min() <= proposals.scores.max() < 1


def test_the_papers_response_has_25_positions_on_a_side():
    with torch.device("meta"):
        assert len(SiamRPN().anchors) == 5 * 25 * 25


@torch.inference_mode()
def test_a_batch_is_searched_row_by_row(network):
    templates, boxes, searches = make_crops(network)
    together = network.search(network.embed(templates, boxes), searches)
    for b in range(3):
        row = slice(b, b + 1)
        alone = network.search(network.embed(templates[row], boxes[row]), searches[row])
        torch.testing.assert_close(alone.boxes, together.boxes[row], rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(alone.scores, together.scores[row], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_without_offsets_the_proposals_are_the_anchors(network):
    zero_output(network.box)
    templates, boxes, searches = make_crops(network, 1)
    proposals = network.search(network.embed(templates, boxes), searches)
    torch.testing.assert_close(proposals.boxes[0], cxcywh_to_xyxy(network.anchors))


@torch.inference_mode()
@pytest.mark.parametrize("anchor", range(5))
def test_the_channels_of_an_anchor_meet_its_shape(network, anchor):
    zero_output(network.score)
    zero_output(network.box)
    [*network.score.predict.modules()][-1].bias[2 * anchor + 1] = 5  # the object's logit
    [*network.box.predict.modules()][-1].bias[4 * anchor] = 1  # one anchor's width to the right
    templates, boxes, searches = make_crops(network, 1)
    proposals = network.search(network.embed(templates, boxes), searches)
    chosen = (proposals.scores[0] > 0.9).nonzero()[:, 0]
    positions = GRID * GRID
    assert chosen.tolist() == list(range(anchor * positions, (anchor + 1) * positions))
    ratio = TINY.anchors.ratios[anchor]
    width, height = 40 / ratio**0.5, 40 * ratio**0.5
    expected = network.anchors[chosen].clone()
    torch.testing.assert_close(expected[0, 2:], torch.tensor([width, height]))
    expected[:, 0] += width
    torch.testing.assert_close(proposals.boxes[0, chosen], cxcywh_to_xyxy(expected))


@torch.inference_mode()
@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 7), (10, 2)])
def test_a_response_at_a_position_is_a_box_there(network, row, column):
    """Plant one bright response in the score head's maps, and read where its box is."""
    zero_output(network.box)

    def plant(module, inputs, maps):
        planted = torch.zeros_like(maps)
        planted[:, 2 * 2 + 1, row, column] = 5  # the square anchor's object logit
        return planted

    network.score.register_forward_hook(plant)
    templates, boxes, searches = make_crops(network, 1)
    proposals = network.search(network.embed(templates, boxes), searches)
    box = proposals.boxes[0, proposals.scores[0].argmax()]
    x, y = 71.5 + 8 * (column - 5), 71.5 + 8 * (row - 5)
    torch.testing.assert_close(box, torch.tensor([x - 20, y - 20, x + 20, y + 20]))


@torch.inference_mode()
def test_the_response_moves_with_the_search_crop(network):
    """Eight pixels are one cell."""
    templates, boxes, searches = make_crops(network, 1)
    template = network.embed(templates, boxes)
    searches[...] = 128
    moved = searches.clone()
    blob = 255 * torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    searches[..., 59:83, 59:83], moved[..., 59:83, 67:91] = blob, blob
    # away from the border of the features, where padding is felt
    first, second = (
        network.score.correlation(template[0], network.extract_features(crops))
        for crops in (searches, moved)
    )
    assert (first - second).abs().max() > 10 * (first[..., 5, 5] - second[..., 5, 6]).abs().max()


def test_the_size_of_the_target_changes_only_the_modulation(network):
    templates, boxes, _ = make_crops(network, 2)
    first, second = network.embed(templates, boxes), network.embed(templates, boxes[[1, 0]])
    torch.testing.assert_close(first[:2], second[:2])
    assert [part.shape for part in first[2:]] == [(2, 2, 16, 1, 1), (2, 2, 48, 1, 1)]
    assert not first[2].any()  # a new network has no modulation
    torch.nn.init.normal_(network.shape_prior.layers[-1].weight)
    modulation = network.embed(templates, boxes)[2]
    torch.testing.assert_close(modulation, network.embed(templates, boxes[[1, 0]])[2].flip(0))
    assert not torch.equal(modulation[0], modulation[1])


def test_a_square_that_fills_half_of_the_template_is_the_unit(network):
    side = network.template_size / 2
    found = []
    network.shape_prior.layers.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    templates = torch.zeros(1, 3, network.template_size, network.template_size)
    network.embed(templates, torch.tensor([[9.0, 9.0, 9.0 + side, 9.0 + side]]))
    torch.testing.assert_close(found[0], torch.zeros(1, 2))


@torch.inference_mode()
def test_a_new_shape_prior_changes_nothing(network):
    templates, boxes, searches = make_crops(network, 1)
    template = network.embed(templates, boxes)
    with_prior = network.run_heads(template, network.extract_features(searches))
    network.shape_prior = None
    without = network.run_heads(template[:2], network.extract_features(searches))
    torch.testing.assert_close(without, with_prior)


def test_the_papers_network_has_no_prior():
    plain = SiamRPN(dataclasses.replace(TINY, shape_prior=False))
    templates, boxes, searches = make_crops(plain, 2)
    template = plain.embed(templates, boxes)
    assert len(template) == 2
    plain.search(template, searches).boxes.sum().backward()


def test_colors_are_normalized_before_the_backbone(network):
    found = []
    network.backbone.stem[0].register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    network.embed(torch.full((1, 3, 79, 79), 114.0 + 58), torch.tensor([[20.0, 20, 59, 59]]))
    torch.testing.assert_close(found[0], torch.ones(1, 3, 79, 79))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "large"}, "backbone must be one of small, pyramid, resnet50, got 'large'"),
        (
            {"backbone": "pyramid", "search_size": 215},
            "search_size must be 15 more than a multiple of 16",
        ),
        ({"search_size": 256}, "search_size must be 7 more than a multiple of 8"),
        ({"template_size": 128}, "template_size must be 7 more"),
        ({"template_size": 71}, "odd number of 7"),  # 8 features have no middle 7
        ({"template_size": 47}, "odd number of 7"),  # 5 features are too few
        ({"search_size": 111}, "the search no fewer"),
        ({"anchors": AnchorConfig(stride=4)}, "stride 8"),
    ],
)
def test_impossible_networks_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**wrong)


def test_a_template_of_seven_features_is_its_own_middle():
    network = SiamRPN(dataclasses.replace(TINY, template_size=63))
    kernels = network.embed(torch.zeros(2, 3, 63, 63), torch.ones(2, 4))
    assert kernels[0].shape == (2, 16, 7, 7)
