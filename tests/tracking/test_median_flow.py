"""Boxes of uncertain targets go where the points in them went."""

import numpy as np
import pytest
import torch

from cyclesiam.geometry.proposals import Proposals
from cyclesiam.tracking.config import RedetectionConfig, TrackerConfig
from cyclesiam.tracking.median_flow import MedianFlowConfig, median_displacement, propagate_boxes
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.tracker import Tracker
from support.networks import BlobNetwork

BOX = [60.0, 50, 100, 80]
PATCH = np.random.default_rng(3).integers(0, 180, (10, 12, 3)).repeat(5, 0).repeat(5, 1)


def image_at(left, top):
    """A rough background with a patch of 60 by 50 pixels."""
    image = np.random.default_rng(7).integers(80, 100, (160, 200, 3))
    image[top : top + 50, left : left + 60] = PATCH
    return image.astype(np.uint8)


def frame(*place):
    return torch.from_numpy(image_at(*place)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("move", [(3, -2), (-14, 9), (0, 0)])
def test_points_say_how_far_a_target_moved(move):
    x, y = move
    found = median_displacement(frame(50, 40), frame(50 + x, 40 + y), BOX, MedianFlowConfig())
    assert found == pytest.approx(move, abs=0.1)


def test_points_that_do_not_return_do_not_count():
    noise = torch.from_numpy(np.random.default_rng(5).integers(0, 255, (1, 3, 160, 200), np.uint8))
    assert median_displacement(frame(50, 40), noise, BOX, MedianFlowConfig()) is None


def test_a_box_at_the_border_is_moved():
    found = median_displacement(frame(0, 0), frame(2, 4), [-20.0, -10, 40, 30], MedianFlowConfig())
    assert found == pytest.approx((2, 4), abs=0.2)


def propagate(last, this, **config):
    boxes, last_boxes = torch.tensor([BOX, BOX]) + 20, torch.tensor([BOX, BOX])
    uncertain = torch.tensor([True, False])
    options = MedianFlowConfig(**config)
    return propagate_boxes(boxes, last_boxes, (last, this), uncertain, options), boxes


def test_only_uncertain_boxes_are_moved():
    moved, boxes = propagate(frame(50, 40), frame(53, 44))
    torch.testing.assert_close(
        moved[0], torch.tensor(BOX) + torch.tensor([3.0, 4, 3, 4]), atol=0.1, rtol=0
    )
    assert torch.equal(moved[1], boxes[1])


def test_without_a_frame_before_nothing_is_moved():
    now = frame(53, 44)
    for before, config in (
        (now, {}),  # written over
        (frame(50, 40)[..., :150], {}),
        (frame(50, 40), {"points_per_side": 0}),
    ):
        moved, boxes = propagate(before, now, **config)
        assert torch.equal(moved, boxes)


class Blind(BlobNetwork):
    """Finds nothing."""

    def search(self, template, crops):
        proposals = super().search(template, crops)
        return Proposals(proposals.boxes, 0 * proposals.scores)


@pytest.mark.parametrize(("grid", "follows"), [(5, True), (0, False)])
def test_a_tracker_without_confidence_goes_with_the_points(grid, follows):
    config = TrackerConfig(
        online_filter=OnlineFilterConfig(weight=0),
        redetection=RedetectionConfig(windows_per_frame=0),
        median_flow=MedianFlowConfig(points_per_side=grid),
    )
    tracker = Tracker(Blind(), config)
    tracker.init(image_at(50, 40), (50, 40, 60, 50))
    for step in range(1, 9):
        result = tracker.update(image_at(50 + 4 * step, 40 + 2 * step))
    assert result.state == "lost"
    assert (result.box == pytest.approx((82, 56, 142, 106), abs=1)) == follows


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_per_side": -1},
        {"patch_size": 2},
        {"min_inlier_ratio": 1.2},
        {"max_round_trip_error": 0},
    ],
)
def test_invalid_configs_are_refused(wrong):
    with pytest.raises(ValueError, match="must hold"):
        MedianFlowConfig(**wrong)
