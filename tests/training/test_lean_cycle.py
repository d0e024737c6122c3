"""The lean cycle teaches what the plain one teaches; what it shares or folds changes little."""

import copy
from dataclasses import replace

import pytest
import torch

from cyclesiam.data.clips import MASK_OFF, MASK_ON
from cyclesiam.training import objective as lessons
from cyclesiam.training.cycle import last_positions
from cyclesiam.training.objective import ObjectiveConfig, cycle_objective
from reference_cycle import PlainWalker
from support.networks import TINY
from support.training import make_clips, make_networks

LESSON = ObjectiveConfig(min_cycle_score=0.0)


def gradients(network, guide, turn, config):
    network = copy.deepcopy(network)
    frames, boxes = make_clips(turn)
    chance = torch.Generator().manual_seed(2)
    masks = torch.full((3, 120, 160), MASK_OFF, dtype=torch.uint8)
    masks[:, 40:80, 50:90] = MASK_ON
    lesson = cycle_objective(network, guide, frames, boxes, turn, config, chance, masks=masks)
    lesson.losses(config).total.backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("masks", [False, True])
def test_lean_gradients_are_the_plain_ones_bit_for_bit(masks, turn, monkeypatch):
    network, guide = make_networks(replace(TINY, masks=masks, mask_channels=8))
    lean = gradients(network, copy.deepcopy(guide).requires_grad_(False), turn, LESSON)
    walker = PlainWalker(LESSON.labels)
    monkeypatch.setattr(lessons, "last_positions", walker.find_last)
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
    walked = last_positions(guide, frames, boxes, turn, LESSON.selection)
    assert not any(part.requires_grad for part in (walked.boxes, walked.at_turn, walked.scores))


@pytest.mark.parametrize("turn", [1, 2])
def test_a_folded_guide_walks_to_the_same_boxes(turn, monkeypatch):
    network, guide = make_networks()
    walks, has_norms = [], []

    def noted(walker, *arguments, **options):
        has_norms.append(walker.normalizes_input)
        walks.append(last_positions(walker, *arguments, **options))
        return walks[-1]

    monkeypatch.setattr(lessons, "last_positions", noted)
    for fold_norms in (False, True):
        gradients(network, guide, turn, ObjectiveConfig(min_cycle_score=0.0, fold_norms=fold_norms))
    assert has_norms == [True, False]
    torch.testing.assert_close(walks[0].boxes, walks[1].boxes, rtol=0, atol=1e-2)
    torch.testing.assert_close(walks[0].scores, walks[1].scores, rtol=1e-3, atol=1e-4)
