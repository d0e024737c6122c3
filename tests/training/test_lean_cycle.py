"""Gradients of the cycle equal, bit for bit, those of the authors' way of running it."""

import copy
from dataclasses import replace

import pytest
import torch

from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON
from cyclesiam.training import cycle
from cyclesiam.training.objective import CycleBatch, ObjectiveConfig, cycle_objective
from reference_cycle import ReferenceCycle
from support.networks import TINY
from support.training import make_clips, make_networks

CONFIG = ObjectiveConfig(min_cycle_score=0.0)


def gradients(network, ema, turn):
    network = copy.deepcopy(network)
    frames, boxes = make_clips(turn)
    masks = torch.full((3, 120, 160), MASK_OFF, dtype=torch.uint8)
    masks[:, 40:80, 50:90] = MASK_ON
    batch = CycleBatch(frames, boxes, turn, masks)
    sums = cycle_objective(network, ema, batch, CONFIG, torch.Generator().manual_seed(2))
    sums.losses(CONFIG).total.backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("masks", [False, True])
def test_lean_gradients_are_the_plain_ones_bit_for_bit(masks, turn, monkeypatch):
    network, ema = make_networks(replace(TINY, masks=masks, mask_channels=8))
    lean = gradients(network, copy.deepcopy(ema).requires_grad_(False), turn)
    reference = ReferenceCycle(CONFIG.labels)
    monkeypatch.setattr(cycle, "track_cycle", reference.track_cycle)
    plain = gradients(network, ema, turn)
    assert len(reference.kept) == max(2 * turn - 1, 0)
    assert all(losses.total.requires_grad for losses in reference.kept)  # it did keep its graphs
    assert lean.keys() == plain.keys()
    for name, gradient in lean.items():
        assert torch.equal(gradient, plain[name]), name
    assert sum(gradient.abs().sum() for gradient in lean.values()) > 0
    assert all(("mask." in name) <= masks for name in lean)


@pytest.mark.parametrize("turn", [1, 2])
def test_tracking_leaves_no_graph(turn):
    network, ema = make_networks()  # which could record one
    gradients(network, ema, turn)
    assert all(parameter.grad is None for parameter in ema.parameters())
    track = cycle.track_cycle(ema, *make_clips(turn), turn, CONFIG.selection)
    assert not track.boxes.requires_grad
    assert not track.scores.requires_grad
