"""The lean cycle teaches what the plain one teaches; what it shares or folds changes little."""

import copy
from dataclasses import replace

import pytest
import torch

from cyclesiam.data.clips import OFF, ON
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training import lessons
from cyclesiam.training.cycle import find_last
from cyclesiam.training.lessons import LessonConfig, learn_from
from plain_cycle import PlainWalker
from tiny_network import TINY

LESSON = LessonConfig(trust=0.0)


def make_networks(config=TINY):
    """Give a network that learns and one that walks, whose norms have seen some data."""
    torch.manual_seed(0)
    network = SiamRPN(config)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.train(), copy.deepcopy(network).eval()


def make_clips(turn, B=3):
    """Blurred noise that drifts by 5 px a frame, and the boxes of frame 0."""
    noise = torch.rand(B, 3, 120, 160 + 5 * turn, generator=torch.Generator().manual_seed(1))
    noise = 3 * torch.nn.functional.avg_pool2d(noise, 7, 1, 3) - 1
    frames = [noise[..., 5 * t : 5 * t + 160] for t in range(turn + 1)]
    boxes = torch.full((B, turn + 1, 4), torch.nan)
    boxes[:, 0] = torch.tensor([50.0, 40, 90, 80])
    return (255 * torch.stack(frames, dim=1).clamp(0, 1)).byte(), boxes


def gradients(network, guide, turn, config):
    network = copy.deepcopy(network)
    frames, boxes = make_clips(turn)
    chance = torch.Generator().manual_seed(2)
    masks = torch.full((3, 120, 160), OFF, dtype=torch.uint8)
    masks[:, 40:80, 50:90] = ON
    lesson = learn_from(network, guide, frames, boxes, turn, config, chance, masks=masks)
    lesson.losses(config).total.backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("masks", [False, True])
def test_lean_gradients_are_the_plain_ones_bit_for_bit(masks, turn, monkeypatch):
    network, guide = make_networks(replace(TINY, masks=masks, mask_channels=8))
    lean = gradients(network, copy.deepcopy(guide).requires_grad_(False), turn, LESSON)
    walker = PlainWalker(LESSON.labels)
    monkeypatch.setattr(lessons, "find_last", walker.find_last)
    plain = gradients(network, guide, turn, LESSON)
    assert len(walker.kept) == max(2 * turn - 1, 0)
    assert all(losses.total.requires_grad for losses in walker.kept)  # it did keep its graphs
    assert lean.keys() == plain.keys()
    for name, gradient in lean.items():
        assert torch.equal(gradient, plain[name]), name
    assert sum(gradient.abs().sum() for gradient in lean.values()) > 0
    assert all(("mask." in name) <= masks for name in lean)


@pytest.mark.parametrize("turn", [1, 2])
def test_no_graph_is_left_by_a_walk(turn):
    network, guide = make_networks()  # which could record one
    gradients(network, guide, turn, LESSON)
    assert all(parameter.grad is None for parameter in guide.parameters())
    frames, boxes = make_clips(turn)
    walked = find_last(guide, frames, boxes, turn, LESSON.choice)
    assert not any(part.requires_grad for part in (walked.boxes, walked.at_turn, walked.scores))


@pytest.mark.parametrize("turn", [1, 2])
def test_a_folded_guide_walks_to_the_same_boxes(turn, monkeypatch):
    network, guide = make_networks()
    walks, has_norms = [], []

    def noted(walker, *arguments, **options):
        has_norms.append(walker.normalises)
        walks.append(find_last(walker, *arguments, **options))
        return walks[-1]

    monkeypatch.setattr(lessons, "find_last", noted)
    for fold_norms in (False, True):
        gradients(network, guide, turn, LessonConfig(trust=0.0, fold_norms=fold_norms))
    assert has_norms == [True, False]
    torch.testing.assert_close(walks[0].boxes, walks[1].boxes, rtol=0, atol=1e-2)
    torch.testing.assert_close(walks[0].scores, walks[1].scores, rtol=1e-3, atol=1e-4)
