"""Array functions return the same for NumPy arrays and PyTorch tensors."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam import arrays
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.config import RedetectionConfig, TrackerConfig
from cyclesiam.tracking.tracker import Tracker
from support.media import moving_square
from support.networks import TINY

RNG = np.random.default_rng(0)
VALUES = RNG.random((3, 40), np.float32)
INDICES = RNG.integers(0, 40, (3, 17))
MAPS = RNG.random((3, 6, 7), np.float32)
POINTS = RNG.random((3, 20, 2), np.float32) * 9 - 1  # some lie outside of the maps
LOGITS = np.array([-200.0, -3.0, 0.0, 2.0, 200.0], np.float32)

SHARED = {
    "gather": lambda kind: arrays.gather(kind(VALUES), kind(INDICES)),
    "gather of one target": lambda kind: arrays.gather(kind(VALUES[:1]), kind(INDICES[:1])),
    "bincount": lambda kind: arrays.bincount(kind(INDICES), 40),
    "bincount of one target": lambda kind: arrays.bincount(kind(INDICES[:1]), 40),
    "weighted bincount": lambda kind: arrays.bincount(kind(INDICES), 40, kind(VALUES[:, :17])),
    "sample_bilinear": lambda kind: arrays.sample_bilinear(kind(MAPS), kind(POINTS)),
    "lerp": lambda kind: arrays.lerp(kind(VALUES), kind(VALUES[::-1].copy()), 0.3),
    "sigmoid": lambda kind: arrays.sigmoid(kind(LOGITS)),
    "logit": lambda kind: arrays.logit(arrays.sigmoid(kind(LOGITS))),
    "new_array": lambda kind: arrays.new_array(kind(VALUES), INDICES > 20),
    "new_zeros": lambda kind: arrays.new_zeros(kind(VALUES), (2, 3)),
    "to_device_of": lambda kind: arrays.to_device_of(kind(VALUES), INDICES),
    "concat_rows": lambda kind: arrays.concat_rows([kind(VALUES), kind(VALUES)]),
    "set_rows": lambda kind: arrays.set_rows(
        kind(VALUES), kind(np.array([2, 0])), kind(VALUES[:2] * 2)
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_both_kinds_return_the_same(name):
    array, tensor = SHARED[name](np.array), SHARED[name](torch.tensor)
    assert isinstance(array, np.ndarray)
    assert str(tensor.dtype).removeprefix("torch.") == str(array.dtype)
    np.testing.assert_allclose(arrays.to_numpy(tensor), array, rtol=2e-5, atol=1e-6)


def test_counting_and_gathering_one_by_one():
    counts, found = arrays.bincount(INDICES, 40), arrays.gather(VALUES, INDICES)
    for row in range(3):
        assert found[row].tolist() == [VALUES[row, place] for place in INDICES[row]]
        assert counts[row].tolist() == [(INDICES[row] == place).sum() for place in range(40)]


def test_bilinear_sampling_is_that_of_grid_sample():
    scale = torch.tensor([2 / 7, 2 / 6])
    grid = ((torch.from_numpy(POINTS) + 0.5) * scale - 1)[:, :, None]
    maps = torch.from_numpy(MAPS)[:, None]
    expected = F.grid_sample(maps, grid, align_corners=False, padding_mode="border")[:, 0, :, 0]
    np.testing.assert_allclose(arrays.sample_bilinear(MAPS, POINTS), expected.numpy(), atol=1e-5)


@given(st.floats(-15, 15, width=32))
def test_logit_is_the_inverse_of_sigmoid(value):
    given = np.array([value], np.float32)
    # Near probability 1, the resolution of float32 falls with the distance of the logit from 0.
    assert abs(arrays.logit(arrays.sigmoid(given)) - given) <= 0.01 + 1e-7 * np.exp(abs(given))


def test_set_rows_leaves_its_argument_unchanged():
    before = VALUES.copy()
    arrays.set_rows(VALUES, np.array([1]), np.zeros((1, 40), np.float32))
    assert np.array_equal(VALUES, before)


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def network(request):
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=request.param, mask_channels=8)).eval()


FRAMES = moving_square(14)
BOXES = [(10.0, 30.0, 24.0, 24.0), (60.0, 40.0, 30.0, 20.0)]
REDETECTING = TrackerConfig(redetection=RedetectionConfig(windows_per_frame=3))


def track(tracker):
    tracker.start(FRAMES[0], BOXES[:1])
    for number, frame in enumerate(FRAMES[1:], 1):
        yield tracker.step(frame)
        if number == 3:
            tracker.add(BOXES[1])
        if number == 9:
            tracker.correct(1, BOXES[0])


def test_a_tracker_computes_the_same_with_tensors_as_with_arrays(network):
    """Tensors are what a tracker on another device uses, also for masks and lost targets."""
    ours = Tracker(network, REDETECTING)
    theirs = Tracker(network, REDETECTING, device="cpu:0")  # only plain "cpu" means NumPy
    for mine, other in zip(track(ours), track(theirs), strict=True):
        assert [result.id for result in mine] == [result.id for result in other]
        for one, two in zip(mine, other, strict=True):
            np.testing.assert_allclose(one.box, two.box, atol=0.02)
            assert one.score == pytest.approx(two.score, abs=1e-3)
            assert (one.mask is None) == (two.mask is None)
    assert isinstance(theirs.settled_state().boxes, torch.Tensor)


def test_a_tracker_on_a_cpu_keeps_arrays_of_single_precision(network):
    """One float64 array would turn NumPy's results to float64, at twice the cost."""
    tracker = Tracker(network, REDETECTING)
    for _ in track(tracker):
        kinds = {array.dtype.name for array in arrays_in(tracker.settled_state())}
        assert kinds == {"float32", "int64", "bool", "uint8"}  # uint8: the frame


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


def test_a_network_takes_its_arguments_by_name_too(network):
    crops = RNG.random((1, 3, TINY.template_size, TINY.template_size), np.float32) * 255
    boxes = np.array([[20, 20, 50, 50]], np.float32)
    expected = network.embed(crops, boxes)
    for named in (network.embed(crops=crops, boxes=boxes), network.embed(crops, boxes=boxes)):
        for one, other in zip(named, expected, strict=True):
            np.testing.assert_array_equal(one, other)
