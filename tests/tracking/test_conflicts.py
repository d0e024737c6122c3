import torch

from cyclesiam.geometry.boxes import box_iou
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.conflicts import resolve_conflicts
from cyclesiam.tracking.search import SearchResult, localize

LEFT, RIGHT = [60.0, 60, 100, 100], [130.0, 60, 170, 100]
CONFIG = TrackerConfig(selection=SelectionConfig(window_influence=0, size_smoothing=1))


def search(*scores):
    """Both proposals for each target, in windows that are the whole frame."""
    count = len(scores)
    proposals = Proposals(torch.tensor([LEFT, RIGHT]).expand(count, 2, 4), torch.tensor(scores))
    windows = torch.tensor([[100.0, 100, 200, 200]]).expand(count, 4)
    return SearchResult(proposals, windows, 200, (200, 200))


def localize_both(boxes, found):
    before = torch.tensor(boxes)
    targets = localize(before, found, CONFIG.selection)
    return targets, resolve_conflicts(before, targets, found, CONFIG)


def test_the_better_match_keeps_what_both_chose():
    targets, resolved = localize_both([LEFT, RIGHT], search([0.9, 0.1], [0.8, 0.7]))
    assert targets.boxes.tolist() == [LEFT, LEFT]
    assert resolved.boxes.tolist() == [LEFT, RIGHT]
    torch.testing.assert_close(resolved.scores, torch.tensor([0.9, 0.7]))
    assert resolved.chosen.tolist() == [0, 1]


def test_without_another_proposal_the_score_is_zero():
    _, resolved = localize_both([LEFT, RIGHT, RIGHT], search([0.9, 0], [0.8, 0], [0.95, 0]))
    assert sorted(resolved.scores.tolist()) == [0, 0, torch.tensor(0.95).item()]


def test_targets_that_lie_on_each_other_from_the_start_stay():
    targets, resolved = localize_both([LEFT, LEFT], search([0.9, 0.1], [0.8, 0.7]))
    assert resolved is targets


def test_no_two_end_on_one_thing():
    torch.manual_seed(0)
    for _ in range(50):
        scores = torch.rand(2, 2).tolist()
        _, resolved = localize_both([LEFT, RIGHT], search(*scores))
        assert box_iou(resolved.boxes[:1], resolved.boxes[1:]).item() < 0.6
