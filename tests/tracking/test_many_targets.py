"""Targets that come, go, and are corrected, at any frame."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclesiam.errors import TargetError
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.tracker import Tracker
from support.media import moving_square
from support.networks import TINY

FRAMES = moving_square(16)
BOXES = [(10.0, 30.0, 24.0, 24.0), (60.0, 40.0, 30.0, 20.0), (80.0, 10.0, 20.0, 40.0)]


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def network(request):
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=request.param, mask_channels=8)).eval()


def boxes_of(results):
    return {result.id: np.array(result.box) for result in results}


def assert_alike(one, other):
    assert one.keys() == other.keys()
    for id in one:
        np.testing.assert_allclose(one[id], other[id], atol=2e-2)


def test_a_target_added_in_the_first_frame_is_tracked_as_if_started_there(network):
    together, added = Tracker(network), Tracker(network)
    together.start(FRAMES[0], BOXES)
    assert added.add(BOXES[0], image=FRAMES[0]) == 1
    assert [added.add(box) for box in BOXES[1:]] == [2, 3]
    assert added.ids == (1, 2, 3)
    for frame in FRAMES[1:10]:
        assert_alike(boxes_of(added.step(frame)), boxes_of(together.step(frame)))


def test_a_target_is_tracked_alike_while_others_come_and_go(network):
    """Past the frames in which filters and templates are updated."""
    alone, among = Tracker(network), Tracker(network)
    alone.init(FRAMES[0], BOXES[0])
    among.start(FRAMES[0], BOXES[:2])
    for number, frame in enumerate(FRAMES[1:], start=1):
        found, expected = boxes_of(among.step(frame)), boxes_of(alone.step(frame))
        np.testing.assert_allclose(found[1], expected[1], atol=2e-2)
        if number == 3:
            among.remove(2)
        if number == 6:
            assert among.add(BOXES[2]) == 3  # no id is given twice
        if number == 9:
            among.correct(3, BOXES[1])
    assert among.ids == (1, 3)


def test_a_late_target_is_tracked_as_one_started_there(network):
    late, alone = Tracker(network), Tracker(network)
    late.init(FRAMES[0], BOXES[0])
    for frame in FRAMES[1:13]:  # updates come every 3 and 4 frames
        late.step(frame)
    late.add(BOXES[1])
    alone.init(FRAMES[12], BOXES[1])
    for frame in FRAMES[13:]:
        np.testing.assert_allclose(
            boxes_of(late.step(frame))[2], boxes_of(alone.step(frame))[1], atol=2e-2
        )


def test_one_of_more_targets_than_samples_is_removed(network):
    """In the weights of filters, targets are the second dimension."""
    many, fewer = Tracker(network), Tracker(network)
    boxes = [BOXES[number % 3] for number in range(9)]
    many.start(FRAMES[0], boxes)
    many.remove(9)
    fewer.start(FRAMES[0], boxes[:8])
    assert_alike(boxes_of(many.step(FRAMES[1])), boxes_of(fewer.step(FRAMES[1])))


def test_a_corrected_target_keeps_its_number_and_begins_anew(network):
    tracker = Tracker(network)
    tracker.start(FRAMES[0], BOXES)
    tracker.step(FRAMES[1])
    tracker.correct(2, BOXES[0], image=FRAMES[0])
    alone = Tracker(network)
    alone.init(FRAMES[0], BOXES[0])
    found = tracker.step(FRAMES[2])
    assert [result.id for result in found] == [1, 2, 3]
    np.testing.assert_allclose(found[1].box, alone.update(FRAMES[2]).box, atol=2e-2)


def test_after_the_last_was_removed_one_may_be_added(network):
    tracker = Tracker(network)
    tracker.init(FRAMES[0], BOXES[0])
    tracker.remove(1)
    assert tracker.step(FRAMES[1]) == ()
    assert tracker.add(BOXES[1]) == 2
    assert [result.id for result in tracker.step(FRAMES[2])] == [2]


def test_errors_name_what_is_missing(network):
    tracker = Tracker(network)
    with pytest.raises(TargetError, match="there was no frame yet"):
        tracker.add(BOXES[0])
    tracker.start(FRAMES[0], BOXES)
    for change in (lambda: tracker.remove(7), lambda: tracker.correct(7, BOXES[0])):
        with pytest.raises(TargetError, match="there is no target 7; there are: 1, 2, 3"):
            change()
    with pytest.raises(TargetError, match="outside"):
        tracker.add((900.0, 30.0, 24.0, 24.0))
    with pytest.raises(TargetError, match="finite"):
        tracker.correct(1, (float("nan"), 30.0, 24.0, 24.0))
    assert tracker.ids == (1, 2, 3)
    assert len(tracker.step(FRAMES[1])) == 3


SMALLER = [np.ascontiguousarray(frame[:70, 10:110]) for frame in FRAMES]
REFUSED = {
    "gray": lambda tracker: tracker.step(FRAMES[0][..., 0]),
    "NaN": lambda tracker: tracker.add((float("nan"), 30.0, 24.0, 24.0)),
    "outside": lambda tracker: tracker.add((900.0, 30.0, 24.0, 24.0), image=SMALLER[0]),
    "empty": lambda tracker: tracker.correct(tracker.ids[0], (10.0, 10.0, 0.0, 5.0)),
    "another size": lambda tracker: tracker.step(SMALLER[0]),
    "unknown": lambda tracker: tracker.remove(99),
}
CHANGES = ["add", "remove", "correct", "step", *REFUSED]


@settings(max_examples=16, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 2)), max_size=12))
def test_any_sequence_of_changes_keeps_numbers_in_order(network, changes):
    tracker = Tracker(network)
    tracker.init(FRAMES[0], BOXES[0])
    expected, last_id, at = [1], 1, 0
    for change, which in changes:
        if change == "add":
            last_id += 1
            expected.append(last_id)
            assert tracker.add(BOXES[which], name=str(last_id)) == last_id
        elif change == "step":
            at += 1
            found = tracker.step(FRAMES[at % len(FRAMES)])
            assert [result.id for result in found] == expected
            assert all(result.name in (None, str(result.id)) for result in found)
            assert all(np.isfinite(result.box).all() for result in found)
            assert all(0 <= result.score <= 1 for result in found)
        elif expected and change == "remove":
            tracker.remove(expected.pop(which % len(expected)))
        elif expected and change == "correct":
            tracker.correct(expected[which % len(expected)], BOXES[which])
        elif expected and change in REFUSED:
            with pytest.raises((TargetError, ValueError)):
                REFUSED[change](tracker)
        assert tracker.ids == tuple(expected)


def test_a_name_stays_with_its_target(network):
    tracker = Tracker(network)
    tracker.init(FRAMES[0], BOXES[0])
    tracker.add(BOXES[1], name="the left one")
    tracker.add(BOXES[2], name="the tall one")
    assert [result.name for result in tracker.step(FRAMES[1])] == [
        None,
        "the left one",
        "the tall one",
    ]
    tracker.remove(2)
    assert [result.name for result in tracker.step(FRAMES[2])] == [None, "the tall one"]
