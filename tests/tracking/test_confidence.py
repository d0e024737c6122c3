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
from cyclesiam.tracking.rescoring import RescoredSearch
from cyclesiam.tracking.search import Localization

CONFIG = ConfidenceConfig(
    lost_threshold=0.3, confident_threshold=0.5, frames_until_lost=2, recovered_frames=3
)
BOXES = torch.tensor([[10.0, 10, 30, 30]])


def confidence_of(score, **more):
    targets = Localization(BOXES, torch.tensor([score]), torch.tensor([0]))
    proposals = Proposals(BOXES[:, None], torch.ones(1, 1))
    found = RescoredSearch(proposals, BOXES, 255, (200, 200), torch.zeros(0), None)
    return box_confidence(targets, found, CONFIG, **more).item()


def run(confidences):
    """Return the last status, and the states that follow from confidences one after another."""
    status, states = init_status(BOXES, torch.ones(1)), []
    for number, confidence in enumerate(confidences):
        values = torch.tensor([confidence])
        status = update_status(status, BOXES + number, values, CONFIG)
        status = dataclasses.replace(status, shown_confidences=values)
        states += state_names(status, CONFIG)
    return status, states


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_gives_more_confidence(one, other):
    if one + 1e-4 < other:
        assert 0 < confidence_of(one) < confidence_of(other) < 1


def test_a_redetected_target_gets_less_confidence():
    plain, redetected = confidence_of(0.4), confidence_of(0.4, redetected=torch.tensor([True]))
    odds = torch.tensor([plain, redetected]).logit()
    assert odds[0] - odds[1] == pytest.approx(CONFIG.recovered_penalty, abs=1e-4)


def test_one_bad_frame_is_no_loss():
    assert run([0.9, 0.1, 0.9])[1] == ["tracking", "uncertain", "tracking"]


def test_a_target_is_lost_recovered_and_tracked_again():
    states = run([0.9, 0.1, 0.1, 0.4, 0.6, 0.9, 0.9, 0.9])[1]
    assert states == [
        *("tracking", "uncertain", "lost", "lost"),
        *("recovered", "recovered", "recovered", "tracking"),
    ]


def test_the_last_confident_box_is_kept():
    status, _ = run([0.9, 0.9, 0.4, 0.1, 0.1])
    assert status.last_confident_boxes.tolist() == (BOXES + 1).tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_lost_target_is_never_confident(confidences):
    status, states = run(confidences)
    if status.lost.item():
        assert states[-1] == "lost"
        assert confidences[-1] < CONFIG.confident_threshold
    if states[-1] == "tracking":
        assert confidences[-1] >= CONFIG.confident_threshold


def test_limits_are_in_order():
    with pytest.raises(ValueError, match="0 <= lost_threshold <= confident_threshold <= 1"):
        ConfidenceConfig(lost_threshold=0.6, confident_threshold=0.5)
    with pytest.raises(ValueError, match="1 frame or more"):
        dataclasses.replace(CONFIG, frames_until_lost=0)


# --- reported confidence


def reported(confidence, iou, *, known=True):
    shifts = torch.zeros(1, 2) if known else torch.full((1, 2), torch.nan)
    fit = MaskBoxFit(shifts, shifts + 1, torch.zeros(1, 2), torch.tensor([iou]))
    return reported_confidence(torch.tensor([confidence]), fit, CONFIG).item()


def test_a_mask_that_agrees_gives_more_confidence():
    assert reported(0.5, 0.2) < reported(0.5, 0.6) < reported(0.5, 0.9)
    assert reported(0.3, 0.7) < reported(0.6, 0.7)
    assert reported(0.5, float("nan")) < reported(0.5, 0.9)  # the mask was implausible


def test_masks_do_not_count_where_the_first_mask_is_unknown():
    assert reported(0.3, float("nan"), known=False) == pytest.approx(0.3)


def test_the_first_frame_is_reported_with_confidence_one():
    assert reported(1.0, 1.0) == 1
