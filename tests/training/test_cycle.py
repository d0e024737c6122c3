import dataclasses

import pytest
import torch

from cyclesiam.geometry.boxes import cxcywh_to_xyxy
from cyclesiam.geometry.crops import boxes_to_crop, boxes_to_image
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.training.cycle import (
    CycleTrack,
    CycleTransform,
    last_positions,
    palindrome,
    run_cycle,
    search_first_frame,
    track_cycle,
)
from support.networks import BlobNetwork, bright_square

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)


class Recorder:
    """Answer "in the middle, as large as it was", and remember the grey of every crop's middle."""

    template_size = 127
    search_size = 255
    stride = 8

    def __init__(self, score=0.9):
        self.score = score
        self.log = []
        self.weight = torch.ones((), requires_grad=True)

    def embed(self, crops, boxes):
        self.log.append(("embed", crops[0, 0, 63, 63].item()))
        return (self.weight * crops.mean(dim=(1, 2, 3)),)

    def search(self, template, crops):
        self.log.append(("search", crops[0, 0, 127, 127].item()))
        middle = cxcywh_to_xyxy(torch.tensor([[127.5, 127.5, 63.5, 63.5]]))
        boxes = middle.expand(len(crops), 1, 4)
        scores = torch.full((len(crops), 1), self.score) + 0 * template[0][:, None]
        return Proposals(boxes, scores, template[0])


def grey_clips(B=1, T=5, size=96):
    """Frame t of every clip has the grey level 10 * t."""
    frames = 10 * torch.arange(T, dtype=torch.uint8).reshape(1, T, 1, 1, 1)
    return frames.expand(B, T, 3, size, size).contiguous()


BOX = torch.tensor([[30.0, 30.0, 60.0, 60.0]])


def test_palindromes():
    assert [palindrome(turn) for turn in range(3)] == [[0], [0, 1, 0], [0, 1, 2, 1, 0]]
    with pytest.raises(ValueError, match="got -1"):
        palindrome(-1)


@pytest.mark.parametrize("turn", range(5))
def test_the_frames_of_a_palindrome_are_searched(turn):
    network = Recorder()
    run_cycle(network, grey_clips(), BOX, turn, SelectionConfig())
    searched = [grey / 10 for what, grey in network.log if what == "search"]
    assert searched == (palindrome(turn)[1:] or [0])


@pytest.mark.parametrize("turn", range(5))
def test_every_template_is_cut_where_the_last_search_was(turn):
    network = Recorder()
    run_cycle(network, grey_clips(), BOX, turn, SelectionConfig())
    embedded = [grey / 10 for what, grey in network.log if what == "embed"]
    assert embedded == (palindrome(turn)[:-1] or [0])
    assert [what for what, _ in network.log] == ["embed", "search"] * len(embedded)


def test_templates_are_cut_at_the_predicted_place_and_size():
    boxes = [(60, 60, 100, 100), (66, 64, 112, 110), (74, 70, 124, 120)]
    clips = torch.stack([bright_square(box) for box in boxes])[None]
    network = BlobNetwork()
    walked = track_cycle(network, clips, torch.tensor(boxes[:1]).float(), 2, TRUSTING)
    assert walked.frame == 1
    torch.testing.assert_close(walked.boxes, torch.tensor(boxes[1:2]).float(), rtol=0, atol=0.4)
    assert len(network.embedded) == 3  # in frames 0, 1 and 2: at home there is another
    for crops, in_crop in network.embedded:
        x0, _, x1, _ = in_crop[0].tolist()
        assert x1 - x0 == pytest.approx(63.5, abs=0.01)  # a square fills half of its template
        bright = (crops[0, 0] > 127).sum().item()
        assert bright**0.5 == pytest.approx(63.5, abs=1.5)


def test_a_cycle_that_sees_comes_home():
    boxes = [(60, 60, 100, 100), (70, 62, 110, 102), (82, 70, 122, 110)]
    clips = torch.stack([bright_square(box) for box in boxes])[None]
    home = run_cycle(BlobNetwork(), clips, torch.tensor(boxes[:1]).float(), 2, TRUSTING)
    found = boxes_to_image(home.proposals.boxes[:, 1], home.windows, 255)
    torch.testing.assert_close(found, torch.tensor(boxes[:1]).float(), rtol=0, atol=0.4)


def test_only_the_last_step_has_gradients():
    network = Recorder()
    walked = track_cycle(network, grey_clips(), BOX, 2, SelectionConfig())
    assert not walked.boxes.requires_grad
    assert not walked.scores.requires_grad
    home = search_first_frame(network, grey_clips(), walked, CycleTransform())
    home.proposals.response.sum().backward()
    # The template of the last step was cut from frame 1, whose grey is 10: only it remains.
    assert network.weight.grad is not None
    assert network.weight.grad.item() == pytest.approx(10.0)


def test_an_enclosing_no_grad_is_left_as_it_was():
    track_cycle(Recorder(), grey_clips(), BOX, 2, SelectionConfig())
    assert torch.is_grad_enabled()


def test_without_a_turn_there_is_no_walk():
    network = Recorder()
    walked = track_cycle(network, grey_clips(), BOX, 0, SelectionConfig())
    assert network.log == []
    assert (walked.frame, walked.scores.tolist()) == (0, [1])
    assert walked.boxes is BOX


@pytest.mark.parametrize("turn", [1, 2])
def test_what_is_known_is_taken_and_the_rest_is_walked(turn):
    network = Recorder(score=0.7)
    clips = grey_clips(B=3)
    truth = torch.full((3, 5, 4), torch.nan)
    truth[:, 0] = BOX
    truth[1, 1:] = torch.tensor([20.0, 22.0, 50.0, 60.0])
    truth[1, turn] += turn
    truth[2, 1] = BOX  # but not at the turning point of a longer walk
    truth[2, 1 : 3 - turn] = torch.nan
    found = last_positions(network, clips, truth, turn, SelectionConfig())
    assert found.frame == 1
    torch.testing.assert_close(found.boxes[1], truth[1, 1])
    torch.testing.assert_close(found.at_turn[1], truth[1, turn])
    torch.testing.assert_close(found.scores, torch.tensor([0.7, 1.0, 0.7]))
    walked = track_cycle(network, clips[[0, 2]], truth[[0, 2], 0], turn, SelectionConfig())
    torch.testing.assert_close(found.boxes[[0, 2]], walked.boxes)
    torch.testing.assert_close(found.at_turn[[0, 2]], walked.at_turn)


def test_the_turning_point_is_remembered():
    walked = track_cycle(Recorder(), grey_clips(), BOX, 3, SelectionConfig())
    half = track_cycle(Recorder(), grey_clips(), BOX, 1, SelectionConfig())
    assert (walked.turn, walked.frame, half.turn, half.frame) == (3, 1, 1, 1)
    assert half.at_turn is half.boxes
    assert walked.at_turn is not walked.boxes


@pytest.mark.parametrize(("template_from", "grey"), [("last", 10.0), ("turn", 30.0)])
def test_a_template_comes_from_the_last_frame_or_from_the_turning_point(template_from, grey):
    clips = grey_clips()
    walked = CycleTrack(BOX, BOX, torch.ones(1), 3)
    home = search_first_frame(
        Recorder(), clips, walked, CycleTransform(), template_from=template_from
    )
    torch.testing.assert_close(home.proposals.response.detach(), torch.tensor([grey]))


def test_where_all_is_known_nothing_is_searched():
    network = Recorder()
    found = last_positions(network, grey_clips(), BOX.expand(1, 5, 4), 3, SelectionConfig())
    assert (found.frame, network.log) == (1, [])
    found = last_positions(network, grey_clips(), BOX[:, None], 0, SelectionConfig())
    assert (found.frame, network.log) == (0, [])


def test_a_walk_is_believed_as_little_as_its_worst_step():
    network = Recorder()
    beliefs = iter([0.9, 0.4, 0.7])

    class Wavering(Recorder):
        def search(self, template, crops):
            proposals = Recorder.search(self, template, crops)
            return dataclasses.replace(proposals, scores=torch.full((1, 1), next(beliefs)))

    network = Wavering()
    walked = track_cycle(network, grey_clips(), BOX, 2, SelectionConfig())
    assert walked.scores.tolist() == pytest.approx([0.4])


def test_partners_swap_templates_and_nothing_else():
    clips = grey_clips(B=3)
    clips += torch.tensor([0, 100, 200], dtype=torch.uint8).reshape(3, 1, 1, 1, 1)
    boxes = BOX.expand(3, 4)
    walked = CycleTrack(boxes, boxes, torch.ones(3), 0)
    own = search_first_frame(Recorder(), clips, walked, CycleTransform())
    swapped = search_first_frame(
        Recorder(), clips, walked, CycleTransform(), torch.tensor([2, 0, 1])
    )
    torch.testing.assert_close(own.proposals.response, torch.tensor([0.0, 100, 200]))
    torch.testing.assert_close(swapped.proposals.response, torch.tensor([200.0, 0, 100]))
    torch.testing.assert_close(own.windows, swapped.windows)


def test_changes_reach_what_they_are_named_after():
    network = BlobNetwork()
    clips = torch.stack([bright_square((60, 60, 100, 100))])[None]
    boxes = torch.tensor([[60.0, 60, 100, 100]])
    change = CycleTransform(
        template_windows=lambda windows: windows + torch.tensor([5.0, 0, 0, 0]),
        template_crops=lambda crops: crops / 2,
        search_windows=lambda windows: windows + torch.tensor([0, 7.0, 0, 0]),
        search_crops=lambda crops: 255 - crops,
    )
    home = search_first_frame(network, clips, CycleTrack(boxes, boxes, torch.ones(1), 0), change)
    crops, in_crop = network.embedded[0]
    assert crops.max() == 127.5
    shifted = boxes_to_crop(
        boxes - torch.tensor([5.0, 0, 5, 0]), torch.tensor([[80.0, 80, 80, 80]]), 127
    )
    torch.testing.assert_close(in_crop, shifted)
    torch.testing.assert_close(home.windows[:, :2], torch.tensor([[80.0, 87.0]]))
    assert network.searched[0].min() == 0
