"""What a tracker holds does not grow with the number of frames it has seen."""

import gc
import random

import numpy as np
import pytest
import torch

from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.tracker import Tracker
from memory import change_targets, forward_and_back
from support.media import moving_square

pytestmark = pytest.mark.usefixtures("one_thread")

BOX = (10.0, 30.0, 24.0, 24.0)


@pytest.fixture
def tracker() -> Tracker:
    torch.manual_seed(0)
    config = NetworkConfig(
        hidden_channels=8, masks=True, mask_channels=8, template_size=79, search_size=143
    )
    tracker = Tracker(SiamRPN(config).eval())
    tracker.init(moving_square(1)[0], BOX)
    return tracker


def held() -> tuple[int, int]:
    """Count the arrays and tensors that something holds, and their bytes."""
    gc.collect()
    memory = {}
    for holder in gc.get_objects():
        if type(holder) in (torch.Tensor, torch.nn.Parameter):
            storage = holder.untyped_storage()
            memory[storage.data_ptr()] = storage.nbytes()
        for thing in gc.get_referents(holder):  # the collector does not know arrays themselves
            if type(thing) is np.ndarray:
                while type(thing.base) is np.ndarray:
                    thing = thing.base
                memory[thing.ctypes.data] = thing.nbytes
    return len(memory), sum(memory.values())


def assert_no_growth(first: tuple[int, int], later: tuple[int, int]) -> None:
    """What targets learn now and then may be held or not; of each frame, nothing may stay."""
    assert later[0] <= first[0] + 10
    assert later[1] <= 1.05 * first[1]


def test_following_one_target_holds_no_more_after_many_frames(tracker):
    after = {}
    for number, image in zip(range(1, 241), forward_and_back(moving_square(40)), strict=False):
        tracker.step(image)
        if number % 80 == 0:
            after[number] = held()
    assert_no_growth(after[80], after[160])
    assert_no_growth(after[80], after[240])


def test_targets_that_come_and_go_leave_nothing_behind(tracker):
    chance, images = random.Random(0), forward_and_back(moving_square(40))
    warm, first = None, tracker.ids[0]
    for number, image in zip(range(1, 121), images, strict=False):
        tracker.step(image)
        if number in (60, 120):
            for id in tracker.ids[1:]:
                tracker.remove(id)
            tracker.correct(tracker.ids[0], BOX, image=image)
            tracker.step(image)
            warm = warm or held()
            assert_no_growth(warm, held())
        change_targets(tracker, chance, 4, image)
    assert tracker.ids[-1] > first + 20
