import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.confidence import (
    ConfidenceConfig,
    box_confidence,
    init_status,
    reported_confidence,
    state_names,
    update_status,
)
from cyclesiam.tracking.mask_boxes import MaskBoxFit
from cyclesiam.tracking.siamese import SearchResult, TargetState

CONFIG = ConfidenceConfig(
    lost_threshold=0.3, confident_threshold=0.5, frames_until_lost=2, recovered_frames=3
)
BOXES = torch.tensor([[10.0, 10, 30, 30]])


def state(score, boxes=BOXES):
    return TargetState(boxes, torch.tensor([score]), (), chosen=torch.tensor([0]))


def observation():
    return SearchResult(Proposals(BOXES[:, None], torch.ones(1, 1)), BOXES)


def believe(score, **more):
    return box_confidence(state(score), observation(), CONFIG, **more).item()


def walk(confidences):
    """Give the states that follow from confidences, one after another."""
    standing, states = init_status(state(1.0)), []
    for number, confidence in enumerate(confidences):
        moved = state(1.0, BOXES + number)
        standing = update_status(standing, moved, torch.tensor([confidence]), CONFIG)
        states += state_names(standing, CONFIG)
    return standing, states


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_is_believed_more(one, other):
    if one + 1e-4 < other:
        assert 0 < believe(one) < believe(other) < 1


def test_what_was_just_found_is_believed_less():
    plain, fresh = believe(0.4), believe(0.4, fresh=torch.tensor([True]))
    odds = torch.tensor([plain, fresh]).logit()
    assert odds[0] - odds[1] == pytest.approx(CONFIG.recovered_penalty, abs=1e-4)


def test_one_bad_frame_is_no_loss():
    assert walk([0.9, 0.1, 0.9])[1] == ["tracking", "uncertain", "tracking"]


def test_a_target_is_lost_found_and_followed_on():
    states = walk([0.9, 0.1, 0.1, 0.4, 0.6, 0.9, 0.9, 0.9])[1]
    assert states == [
        *("tracking", "uncertain", "lost", "lost"),
        *("recovered", "recovered", "recovered", "tracking"),
    ]


def test_the_last_sure_box_is_remembered():
    standing, _ = walk([0.9, 0.9, 0.4, 0.1, 0.1])
    assert standing.last_confident_boxes.tolist() == (BOXES + 1).tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_lost_target_is_never_sure(confidences):
    standing, states = walk(confidences)
    if standing.lost.item():
        assert states[-1] == "lost"
        assert confidences[-1] < CONFIG.confident_threshold
    if states[-1] == "tracking":
        assert confidences[-1] >= CONFIG.confident_threshold


def test_limits_are_in_order():
    with pytest.raises(ValueError, match="0 <= lost_threshold <= confident_threshold <= 1"):
        ConfidenceConfig(lost_threshold=0.6, confident_threshold=0.5)
    with pytest.raises(ValueError, match="1 frame or more"):
        dataclasses.replace(CONFIG, frames_until_lost=0)


# --- what is told with masks


def told(confidence, agreement, *, known=True):
    shifts = torch.zeros(1, 2) if known else torch.full((1, 2), torch.nan)
    fit = MaskBoxFit(shifts, shifts + 1, torch.zeros(1, 2), torch.tensor([agreement]))
    return reported_confidence(torch.tensor([confidence]), fit, CONFIG).item()


def test_a_mask_that_agrees_is_believed_more():
    assert told(0.5, 0.2) < told(0.5, 0.6) < told(0.5, 0.9)
    assert told(0.3, 0.7) < told(0.6, 0.7)
    assert told(0.5, float("nan")) < told(0.5, 0.9)  # the mask had nothing to do with its target


def test_of_a_target_whose_first_mask_is_not_known_masks_tell_nothing():
    assert told(0.3, float("nan"), known=False) == pytest.approx(0.3)


def test_a_target_as_it_was_started_is_believed():
    assert told(1.0, 1.0) == 1
