"""Tracking with a second thread has the results of tracking without."""

import dataclasses
import math
from itertools import islice

import numpy as np
import pytest
import torch

from cyclesiam.cli.track import Track, track_frames
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import SourceError, TargetError
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking import pipelined as pipelined_module
from cyclesiam.tracking.config import TrackerConfig
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.template_memory import TemplateMemoryConfig
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import Frame
from support.media import moving_square
from support.networks import TINY

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMES = moving_square(20)
BOXES = [(10.0, 30.0, 24.0, 24.0), (60.0, 40.0, 30.0, 20.0)]
EAGER = TrackerConfig(
    online_filter=OnlineFilterConfig(min_update_score=0.0, update_interval=2),
    template_memory=TemplateMemoryConfig(min_update_score=0.0, update_interval=2),
)


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def network(request):
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=request.param, mask_channels=8)).eval()


def started(network, config=EAGER):
    tracker = Tracker(network, config)
    tracker.start(FRAMES[0], BOXES)
    return tracker


def assert_same(one, other):
    for found, expected in zip(one, other, strict=True):
        assert (found.id, found.name, found.box) == (expected.id, expected.name, expected.box)
        assert (found.score, found.state) == (expected.score, expected.state)
        assert found.mask_source == expected.mask_source
        if expected.mask is not None:
            np.testing.assert_array_equal(found.mask.to_array(), expected.mask.to_array())


@pytest.mark.parametrize("config", [EAGER, TrackerConfig()], ids=["learning", "mostly lost"])
def test_results_are_those_of_one_step_after_another(network, config):
    one, other = started(network, config), started(network, config)
    with PipelinedTracker(one) as pipeline:
        tracked = list(pipeline.track(FRAMES[1:]))
    expected = [other.step(frame) for frame in FRAMES[1:]]
    assert len(tracked) == len(expected)
    for found, wanted in zip(tracked, expected, strict=True):
        assert_same(found, wanted)
    assert_same(one.step(FRAMES[1]), other.step(FRAMES[1]))  # and what was learned is there


def test_targets_change_on_the_way(network):
    one, other = started(network), started(network)
    with PipelinedTracker(one) as pipeline:
        for number, frame in enumerate(FRAMES[1:12]):
            found, expected = pipeline.submit(frame), other.step(frame)
            for tracker in (one, other):
                if number == 2:
                    tracker.add((80.0, 10.0, 20.0, 40.0), name="late")
                if number == 4:
                    tracker.correct(2, (30.0, 30.0, 24.0, 24.0))
                if number == 6:
                    tracker.remove(3)
                if number == 8:
                    tracker.remove(1)
                    tracker.remove(2)
            assert_same(found.result(), expected)
    assert found.result() == ()


def test_what_was_found_before_an_error_comes_before_it(network):
    def broken():
        yield from FRAMES[1:4]
        raise SourceError("the camera fell")

    tracked = []
    with PipelinedTracker(started(network)) as pipeline, pytest.raises(SourceError, match="fell"):
        tracked.extend(pipeline.track(broken()))
    assert len(tracked) == 3


def test_who_stops_early_leaves_a_tracker_that_goes_on(network):
    one, other = started(network), started(network)
    with PipelinedTracker(one) as pipeline:
        assert len(list(islice(pipeline.track(FRAMES[1:]), 3))) == 3  # so the fourth was searched
    for frame in FRAMES[1:5]:
        other.step(frame)
    assert_same(one.step(FRAMES[5]), other.step(FRAMES[5]))


def test_an_error_in_the_thread_is_raised(network, monkeypatch):
    tracker = started(network)
    monkeypatch.setattr(pipelined_module, "segment_and_report", lambda *arguments: 1 / 0)
    with PipelinedTracker(tracker) as pipeline, pytest.raises(ZeroDivisionError):
        list(pipeline.track(FRAMES[1:]))


def test_the_command_line_pairs_frames_with_their_results(network):
    frames = [Frame(index, index / 10, image) for index, image in enumerate(FRAMES)]
    one, other = (
        list(track_frames(Tracker(network, EAGER), iter(frames), BOXES, pipelined=pipelined))
        for pipelined in (True, False)
    )
    for (frame, found), (same_frame, expected) in zip(one, other, strict=True):
        assert frame is same_frame
        assert_same(found, expected)


def test_a_closed_tracker_takes_no_image(network):
    with PipelinedTracker(started(network)) as pipeline:
        pipeline.submit(FRAMES[1])
    with pytest.raises(RuntimeError, match="is closed: make another one"):
        pipeline.submit(FRAMES[2])


def test_there_must_be_targets(network):
    with (
        PipelinedTracker(Tracker(network)) as pipeline,
        pytest.raises(TargetError, match="no target was ever started"),
    ):
        list(pipeline.track(FRAMES))


@pytest.mark.parametrize(
    ("source", "latency", "pipelined"),
    [
        ("street.mp4", None, True),
        ("street.mp4", 200.0, False),
        ("rtsp://10.0.0.5/door", None, False),
        ("rtsp://10.0.0.5/door", math.inf, True),
        ("5", None, False),
    ],
)
def test_live_sources_are_not_pipelined(source, latency, pipelined):
    two, one = (RuntimeConfig(threads=threads) for threads in (2, 1))
    command = Track(source=source, box=(BOXES[0],) * 2, latency=latency, runtime=two)
    assert command.is_pipelined is pipelined
    assert not dataclasses.replace(command, runtime=one).is_pipelined
    assert not dataclasses.replace(command, masks=False).is_pipelined


@pytest.mark.parametrize("masks", [True, False])
def test_weights_without_masks_are_not_pipelined(tmp_path, masks):
    network = SiamRPN(dataclasses.replace(TINY, masks=masks))
    save_weights(tmp_path, network, TrainingRecord(policy="none"))
    runtime, weights = RuntimeConfig(threads=2), str(tmp_path)
    command = Track(source="a.mp4", box=(BOXES[0],), weights=weights, runtime=runtime)
    assert command.is_pipelined is masks
