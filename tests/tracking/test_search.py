import pytest
import torch

from cyclesiam.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.tracking.search import (
    Localization,
    SearchResult,
    TargetState,
    embed_templates,
    init_targets,
    localize,
    search_frame,
    search_windows,
)
from support.networks import BlobNetwork, bright_square

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)


def track(network, state: TargetState, frames, config=TRUSTING) -> Localization:
    found, _ = search_frame(network, state, frames)
    return localize(state.boxes, found, config)


def test_a_visible_target_is_tracked():
    # It moves 9 px right and 5 px down a frame, and grows by 2
    boxes = [(30 + 9 * t, 20 + 5 * t, 70 + 11 * t, 60 + 7 * t) for t in range(8)]
    network = BlobNetwork()
    state = init_targets(network, bright_square(boxes[0])[None], torch.tensor([boxes[0]]).float())
    for box in boxes[1:]:
        targets = track(network, state, bright_square(box)[None])
        state = TargetState(targets.boxes, state.template)
        expected = torch.tensor([box]).float()
        torch.testing.assert_close(state.boxes, expected, rtol=0, atol=0.3)
    assert targets.scores.tolist() == [1]


def test_a_batch_is_tracked_row_by_row():
    boxes = torch.tensor([[100.0, 80, 140, 120], [60, 60, 100, 100]])
    frames = torch.stack([bright_square((104, 84, 144, 124)), bright_square((57, 66, 97, 106))])
    network = BlobNetwork(score=0.7)
    together = track(network, init_targets(network, frames, boxes), frames, SelectionConfig())
    for b in range(2):
        row = slice(b, b + 1)
        state = init_targets(network, frames[row], boxes[row])
        alone = track(network, state, frames[row], SelectionConfig())
        torch.testing.assert_close(alone.boxes, together.boxes[row])
        torch.testing.assert_close(alone.scores, together.scores[row])


def test_the_template_and_the_search_have_one_resolution():
    network = BlobNetwork()
    boxes = torch.tensor([[100.0, 80, 140, 120]])
    windows = search_windows(network, boxes)
    # A square's template window is twice as wide as it; both have the same pixels per crop pixel.
    torch.testing.assert_close(
        windows, torch.tensor([[120.0, 100, 80 * 255 / 127, 80 * 255 / 127]])
    )


def test_the_network_gets_the_box_of_the_target_in_its_template():
    network = BlobNetwork()
    boxes = torch.tensor([[100.0, 80, 140, 120]])
    embed_templates(network, bright_square((100, 80, 140, 120))[None], boxes)
    crops, in_crop = network.embedded[0]
    expected = torch.tensor([[127 / 4, 127 / 4, 381 / 4, 381 / 4]])
    torch.testing.assert_close(in_crop, expected)
    assert (crops[0, :, 34:93, 34:93] == 255).all()
    assert crops[0, :, :30].max() == 0


def test_a_template_may_be_cropped_elsewhere_and_transformed():
    network = BlobNetwork()
    boxes = torch.tensor([[100.0, 80, 140, 120]])
    window = torch.tensor([[120.0, 100, 127, 127]])
    embed_templates(network, bright_square((0, 0, 1, 1))[None], boxes, window, lambda c: c + 7)
    crops, in_crop = network.embedded[0]
    torch.testing.assert_close(in_crop, torch.tensor([[43.5, 43.5, 83.5, 83.5]]))
    assert crops.min() == 7


def test_localization_by_hand():
    # A 40 px target in a window of 255 px: one crop pixel is one image pixel. The chosen proposal
    # is 60 x 40 at 10 px to the right; penalty 0.1.
    boxes = torch.tensor([[80.0, 80, 120, 120]])
    windows = torch.tensor([[100.0, 100, 255, 255]])
    proposal = cxcywh_to_xyxy(torch.tensor([[[137.5, 127.5, 60.0, 40.0]]]))
    config = SelectionConfig(size_penalty=0.1, window_influence=0.4, size_smoothing=0.5)
    found = SearchResult(Proposals(proposal, torch.tensor([[0.8]])), windows, 255, (200, 240))
    targets = localize(boxes, found, config)
    # p = 50: sqrt(110 * 90) / 80 in scale, 1.5 in shape
    change = (110 * 90) ** 0.5 / 80 * 1.5
    rate = 0.5 * 0.8 * 2.718281828 ** (-0.1 * (change - 1))
    expected = torch.tensor([[110.0, 100.0, 40 + rate * 20, 40.0]])
    torch.testing.assert_close(xyxy_to_cxcywh(targets.boxes), expected)
    assert targets.scores.tolist() == pytest.approx([0.8])


def test_a_target_cannot_leave_the_frame():
    boxes = torch.tensor([[200.0, 80, 240, 120]])
    windows = torch.tensor([[220.0, 100, 255, 255]])
    proposal = cxcywh_to_xyxy(torch.tensor([[[250.0, 127.5, 40.0, 40.0]]]))
    found = SearchResult(Proposals(proposal, torch.ones(1, 1)), windows, 255, (200, 240))
    targets = localize(boxes, found, TRUSTING)
    assert xyxy_to_cxcywh(targets.boxes)[0].tolist() == [240, 100, 40, 40]


def test_nothing_is_changed_in_place():
    network = BlobNetwork()
    boxes = torch.tensor([[100.0, 80, 140, 120]])
    frames = bright_square((104, 84, 144, 124))[None]
    state = init_targets(network, frames, boxes)
    kept = frames.clone(), boxes.clone()
    track(network, state, frames, SelectionConfig())
    torch.testing.assert_close((frames, boxes), kept)
    assert state.boxes is boxes
