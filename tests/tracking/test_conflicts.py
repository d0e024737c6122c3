import torch

from cyclesiam.geometry.boxes import box_iou
from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.tracking.conflicts import resolve_conflicts
from cyclesiam.tracking.siamese import SearchResult, TargetState, localize

LEFT, RIGHT = [60.0, 60, 100, 100], [130.0, 60, 170, 100]
SIZE, FRAME = 200, torch.Size((200, 200))
CHOICE = SelectionConfig(window_influence=0, size_smoothing=1)


def targets(*boxes):
    return TargetState(torch.tensor(boxes), torch.ones(len(boxes)), ())


def seen(*scores):
    """Two things are seen by each target, in windows that are the whole frame."""
    count = len(scores)
    proposals = Proposals(torch.tensor([LEFT, RIGHT]).expand(count, 2, 4), torch.tensor(scores))
    return SearchResult(proposals, torch.tensor([[100.0, 100, 200, 200]]).expand(count, 4))


def settle_both(before, observation, most_shared=0.6):
    settled = localize(before, observation, SIZE, FRAME, CHOICE)
    return settled, resolve_conflicts(
        before, settled, observation, SIZE, FRAME, CHOICE, most_shared
    )


def test_the_better_match_keeps_what_both_chose():
    settled, apart = settle_both(targets(LEFT, RIGHT), seen([0.9, 0.1], [0.8, 0.7]))
    assert settled.boxes.tolist() == [LEFT, LEFT]
    assert apart.boxes.tolist() == [LEFT, RIGHT]
    torch.testing.assert_close(apart.scores, torch.tensor([0.9, 0.7]))
    assert apart.chosen.tolist() == [0, 1]


def test_where_nothing_else_is_seen_there_is_no_score():
    _, apart = settle_both(targets(LEFT, RIGHT, RIGHT), seen([0.9, 0], [0.8, 0], [0.95, 0]))
    assert sorted(apart.scores.tolist()) == [0, 0, torch.tensor(0.95).item()]


def test_targets_that_lie_on_each_other_from_the_start_stay():
    settled, apart = settle_both(targets(LEFT, LEFT), seen([0.9, 0.1], [0.8, 0.7]))
    assert apart is settled


def test_no_two_end_on_one_thing():
    torch.manual_seed(0)
    for _ in range(50):
        scores = torch.rand(2, 2).tolist()
        _, apart = settle_both(targets(LEFT, RIGHT), seen(*scores))
        assert box_iou(apart.boxes[:1], apart.boxes[1:]).item() < 0.6
