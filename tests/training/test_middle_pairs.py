"""Pairs in the middle of a cycle: the backward half finds what the forward half found."""

import copy

import pytest
import torch

from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.training import objective
from cyclesiam.training.cycle import CycleTransform, track_cycle
from cyclesiam.training.objective import CycleBatch, LossSums, ObjectiveConfig, cycle_objective
from support.networks import BlobNetwork, bright_square
from support.training import make_clips, make_networks

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)
BOXES = [(60, 60, 100, 100), (66, 64, 112, 110), (74, 70, 124, 120), (80, 76, 128, 124)]


def moving_squares(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (1, T, 3, H, W) frames and their (1, T, 4) boxes, of which only the first is known."""
    frames = torch.stack([bright_square(box) for box in BOXES[:count]])[None]
    boxes = torch.tensor(BOXES[:count]).float()[None]
    boxes[:, 1:] = torch.nan
    return frames, boxes


@pytest.mark.parametrize("turn", [2, 3])
def test_the_inner_cycle_begins_where_the_forward_half_was_in_frame_1(turn: int) -> None:
    clips, boxes = moving_squares(turn + 1)
    track = track_cycle(BlobNetwork(), clips, boxes, turn, TRUSTING)
    inner, expected = track.inner(), torch.tensor(BOXES).float()
    torch.testing.assert_close(inner.boxes[:, 0], expected[1:2], rtol=0, atol=0.4)
    torch.testing.assert_close(inner.template_boxes, expected[2:3], rtol=0, atol=0.4)
    assert (inner.turn, inner.template_frame) == (turn - 1, 1)
    assert inner.boxes.shape[1] == 2 * inner.turn


def loss_sums(config: ObjectiveConfig, turn: int = 2, first: int = 0) -> LossSums:
    """Return the sums of clips of drifting noise from some frame on; all boxes are known."""
    network, ema = make_networks()
    frames, boxes = make_clips(turn + first)
    steps = torch.arange(turn + first + 1)[:, None] * torch.tensor([-5.0, 0, -5, 0])
    boxes = (boxes[:, :1] + steps)[:, first:]
    batch = CycleBatch(frames[:, first:], boxes, turn)
    rng = torch.Generator().manual_seed(2)
    return cycle_objective(copy.deepcopy(network), ema, batch, config, rng)


def test_a_pair_in_the_middle_is_a_cycle_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "sample_transform", lambda *_: CycleTransform())  # not random
    monkeypatch.setattr(objective, "subsample_labels", lambda labels, *_: labels)
    plain = ObjectiveConfig(min_cycle_score=0.0, negative_probability=0.0)
    outer, inner = loss_sums(plain), loss_sums(plain, turn=1, first=1)
    both = loss_sums(ObjectiveConfig(min_cycle_score=0.0, negative_probability=0.0, middle=0.5))
    for part in ("score", "box"):
        own, more, added = (getattr(sums, part) for sums in (outer, inner, both))
        torch.testing.assert_close(added.sum, own.sum + 0.5 * more.sum)
        torch.testing.assert_close(added.weight, own.weight + 0.5 * more.weight)
        assert not torch.allclose(own.mean, more.mean)
    for part in ("matched", "dropped", "mask"):
        assert getattr(both, part) == getattr(outer, part)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_short_cycle_has_no_middle(turn: int) -> None:
    plain = ObjectiveConfig(min_cycle_score=0.0)
    both = ObjectiveConfig(min_cycle_score=0.0, middle=0.5)
    assert loss_sums(both, turn) == loss_sums(plain, turn)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="middle must be 0 or more, got -1"):
        ObjectiveConfig(middle=-1)
