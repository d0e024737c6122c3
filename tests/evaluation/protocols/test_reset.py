import numpy as np
import pytest

from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.protocols.reset import run_with_resets
from cyclesiam.evaluation.scorers.resets import ground_truth_regions
from support.benchmark_folders import write_images

BOX = (20.0, 10.0, 10.0, 10.0)


class Script:
    """Returns the box prepared for each frame, and records where it was started."""

    def __init__(self, outputs):
        self.outputs = outputs
        self.frame, self.starts = 0, []

    def init(self, image, box_xywh):
        self.frame = round(image.mean())
        self.starts.append((self.frame, box_xywh))

    def update(self, image):
        return self.outputs[round(image.mean())]


@pytest.fixture
def still_target(tmp_path):
    """Sixteen frames whose brightness is their number."""
    write_images(tmp_path, 16, value=np.arange(16))
    x, y, width, height = BOX
    return TrackingSequence(
        name="still",
        frames=tuple(sorted(tmp_path.iterdir())),
        boxes=np.tile([x, y, x + width, y + height], (16, 1)),
    )


def codes(run):
    return "".join(f"{region[0]:.0f}" if len(region) == 1 else "x" for region in run.regions)


def test_a_tracker_that_stays_on_its_target_is_started_once(still_target):
    tracker = Script(dict.fromkeys(range(16), BOX))
    run = run_with_resets(tracker, still_target)
    assert codes(run) == "1" + "x" * 15
    assert tracker.starts == [(0, BOX)]
    np.testing.assert_array_equal(run.regions[5], BOX)


def test_a_failure_and_a_restart_five_frames_later(still_target):
    away = (60.0, 10.0, 10.0, 10.0)
    tracker = Script({t: away if t in (3, 10) else BOX for t in range(16)})
    run = run_with_resets(tracker, still_target)
    assert codes(run) == "1xx20000" + "1x200001"
    assert [frame for frame, _ in tracker.starts] == [0, 8, 15]
    assert (run.seconds[[4, 5, 6, 7]] == 0).all()
    assert (run.seconds[[0, 1, 3, 8]] > 0).all()


@pytest.mark.parametrize(
    ("frame", "expected"), [(15, "2"), (14, "20"), (12, "2000"), (11, "20000")]
)
def test_a_failure_near_the_end(still_target, frame, expected):
    run = run_with_resets(
        Script({t: BOX if t < frame else (90, 0, 5, 5) for t in range(16)}), still_target
    )
    assert codes(run) == "1" + "x" * (frame - 1) + expected


def test_the_image_is_the_limit(still_target):
    """The box meets the truth beyond the right border only: no pixel of the image is shared."""
    x0, x1 = 110.0, 140.0
    boxes = np.tile([x0, 10, x1, 20], (16, 1))
    sequence = TrackingSequence(name="edge", frames=still_target.frames, boxes=boxes)
    outside = dict.fromkeys(range(16), (121.0, 10.0, 10.0, 10.0))
    assert codes(run_with_resets(Script(outside), sequence))[:2] == "12"
    inside = dict.fromkeys(range(16), (118.0, 10.0, 10.0, 10.0))
    assert codes(run_with_resets(Script(inside), sequence)) == "1" + "x" * 15


def test_nan_is_a_failure_and_a_polygon_is_a_region(still_target):
    polygon = (20.0, 10.0, 30.0, 10.0, 30.0, 20.00004)
    tracker = Script(dict.fromkeys(range(16), polygon) | {2: (np.nan,) * 4})
    run = run_with_resets(tracker, still_target)
    assert codes(run)[:4] == "1x20"
    assert run.regions[1].tolist() == [20, 10, 30, 10, 30, 20]  # four decimals, as in the file


@pytest.mark.parametrize("output", [None, (1, 2, 3), [(1, 2, 3, 4)], (1, 2, 3, 4, 5, 6, 7)])
def test_an_output_that_is_no_region_is_named(still_target, output):
    with pytest.raises(TargetError, match="still, frame 1: the tracker must return"):
        run_with_resets(Script(dict.fromkeys(range(16), output)), still_target)


def test_ground_truth_is_what_the_file_has(still_target):
    assert ground_truth_regions(still_target)[3].tolist() == list(BOX)
    polygons = tuple((20.0, 10.0, 30.0, 10.0, 30.0, 20.0) for _ in range(16))
    with_regions = TrackingSequence(
        name="p", frames=still_target.frames, boxes=still_target.boxes, regions=polygons
    )
    assert ground_truth_regions(with_regions)[3].tolist() == list(polygons[3])


def test_a_frame_without_truth_is_refused(still_target):
    boxes = still_target.boxes.copy()
    boxes[4] = np.nan
    with pytest.raises(DatasetError, match="gap: the protocol `reset` needs a region"):
        run_with_resets(
            Script({}), TrackingSequence(name="gap", frames=still_target.frames, boxes=boxes)
        )
