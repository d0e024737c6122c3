"""Pairs in the middle of a cycle: the way back finds what the way out found."""

import copy

import pytest
import torch

from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.training import objective as lessons
from cyclesiam.training.cycle import last_positions, track_cycle
from cyclesiam.training.objective import ObjectiveConfig, cycle_objective
from support.networks import BlobNetwork, bright_square
from support.training import make_clips, make_networks

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)
BOXES = [(60, 60, 100, 100), (66, 64, 112, 110), (74, 70, 124, 120), (80, 76, 128, 124)]


def moving_squares(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give (1, T, 3, H, W) frames and their (T, 4) boxes."""
    frames = torch.stack([bright_square(box) for box in BOXES[:count]])[None]
    return frames, torch.tensor(BOXES[:count]).float()


@pytest.mark.parametrize("turn", [2, 3])
def test_the_middle_is_a_walk_that_began_where_the_way_out_was(turn: int) -> None:
    clips, boxes = moving_squares(turn + 1)
    walked = track_cycle(BlobNetwork(), clips, boxes[:1], turn, TRUSTING)
    assert walked.middle is not None
    began, inner = walked.middle
    torch.testing.assert_close(began, boxes[1:2], rtol=0, atol=0.4)
    torch.testing.assert_close(inner.boxes, boxes[2:3], rtol=0, atol=0.4)
    torch.testing.assert_close(inner.at_turn, walked.at_turn)
    assert (inner.turn, inner.frame, inner.middle) == (turn - 1, 1, None)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_short_cycle_has_no_middle(turn: int) -> None:
    clips, boxes = moving_squares(2)
    assert track_cycle(BlobNetwork(), clips, boxes[:1], turn, TRUSTING).middle is None


def test_what_is_known_of_the_middle_is_taken_and_the_rest_is_walked() -> None:
    clips, boxes = moving_squares(4)
    clips, truth = clips.expand(2, -1, -1, -1, -1), boxes.repeat(2, 1, 1)
    truth[0, 1:] = torch.nan
    truth[1, 1:] += 3
    middle = last_positions(BlobNetwork(), clips, truth, 3, TRUSTING).middle
    assert middle is not None
    torch.testing.assert_close(middle.began[0], boxes[1], rtol=0, atol=0.4)
    torch.testing.assert_close(middle.walked.boxes[0], boxes[2], rtol=0, atol=0.4)
    torch.testing.assert_close(middle.began[1], boxes[1] + 3)
    torch.testing.assert_close(middle.walked.boxes[1], boxes[2] + 3)
    torch.testing.assert_close(middle.walked.at_turn[1], boxes[3] + 3)


def learn(config: ObjectiveConfig, turn: int = 2, first: int = 0) -> lessons.LossSums:
    """Learn from clips of noise that drifts, whose boxes are all known, from some frame on."""
    network, guide = make_networks()
    frames, boxes = make_clips(turn + first)
    steps = torch.arange(turn + first + 1)[:, None] * torch.tensor([-5.0, 0, -5, 0])
    boxes = (boxes[:, :1] + steps)[:, first:]
    chance = torch.Generator().manual_seed(2)
    return cycle_objective(
        copy.deepcopy(network), guide, frames[:, first:], boxes, turn, config, chance
    )


def test_a_pair_in_the_middle_is_a_cycle_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lessons, "sample_transform", lambda *_: lessons.CycleTransform()
    )  # no chance
    monkeypatch.setattr(lessons, "subsample_labels", lambda labels, *_: labels)
    plain = ObjectiveConfig(min_cycle_score=0.0, negative_probability=0.0)
    home, inner = learn(plain), learn(plain, turn=1, first=1)
    both = learn(ObjectiveConfig(min_cycle_score=0.0, negative_probability=0.0, middle=0.5))
    for part in ("score", "box"):
        own, more, seen = (getattr(lesson, part) for lesson in (home, inner, both))
        torch.testing.assert_close(seen.sum, own.sum + 0.5 * more.sum)
        torch.testing.assert_close(seen.weight, own.weight + 0.5 * more.weight)
        assert not torch.allclose(own.mean, more.mean)
    for part in ("matched", "dropped", "mask"):
        assert getattr(both, part) == getattr(home, part)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="middle must be 0 or more, got -1"):
        ObjectiveConfig(middle=-1)
