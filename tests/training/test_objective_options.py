"""Options of the objective: each replaces one part of the loss, and leaves the others alone."""

import copy
from typing import Any

import pytest
import torch

from cyclesiam.training.objective import CycleBatch, LossSums, ObjectiveConfig, cycle_objective
from support.training import make_clips, make_networks


def loss_sums(**options: Any) -> LossSums:
    """Return the sums of the same clips and draws, with some options."""
    network, ema = make_networks()
    frames, boxes = make_clips(1)
    config = ObjectiveConfig(min_cycle_score=0.0, **options)
    rng = torch.Generator().manual_seed(2)
    return cycle_objective(copy.deepcopy(network), ema, CycleBatch(frames, boxes, 1), config, rng)


def test_the_box_loss_is_chosen_alone():
    plain, other = loss_sums(), loss_sums(box_loss="giou")
    torch.testing.assert_close(other.score, plain.score)
    torch.testing.assert_close(other.box.weight, plain.box.weight)
    assert not torch.allclose(other.box.sum, plain.box.sum)


def test_a_giou_loss_trains_the_box_head():
    network, ema = make_networks()
    frames, boxes = make_clips(1)
    config = ObjectiveConfig(min_cycle_score=0.0, negative_probability=0.0, box_loss="giou")
    rng = torch.Generator().manual_seed(2)
    sums = cycle_objective(network, ema, CycleBatch(frames, boxes, 1), config, rng)
    assert 0 < sums.box.mean < 2
    sums.box.mean.backward()
    gradients = [parameter.grad for parameter in network.box.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_an_unknown_loss_is_an_error():
    with pytest.raises(ValueError, match="box_loss must be"):
        ObjectiveConfig(box_loss="iou")
