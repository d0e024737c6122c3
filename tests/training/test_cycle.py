import dataclasses

import pytest
import torch

from cyclesiam.geometry.boxes import cxcywh_to_xyxy
from cyclesiam.geometry.crops import boxes_to_crop, boxes_to_image
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.training.cycle import (
    CycleTrack,
    CycleTransform,
    palindrome,
    run_cycle,
    search_first_frame,
    track_cycle,
)
from support.networks import BlobNetwork, bright_square

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)


class Recorder:
    """Propose the middle at the same size, and record the gray level of every crop's middle."""

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


def gray_clips(B=1, T=5, size=96):
    """Frame t of every clip has the gray level 10 * t."""
    frames = 10 * torch.arange(T, dtype=torch.uint8).reshape(1, T, 1, 1, 1)
    return frames.expand(B, T, 3, size, size).contiguous()


BOX = torch.tensor([[30.0, 30.0, 60.0, 60.0]])
NO_CHANGE = CycleTransform()


def first_boxes(box=BOX, T=5):
    """(B, T, 4) boxes that are known in frame 0 only."""
    boxes = torch.full((len(box), T, 4), torch.nan)
    boxes[:, 0] = box
    return boxes


def cycle(network, clips, boxes, turn, config=SelectionConfig()):  # noqa: B008
    """The search result of frame 0, of one network that tracks and is trained."""
    return run_cycle(network, network, clips, boxes, turn, config=config)[1]


def test_palindromes():
    assert [palindrome(turn) for turn in range(3)] == [[0], [0, 1, 0], [0, 1, 2, 1, 0]]
    with pytest.raises(ValueError, match="got -1"):
        palindrome(-1)


@pytest.mark.parametrize("turn", range(5))
def test_the_frames_of_a_palindrome_are_searched(turn):
    network = Recorder()
    cycle(network, gray_clips(), first_boxes(), turn)
    searched = [gray / 10 for what, gray in network.log if what == "search"]
    assert searched == (palindrome(turn)[1:] or [0])


@pytest.mark.parametrize("turn", range(5))
def test_every_template_is_cut_where_the_last_search_was(turn):
    network = Recorder()
    cycle(network, gray_clips(), first_boxes(), turn)
    embedded = [gray / 10 for what, gray in network.log if what == "embed"]
    assert embedded == (palindrome(turn)[:-1] or [0])
    assert [what for what, _ in network.log] == ["embed", "search"] * len(embedded)


def test_templates_are_cut_at_the_predicted_place_and_size():
    boxes = [(60, 60, 100, 100), (66, 64, 112, 110), (74, 70, 124, 120)]
    clips = torch.stack([bright_square(box) for box in boxes])[None]
    network = BlobNetwork()
    expected = torch.tensor(boxes).float()
    track = track_cycle(network, clips, first_boxes(expected[:1], T=3), 2, TRUSTING)
    assert track.template_frame == 1
    torch.testing.assert_close(track.boxes[0], expected[[0, 1, 2, 1]], rtol=0, atol=0.4)
    assert len(network.embedded) == 3  # in frames 0, 1 and 2; the first frame needs another
    for crops, in_crop in network.embedded:
        x0, _, x1, _ = in_crop[0].tolist()
        assert x1 - x0 == pytest.approx(63.5, abs=0.01)  # a square fills half of its template
        bright = (crops[0, 0] > 127).sum().item()
        assert bright**0.5 == pytest.approx(63.5, abs=1.5)


def test_a_good_tracker_comes_back_to_the_first_box():
    boxes = [(60, 60, 100, 100), (70, 62, 110, 102), (82, 70, 122, 110)]
    clips = torch.stack([bright_square(box) for box in boxes])[None]
    first = torch.tensor(boxes[:1]).float()
    result = cycle(BlobNetwork(), clips, first_boxes(first, T=3), 2, TRUSTING)
    found = boxes_to_image(result.proposals.boxes[:, 1], result.windows, 255)
    torch.testing.assert_close(found, first, rtol=0, atol=0.4)


def test_only_the_last_step_has_gradients():
    network = Recorder()
    track, result = run_cycle(
        network, network, gray_clips(), first_boxes(), 2, config=SelectionConfig()
    )
    assert not track.boxes.requires_grad
    assert not track.scores.requires_grad
    result.proposals.response.sum().backward()
    # The last template was cropped from frame 1, whose gray level is 10: only it remains.
    assert network.weight.grad is not None
    assert network.weight.grad.item() == pytest.approx(10.0)


def test_an_enclosing_grad_mode_is_left_as_it_was():
    track_cycle(Recorder(), gray_clips(), first_boxes(), 2, SelectionConfig())
    assert torch.is_grad_enabled()


def test_turn_0_tracks_nothing():
    network = Recorder()
    track = track_cycle(network, gray_clips(), first_boxes(), 0, SelectionConfig())
    assert network.log == []
    assert (track.template_frame, track.scores.tolist()) == (0, [1])
    assert torch.equal(track.template_boxes, BOX)


@pytest.mark.parametrize("turn", [1, 2])
def test_what_is_known_is_taken_and_the_rest_is_tracked(turn):
    network = Recorder(score=0.7)
    clips = gray_clips(B=3)
    boxes = first_boxes(BOX.expand(3, 4))
    boxes[1, 1:] = torch.tensor([20.0, 22.0, 50.0, 60.0])
    boxes[1, turn] += turn
    boxes[2, 1] = BOX  # but not at the turn of a longer cycle
    boxes[2, 1 : 3 - turn] = torch.nan
    track = track_cycle(network, clips, boxes, turn, SelectionConfig())
    assert track.template_frame == 1
    torch.testing.assert_close(track.boxes[1], boxes[1, palindrome(turn)[:-1]])
    torch.testing.assert_close(track.scores, torch.tensor([0.7, 1.0, 0.7]))
    unknown = first_boxes(BOX.expand(2, 4))
    alone = track_cycle(network, clips[[0, 2]], unknown, turn, SelectionConfig())
    torch.testing.assert_close(track.boxes[[0, 2]], alone.boxes)


def test_where_all_is_known_nothing_is_searched():
    network = Recorder()
    track = track_cycle(network, gray_clips(), BOX.expand(1, 5, 4), 3, SelectionConfig())
    assert (track.template_frame, network.log) == (1, [])


def test_the_score_of_a_cycle_is_that_of_its_worst_step():
    scores = iter([0.9, 0.4, 0.7])

    class Varying(Recorder):
        def search(self, template, crops):
            proposals = Recorder.search(self, template, crops)
            return dataclasses.replace(proposals, scores=torch.full((1, 1), next(scores)))

    track = track_cycle(Varying(), gray_clips(), first_boxes(), 2, SelectionConfig())
    assert track.scores.tolist() == pytest.approx([0.4])


def test_partners_swap_templates_and_nothing_else():
    clips = gray_clips(B=3)
    clips += torch.tensor([0, 100, 200], dtype=torch.uint8).reshape(3, 1, 1, 1, 1)
    track = CycleTrack(BOX.expand(3, 1, 4), torch.ones(3), 0)
    own = search_first_frame(Recorder(), clips, track, NO_CHANGE)
    swapped = search_first_frame(Recorder(), clips, track, NO_CHANGE, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(own.proposals.response, torch.tensor([0.0, 100, 200]))
    torch.testing.assert_close(swapped.proposals.response, torch.tensor([200.0, 0, 100]))
    torch.testing.assert_close(own.windows, swapped.windows)


def test_transforms_reach_what_they_are_named_after():
    network = BlobNetwork()
    clips = torch.stack([bright_square((60, 60, 100, 100))])[None]
    boxes = torch.tensor([[60.0, 60, 100, 100]])
    transform = CycleTransform(
        jitter_template_windows=lambda windows: windows + torch.tensor([5.0, 0, 0, 0]),
        change_template_crops=lambda crops: crops / 2,
        jitter_search_windows=lambda windows: windows + torch.tensor([0, 7.0, 0, 0]),
        change_search_crops=lambda crops: 255 - crops,
    )
    track = CycleTrack(boxes[:, None], torch.ones(1), 0)
    result = search_first_frame(network, clips, track, transform)
    crops, in_crop = network.embedded[0]
    assert crops.max() == 127.5
    shifted = boxes_to_crop(
        boxes - torch.tensor([5.0, 0, 5, 0]), torch.tensor([[80.0, 80, 80, 80]]), 127
    )
    torch.testing.assert_close(in_crop, shifted)
    torch.testing.assert_close(result.windows[:, :2], torch.tensor([[80.0, 87.0]]))
    assert network.searched[0].min() == 0
