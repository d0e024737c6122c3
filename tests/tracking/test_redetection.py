import numpy as np
import pytest
import torch

from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.models.numpy_interface import accepts_numpy
from cyclesiam.tracking.confidence import box_confidence
from cyclesiam.tracking.config import RedetectionConfig, TrackerConfig
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.redetection import relocalize
from cyclesiam.tracking.rescoring import RescoredSearch
from cyclesiam.tracking.search import localize
from cyclesiam.tracking.tracker import Tracker
from support.networks import BlobNetwork, bright_square

HERE, THERE = (20, 20, 44, 44), (320, 220, 344, 244)  # farther than a search window reaches


class HonestBlob(BlobNetwork):
    """Scores nothing where there is no light."""

    @accepts_numpy
    def search(self, template, crops):
        proposals = super().search(template, crops)
        light = (crops.mean(dim=1).amax(dim=(1, 2)) > 200).float()
        return Proposals(proposals.boxes, proposals.scores * light[:, None])


def image_of(box):
    image = bright_square(box or (0, 0, 0, 0), height=280, width=400)
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def track(windows, boxes):
    config = TrackerConfig(
        online_filter=OnlineFilterConfig(weight=0),
        redetection=RedetectionConfig(windows_per_frame=windows),
    )
    network = HonestBlob()
    tracker = Tracker(network, config)
    tracker.init(image_of(HERE), (20, 20, 24, 24))
    return network, [tracker.update(image_of(box)) for box in boxes]


def test_a_target_that_comes_back_elsewhere_is_found():
    _, results = track(2, [HERE] * 2 + [None] * 5 + [THERE] * 30)
    states = [result.state for result in results]
    assert states[:2] == ["tracking"] * 2
    assert set(states[4:7]) == {"lost"}
    assert "recovered" in states[7:]
    assert states[-1] == "tracking"
    assert results[-1].box == pytest.approx(THERE, abs=1.5)
    assert all(result.score < 0.5 for result in results[3:7])


def test_without_windows_it_is_not():
    _, results = track(0, [HERE] * 2 + [None] * 5 + [THERE] * 30)
    assert results[-1].state == "lost"


def test_many_lost_targets_take_turns():
    network = HonestBlob()
    tracker = Tracker(network, TrackerConfig(online_filter=OnlineFilterConfig(weight=0)))
    tracker.start(image_of(HERE), [(20, 20, 24, 24)] * 5)
    for _ in range(12):
        tracker.step(image_of(None))
    assert max(len(crops) for crops in network.searched) == 5
    assert len([1 for crops in network.searched if len(crops) == 4]) == 10
    searched = tracker.settled_state().status.windows_searched
    assert searched.max() - searched.min() <= 2
    assert searched.sum() == 40


def test_a_target_that_is_not_lost_costs_nothing_more():
    network, _ = track(2, [HERE] * 6)
    assert {len(crops) for crops in network.searched} == {1}


def test_every_spot_is_searched_in_turn():
    """The color of a pixel says where it lies; the middles of crops then say where they were."""
    x, y = np.meshgrid(np.linspace(0, 255, 400), np.linspace(0, 255, 280))
    positions = np.stack((x, y, np.zeros_like(x)), axis=-1).astype(np.uint8)
    network = HonestBlob()
    tracker = Tracker(network, TrackerConfig(online_filter=OnlineFilterConfig(weight=0)))
    tracker.init(positions, (20, 20, 24, 24))
    for _ in range(60):
        tracker.update(positions)
    crops = torch.cat([crops for crops in network.searched if len(crops) == 2])
    middles = crops[:, :2, 127, 127]
    assert middles.amin(dim=0).tolist() < [40, 40]
    assert all(middles.amax(dim=0) > 215)
    assert (
        middles[0] - torch.tensor([20, 29])
    ).abs().max() < 3  # first near its last confident box


def test_limits_are_checked():
    with pytest.raises(ValueError, match="windows_per_frame and targets_per_frame must"):
        RedetectionConfig(windows_per_frame=-1)


def localize_nearby(*scores):
    """Targets amid their search crops: one proposal there, another near the border."""
    count, config = len(scores), TrackerConfig(selection=SelectionConfig(size_smoothing=1))
    boxes = torch.tensor([[80.0, 80, 120, 120], [155, 80, 195, 120]])
    proposals = Proposals(boxes.expand(count, 2, 4), torch.tensor(scores))
    windows = torch.tensor([[100.0, 100, 200, 200]]).expand(count, 4)
    found = RescoredSearch(proposals, windows, 200, (200, 200), torch.zeros(0), None)
    last_boxes = boxes[:1].expand(count, 4)
    targets = localize(last_boxes, found, config.selection)
    assert targets.chosen.tolist() == [0] * count
    confidences = box_confidence(targets, found, config.confidence)
    return relocalize(last_boxes, targets, found, confidences, config)


def test_an_uncertain_target_may_be_anywhere_in_its_crop_if_confidence_is_high_there():
    targets = localize_nearby([0.05, 0.45], [0.05, 0.2], [0.3, 0.6])
    assert targets.chosen.tolist() == [1, 0, 0]  # too low for the second, the third is certain
    torch.testing.assert_close(targets.scores, torch.tensor([0.45, 0.05, 0.3]))
    assert targets.boxes[:, 0].tolist() == [155, 80, 80]
