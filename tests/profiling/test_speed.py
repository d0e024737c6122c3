import time

import numpy as np
import pytest
import torch

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.trackers.opencv import OPENCV_TRACKERS
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.profiling.speed import (
    RunTiming,
    TimedCycleSiam,
    TimedOpenCV,
    Timing,
    Workload,
    first_reaching,
    replicate_boxes,
    summarize,
    time_once,
    time_rounds,
)
from cyclesiam.profiling.timer import STAGES, StageTimer, TimedNetwork
from cyclesiam.tracking.network import SegmentingNetwork
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.media import moving_square, write_video
from support.networks import BlobNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

BOX = (10.0, 30.0, 24.0, 24.0)
BOXES_ALONE = TrackerConfig(mask=MaskConfig(enabled=False))
CPU = "cpu"
PEERS = {name: TimedOpenCV(OPENCV_TRACKERS[name]) for name in ("csrt", "kcf")}


@pytest.fixture(scope="module")
def masked_network() -> SiamRPN:
    torch.manual_seed(0)
    return SiamRPN(NetworkConfig(hidden_channels=8, masks=True, mask_channels=8)).eval()


@pytest.fixture
def workload(tmp_path) -> Workload:
    path = write_video(tmp_path / "clip.mp4", moving_square(6))
    return Workload(source=path, boxes=(BOX,), frames=5)


def test_stages_add_up_to_the_whole():
    timer = StageTimer()
    begun = time.perf_counter()
    for stage in ("decode", "crop", "network", "crop", None):
        timer.start(stage)
        time.sleep(0.002)
    whole = 1000 * (time.perf_counter() - begun)
    assert timer.spent["crop"] >= 4
    assert timer.spent["masks"] == 0
    assert 8 <= sum(timer.spent.values()) <= whole  # the last two milliseconds have no stage


def test_a_timed_network_tracks_as_the_same_network(masked_network):
    images = moving_square(4)
    timer = StageTimer()
    plain, timed = Tracker(masked_network), Tracker(TimedNetwork(masked_network, timer))
    assert isinstance(timed.network, SegmentingNetwork)
    for image, begin in zip(images, (True, False, False, False), strict=True):
        (one,), (other,) = (
            tracker.start(image, [BOX]) if begin else tracker.step(image)
            for tracker in (plain, timed)
        )
        assert (one.box, one.score) == (other.box, other.score)
        np.testing.assert_array_equal(one.mask.to_array(), other.mask.to_array())
    assert timer.spent["network"] > 0


def test_every_stage_of_cyclesiam_is_timed(masked_network, workload):
    timed = time_once(TimedCycleSiam(masked_network, CPU, TrackerConfig()), workload)
    assert all(timed.stages[stage] > 0 for stage in STAGES if stage != "step")
    assert timed.wall == pytest.approx(sum(timed.stages.values()) - timed.stages["paste"])
    assert timed.cpu > 0


def test_without_masks_there_is_no_time_for_masks(masked_network, workload):
    timed = time_once(TimedCycleSiam(masked_network, CPU, BOXES_ALONE), workload)
    assert timed.stages["masks"] == 0
    assert timed.stages["network"] > 0


def test_only_the_network_counts_for_its_stage():
    class Slow(BlobNetwork):
        def search(self, template, crops):
            time.sleep(0.01)
            return super().search(template, crops)

    timer = StageTimer()
    config = TrackerConfig(online_filter=OnlineFilterConfig(weight=0))  # it has no features
    tracker = Tracker(TimedNetwork(Slow(), timer), config)
    tracker.init(moving_square(1)[0], BOX)
    timer.spent = dict.fromkeys(STAGES, 0.0)
    for image in moving_square(3):
        timer.start("crop")
        tracker.step(image)
        timer.start(None)
    assert timer.spent["network"] >= 30


def test_rounds_time_all_trackers_in_turn(workload):
    rounds = list(time_rounds(PEERS, workload, 2))
    assert [list(one) for one in rounds] == [["csrt", "kcf"]] * 2
    assert all(one["kcf"].stages["step"] > 0 for one in rounds)


def test_a_source_that_is_too_short(workload):
    longer = Workload(source=workload.source, boxes=(BOX,), frames=6)
    with pytest.raises(SourceError, match="has only 6 frames; ask for at most 5 after the first"):
        time_once(PEERS["kcf"], longer)


def test_summary_by_hand():
    def one(decode, step, paste, cpu):
        stages = dict.fromkeys(STAGES, 0.0) | {"decode": decode, "step": step, "paste": paste}
        return RunTiming(stages=stages, cpu=cpu)

    timing = summarize([one(1, 9, 5, 10), one(2, 38, 5, 12), one(2, 18, 5, 11)])
    assert (timing.wall, timing.least, timing.most, timing.cpu) == (20, 10, 40, 11)
    assert (timing.stages["decode"], timing.fps) == (2, 50)


def timing(fps: float) -> Timing:
    return Timing(stages={}, wall=1000 / fps, least=1, most=1, cpu=1)


def test_the_first_that_is_fast_enough_is_named():
    timings = {"best": timing(12), "good": timing(31), "small": timing(90)}
    assert first_reaching(timings, 30) == "good"
    assert first_reaching(timings, 10) == "best"
    assert first_reaching(timings, 100) is None


def test_replicated_boxes_start_with_the_given_ones():
    assert replicate_boxes([BOX], 1) == (BOX,)
    np.testing.assert_allclose(replicate_boxes([BOX, (0, 0, 10, 10)], 4)[3], (1, 0, 10, 10))
