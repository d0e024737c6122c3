import time

import cv2
import numpy as np
import pytest

from cyclesiam.datasets.otb import OTB
from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import DatasetError, MissingExtraError, TargetError
from cyclesiam.evaluation.metrics.otb import pysot_curves
from cyclesiam.evaluation.protocols.one_pass import run_one_pass, start_frames
from cyclesiam.evaluation.trackers.opencv import OPENCV_TRACKERS, OpenCVTracker, round_box
from cyclesiam.geometry.boxes import xyxy_to_xywh

TRUTH = np.array([[10.0 + 2 * t, 14, 26 + 2 * t, 30] for t in range(12)])


@pytest.fixture
def moving_square(tmp_path, made_frames):
    """The frames of `made_frames` on disk, without loss."""
    paths = tuple(tmp_path / f"{t:02}.png" for t in range(len(made_frames)))
    for path, frame in zip(paths, made_frames, strict=True):
        cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return TrackingSequence(name="square", frames=paths, boxes=TRUTH)


class Recorder:
    """Keeps what it is shown and returns the prepared boxes."""

    def __init__(self, outputs):
        self.outputs = iter(outputs)
        self.started, self.images = None, []

    def init(self, image, box_xywh):
        self.started = box_xywh
        self.images.append(image)

    def update(self, image):
        self.images.append(image)
        return next(self.outputs)


def test_one_pass_shows_every_frame_once_and_the_first_box_only(moving_square, made_frames):
    tracker = Recorder([(t, t, 1, 2) for t in range(1, 12)])
    trajectory = run_one_pass(tracker, moving_square)
    assert tracker.started == (10, 14, 16, 16)
    np.testing.assert_array_equal(tracker.images, made_frames)  # RGB, in order
    np.testing.assert_array_equal(trajectory.boxes[0], TRUTH[0])
    np.testing.assert_array_equal(trajectory.boxes[1:, 0], np.arange(1, 12))
    np.testing.assert_array_equal(trajectory.boxes[5], [5, 5, 6, 7])


def test_one_pass_keeps_nan_boxes(moving_square):
    trajectory = run_one_pass(Recorder([(np.nan,) * 4] * 11), moving_square)
    assert np.isnan(trajectory.boxes[1:]).all()


def test_seconds_hold_the_tracker_and_not_the_reading(moving_square, monkeypatch):
    clock = [0.0]  # of the test, so that other work on the machine does not count

    class Slow(Recorder):
        def update(self, image):
            clock[0] += 0.25
            return super().update(image)

    def slow_images(self):
        clock[0] += 1000
        yield from [np.zeros((4, 4, 3), np.uint8)] * 12

    monkeypatch.setattr(TrackingSequence, "images", slow_images)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    trajectory = run_one_pass(Slow([(0, 0, 1, 1)] * 11), moving_square)
    assert trajectory.seconds.shape == (12,)
    assert trajectory.seconds.tolist() == [0, *[0.25] * 11]
    assert trajectory.fps == pytest.approx(12 / trajectory.seconds.sum())


@pytest.mark.parametrize("output", [None, (1, 2, 3), [(1, 2, 3, 4)]])
def test_output_that_is_no_box_is_named(moving_square, output):
    with pytest.raises(TargetError, match="square, frame 1: the tracker must return x, y, w, h"):
        run_one_pass(Recorder([output]), moving_square)


def test_sequence_must_start_with_its_target(moving_square):
    boxes = TRUTH.copy()
    boxes[0] = np.nan
    blind = TrackingSequence(name="blind", frames=moving_square.frames, boxes=boxes)
    with pytest.raises(DatasetError, match="blind: the first frame has no box"):
        run_one_pass(Recorder([]), blind)


def test_one_pass_from_a_later_frame(moving_square, made_frames):
    tracker = Recorder([(t, t, 1, 2) for t in range(1, 4)])
    trajectory = run_one_pass(tracker, moving_square, first=8)
    assert tracker.started == (26, 14, 16, 16)
    np.testing.assert_array_equal(tracker.images, made_frames[8:])
    assert trajectory.boxes.shape == (4, 4)
    with pytest.raises(TargetError, match="square, frame 9: the tracker must return"):
        run_one_pass(Recorder([None]), moving_square, first=8)


def test_starts_are_spread_evenly_over_what_is_known(moving_square):
    assert start_frames(moving_square, 1) == (0,)
    assert start_frames(moving_square, 3) == (0, 4, 8)
    boxes = TRUTH.copy()
    boxes[[4, 5, 8, 9, 10, 11]] = np.nan
    hidden = TrackingSequence(name="hidden", frames=moving_square.frames, boxes=boxes)
    assert start_frames(hidden, 3) == (0, 6)
    assert start_frames(hidden, 12) == (0, 1, 2, 3, 6, 7)


# OpenCV's trackers


@pytest.mark.parametrize("name", OPENCV_TRACKERS)
def test_opencv_trackers_follow_a_square(moving_square, name):
    trajectory = run_one_pass(OPENCV_TRACKERS[name](), moving_square)
    errors = np.abs(trajectory.boxes - TRUTH)[:, ::2]  # the square moves 22 px to the right
    assert errors.max() < 8


@pytest.mark.shared
def test_kcf_on_the_start_of_a_real_sequence(suite):
    whole = OTB(suite / "otb").read("Jogging.2")
    start = TrackingSequence(name="start", frames=whole.frames[:30], boxes=whole.boxes[:30])
    found = run_one_pass(OPENCV_TRACKERS["kcf"](), start)
    curves = pysot_curves(xyxy_to_xywh(found.boxes), xyxy_to_xywh(start.boxes))
    assert curves.success_auc > 0.6
    assert curves.precision_20 > 0.9


def test_lost_target_repeats_the_last_box(made_frames):
    tracker = OPENCV_TRACKERS["kcf"]()
    tracker.init(made_frames[0], (10, 14, 16, 16))
    last = tracker.update(made_frames[1])
    assert tracker.update(np.zeros_like(made_frames[0])) == last  # nothing visible


def test_opencv_tracker_can_be_started_again(made_frames):
    tracker = OPENCV_TRACKERS["kcf"]()
    outputs = []
    for _ in range(2):
        tracker.init(made_frames[0], (10, 14, 16, 16))
        outputs.append(tracker.update(made_frames[1]))
    assert outputs[0] == outputs[1]


def test_update_before_init_is_refused(made_frames):
    with pytest.raises(ValueError, match="must be started with init"):
        OPENCV_TRACKERS["kcf"]().update(made_frames[0])


def test_missing_opencv_tracker_names_the_package():
    with pytest.raises(MissingExtraError, match="opencv-contrib-python-headless"):
        OpenCVTracker("Imaginary")


def test_trackers_that_only_legacy_has_are_found():
    assert not hasattr(cv2, "TrackerMOSSE_create")
    assert OpenCVTracker("MOSSE").algorithm == "MOSSE"


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((3.4, 4.6, 10.2, 5.0), (3, 5, 11, 5)),
        ((-5.0, -5.0, 200.0, 200.0), (0, 0, 64, 48)),
        ((5.2, 5.2, 0.1, 0.1), (5, 5, 1, 1)),  # at least one pixel
        ((60.0, 40.0, 30.0, 30.0), (60, 40, 4, 8)),
    ],
)
def test_whole_pixels_known(box, pixels):
    assert round_box(box, 64, 48) == pixels


@pytest.mark.parametrize(
    "box", [(64.0, 0.0, 5.0, 5.0), (-9.0, 0.0, 5.0, 5.0), (0.0, 48.0, 5.0, 5.0), (np.nan,) * 4]
)
def test_box_outside_the_image_is_refused(box):
    with pytest.raises(TargetError, match="is not in the 64 x 48 image"):
        round_box(box, 64, 48)
