"""One text for NumPy's arrays and PyTorch's tensors: both mean the same."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam import arrays
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.redetection import RedetectionConfig
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.media import moving_square
from support.networks import TINY

CHANCE = np.random.default_rng(0)
VALUES = CHANCE.random((3, 40), np.float32)
PLACES = CHANCE.integers(0, 40, (3, 17))
MAPS = CHANCE.random((3, 6, 7), np.float32)
BETWEEN = CHANCE.random((3, 20, 2), np.float32) * 9 - 1  # some lie beyond the maps
LOGITS = np.array([-200.0, -3.0, 0.0, 2.0, 200.0], np.float32)

SHARED = {
    "gather": lambda give: arrays.gather(give(VALUES), give(PLACES)),
    "gather of one target": lambda give: arrays.gather(give(VALUES[:1]), give(PLACES[:1])),
    "count": lambda give: arrays.bincount(give(PLACES), 40),
    "count of one target": lambda give: arrays.bincount(give(PLACES[:1]), 40),
    "count by weight": lambda give: arrays.bincount(give(PLACES), 40, give(VALUES[:, :17])),
    "read between cells": lambda give: arrays.sample_bilinear(give(MAPS), give(BETWEEN)),
    "lerp": lambda give: arrays.lerp(give(VALUES), give(VALUES[::-1].copy()), 0.3),
    "sigmoid": lambda give: arrays.sigmoid(give(LOGITS)),
    "logit": lambda give: arrays.logit(arrays.sigmoid(give(LOGITS))),
    "like": lambda give: arrays.new_array(give(VALUES), PLACES > 20),
    "zeros": lambda give: arrays.new_zeros(give(VALUES), (2, 3)),
    "sent": lambda give: arrays.to_device_of(give(VALUES), PLACES),
    "one behind another": lambda give: arrays.concat_rows([give(VALUES), give(VALUES)]),
    "other rows": lambda give: arrays.set_rows(
        give(VALUES), give(np.array([2, 0])), give(VALUES[:2] * 2)
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_both_kinds_give_the_same(name):
    mine, theirs = SHARED[name](np.array), SHARED[name](torch.tensor)
    assert isinstance(mine, np.ndarray)
    assert str(theirs.dtype).removeprefix("torch.") == str(mine.dtype)
    np.testing.assert_allclose(arrays.to_numpy(theirs), mine, rtol=2e-5, atol=1e-6)


def test_counting_and_gathering_one_by_one():
    counts, found = arrays.bincount(PLACES, 40), arrays.gather(VALUES, PLACES)
    for row in range(3):
        assert found[row].tolist() == [VALUES[row, place] for place in PLACES[row]]
        assert counts[row].tolist() == [(PLACES[row] == place).sum() for place in range(40)]


def test_reading_between_cells_is_grid_samples():
    scale = torch.tensor([2 / 7, 2 / 6])
    where = ((torch.from_numpy(BETWEEN) + 0.5) * scale - 1)[:, :, None]
    maps = torch.from_numpy(MAPS)[:, None]
    wanted = F.grid_sample(maps, where, align_corners=False, padding_mode="border")[:, 0, :, 0]
    np.testing.assert_allclose(arrays.sample_bilinear(MAPS, BETWEEN), wanted.numpy(), atol=1e-5)


@given(st.floats(-15, 15, width=32))
def test_logit_is_the_inverse_of_sigmoid(value):
    given = np.array([value], np.float32)
    # What a float32 near 1 cannot tell apart grows with the distance from 0.
    assert abs(arrays.logit(arrays.sigmoid(given)) - given) <= 0.01 + 1e-7 * np.exp(abs(given))


def test_rows_are_replaced_in_a_copy():
    before = VALUES.copy()
    arrays.set_rows(VALUES, np.array([1]), np.zeros((1, 40), np.float32))
    assert np.array_equal(VALUES, before)


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def network(request):
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=request.param, mask_channels=8)).eval()


FRAMES = moving_square(14)
BOXES = [(10.0, 30.0, 24.0, 24.0), (60.0, 40.0, 30.0, 20.0)]
SEEKING = TrackerConfig(redetection=RedetectionConfig(windows_per_frame=3))


def follow(tracker):
    tracker.start(FRAMES[0], BOXES[:1])
    for number, frame in enumerate(FRAMES[1:], 1):
        yield tracker.step(frame)
        if number == 3:
            tracker.add(BOXES[1])
        if number == 9:
            tracker.correct(1, BOXES[0])


def test_a_tracker_follows_with_tensors_as_with_arrays(network):
    """As on another device, where masks, lost targets and all that is learnt take tensors."""
    ours, theirs = Tracker(network, SEEKING), Tracker(network, SEEKING)
    theirs._kind = torch.zeros(0)
    for mine, other in zip(follow(ours), follow(theirs), strict=True):
        assert [result.id for result in mine] == [result.id for result in other]
        for one, two in zip(mine, other, strict=True):
            np.testing.assert_allclose(one.box, two.box, atol=0.02)
            assert one.score == pytest.approx(two.score, abs=1e-3)
            assert (one.mask is None) == (two.mask is None)
    assert isinstance(theirs._followed.targets.boxes, torch.Tensor)


def test_a_tracker_on_a_cpu_keeps_arrays_of_single_precision(network):
    """NumPy would compute in double precision, at twice the price, where one number has it."""
    tracker = Tracker(network, SEEKING)
    for _ in follow(tracker):
        kinds = {array.dtype.name for array in arrays_in(tracker._followed)}
        assert kinds == {"float32", "int64", "bool"}


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from arrays_in(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from arrays_in(getattr(value, field.name))
    else:
        assert not isinstance(value, torch.Tensor)


def test_a_network_is_asked_by_names_of_arguments_too(network):
    crops = CHANCE.random((1, 3, TINY.template_size, TINY.template_size), np.float32) * 255
    boxes = np.array([[20, 20, 50, 50]], np.float32)
    wanted = network.embed(crops, boxes)
    for named in (network.embed(crops=crops, boxes=boxes), network.embed(crops, boxes=boxes)):
        for one, other in zip(named, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
