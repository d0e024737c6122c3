import numpy as np
import pytest
import torch

from cyclesiam.geometry.proposals import Proposals, SelectionConfig
from cyclesiam.models.numpy_interface import accepts_numpy
from cyclesiam.tracking.confidence import ConfidenceConfig, box_confidence
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.redetection import RedetectionConfig, relocalize
from cyclesiam.tracking.siamese import SearchResult, TargetState, localize
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.networks import BlobNetwork, bright_square

HERE, THERE = (20, 20, 44, 44), (320, 220, 344, 244)  # farther than a search window reaches


class HonestBlob(BlobNetwork):
    """Knows when there is no light to be seen."""

    @accepts_numpy
    def search(self, template, crops):
        proposals = super().search(template, crops)
        seen = (crops.mean(dim=1).amax(dim=(1, 2)) > 200).float()
        return Proposals(proposals.boxes, proposals.scores * seen[:, None])


def picture(box):
    image = bright_square(box or (0, 0, 0, 0), height=280, width=400)
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def follow(places, boxes):
    config = TrackerConfig(
        online_filter=OnlineFilterConfig(weight=0),
        redetection=RedetectionConfig(windows_per_frame=places),
    )
    network = HonestBlob()
    tracker = Tracker(network, config)
    tracker.init(picture(HERE), (20, 20, 24, 24))
    return network, [tracker.update(picture(box)) for box in boxes]


def test_a_target_that_comes_back_elsewhere_is_found():
    _, results = follow(2, [HERE] * 2 + [None] * 5 + [THERE] * 30)
    states = [result.state for result in results]
    assert states[:2] == ["tracking"] * 2
    assert set(states[4:7]) == {"lost"}
    assert "recovered" in states[7:]
    assert states[-1] == "tracking"
    assert results[-1].box == pytest.approx(THERE, abs=1.5)
    assert all(result.score < 0.5 for result in results[3:7])


def test_without_places_it_is_not():
    _, results = follow(0, [HERE] * 2 + [None] * 5 + [THERE] * 30)
    assert results[-1].state == "lost"


def test_many_lost_targets_take_turns():
    network = HonestBlob()
    tracker = Tracker(network, TrackerConfig(online_filter=OnlineFilterConfig(weight=0)))
    tracker.start(picture(HERE), [(20, 20, 24, 24)] * 5)
    for _ in range(12):
        tracker.step(picture(None))
    assert max(len(crops) for crops in network.searched) == 5
    assert len([1 for crops in network.searched if len(crops) == 4]) == 10
    searched = tracker._followed.standing.windows_searched
    assert searched.max() - searched.min() <= 2
    assert searched.sum() == 40


def test_a_target_that_is_followed_costs_nothing_more():
    network, _ = follow(2, [HERE] * 6)
    assert {len(crops) for crops in network.searched} == {1}


def test_every_spot_is_searched_in_turn():
    """The colour of a place says where it lies; the middles of crops then say where they were."""
    x, y = np.meshgrid(np.linspace(0, 255, 400), np.linspace(0, 255, 280))
    map_of_places = np.stack((x, y, np.zeros_like(x)), axis=-1).astype(np.uint8)
    network = HonestBlob()
    tracker = Tracker(network, TrackerConfig(online_filter=OnlineFilterConfig(weight=0)))
    tracker.init(map_of_places, (20, 20, 24, 24))
    for _ in range(60):
        tracker.update(map_of_places)
    crops = torch.cat([crops for crops in network.searched if len(crops) == 2])
    middles = crops[:, :2, 127, 127]
    assert middles.amin(dim=0).tolist() < [40, 40]
    assert all(middles.amax(dim=0) > 215)
    assert (middles[0] - torch.tensor([20, 29])).abs().max() < 3  # where it was last seen, first


def test_limits_are_told():
    with pytest.raises(ValueError, match="windows_per_frame and targets_per_frame must"):
        RedetectionConfig(windows_per_frame=-1)


def settle_nearby(*scores):
    """Targets amid their search crops: what is there, and what is near the border, has a score."""
    count, size, frame = len(scores), 200, torch.Size((200, 200))
    choice, confidence = SelectionConfig(size_smoothing=1), ConfidenceConfig()
    boxes = torch.tensor([[80.0, 80, 120, 120], [155, 80, 195, 120]])
    proposals = Proposals(boxes.expand(count, 2, 4), torch.tensor(scores))
    seen = SearchResult(proposals, torch.tensor([[100.0, 100, 200, 200]]).expand(count, 4))
    last = TargetState(boxes[:1].expand(count, 4), torch.ones(count), ())
    settled = localize(last, seen, size, frame, choice)
    assert settled.chosen.tolist() == [0] * count
    believed = box_confidence(settled, seen, confidence)
    configs = choice, confidence, RedetectionConfig()
    return relocalize(last, settled, seen, believed, size, frame, *configs)


def test_a_doubted_target_may_be_anywhere_in_its_crop_if_that_is_sure():
    found = settle_nearby([0.05, 0.45], [0.05, 0.2], [0.3, 0.6])
    assert found.chosen.tolist() == [1, 0, 0]  # not sure of the second, the third not in doubt
    torch.testing.assert_close(found.scores, torch.tensor([0.45, 0.05, 0.3]))
    assert found.boxes[:, 0].tolist() == [155, 80, 80]
