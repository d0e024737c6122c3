import pytest
import torch

from cyclesiam.geometry.crops import boxes_to_image, crop
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.training.cycle import track_cycle
from cyclesiam.training.feature_reuse import FeatureNetwork, compute_features, search_cached
from support.networks import TINY, BlobNetwork, bright_square

TRUSTING = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)
WINDOWS = torch.tensor([[80.0, 80, 100, 100], [90, 90, 80, 80]])


class SeeingBlobNetwork(BlobNetwork):
    """A blob network whose features are the crops themselves; it counts the rows that it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def extract_features(self, crops):
        self.seen.append(len(crops))
        return crops

    def search_features(self, template, features):
        return self.search(template, features)


def frames_of(*boxes):
    return torch.stack([bright_square(box) for box in boxes])


def squares(step, count=4):
    """A square of 40 px that moves by `step` px a frame, and its first box."""
    boxes = [(60 + step * t, 60, 100 + step * t, 100) for t in range(count)]
    return frames_of(*boxes)[None], torch.tensor(boxes[:1]).float()


def test_a_siamrpn_can_share_and_a_plain_network_cannot():
    assert isinstance(SiamRPN(TINY), FeatureNetwork)
    assert not isinstance(BlobNetwork(), FeatureNetwork)
    clips, boxes = squares(2)
    with pytest.raises(ValueError, match="set share_features False"):
        track_cycle(BlobNetwork(), clips, boxes, 2, TRUSTING, share_features=True)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ((0, 0, 1), True),
        ((0.25, -0.25, 1), True),  # of the window's side; 64 / 255 is 0.251
        ((0.26, 0, 1), False),
        ((0, -0.26, 1), False),
        ((0, 0, 1.17), True),
        ((0, 0, 1 / 1.17), True),
        ((0, 0, 1.2), False),
        ((0, 0, 1 / 1.2), False),
    ],
)
def test_a_view_is_kept_where_it_shows_what_is_wanted(change, kept):
    frames = frames_of((60, 60, 100, 100), (70, 70, 110, 110))
    network = SeeingBlobNetwork()
    earlier = compute_features(network, frames, WINDOWS)
    wanted = WINDOWS.clone()  # the second row as it was
    wanted[0, :2] += torch.tensor(change[:2]) * WINDOWS[0, 2:]
    wanted[0, 2:] *= change[2]
    again = compute_features(network, frames, wanted, earlier)
    assert network.seen == ([2] if kept else [2, 1])
    torch.testing.assert_close(again.windows, WINDOWS if kept else wanted)
    torch.testing.assert_close(again.features, crop(frames, again.windows, 255))


def test_a_view_is_told_as_if_the_wanted_windows_had_been_searched():
    frames = frames_of((60, 60, 100, 100), (70, 70, 110, 110))
    network = SeeingBlobNetwork()
    seen = compute_features(network, frames, WINDOWS)
    wanted = WINDOWS + torch.tensor([7.0, -3, 5, 5])
    template = (torch.zeros(2, 4),)
    observation = search_cached(network, template, seen, wanted)
    assert observation.windows is wanted
    found = boxes_to_image(observation.proposals.boxes[:, 1], wanted, 255)
    expected = torch.tensor([[60.0, 60, 100, 100], [70, 70, 110, 110]])
    torch.testing.assert_close(found, expected, rtol=0, atol=0.4)


@pytest.mark.parametrize(("turn", "searches"), [(1, 1), (2, 2), (3, 3)])
def test_a_frame_that_is_searched_twice_is_seen_once(turn, searches):
    clips, boxes = squares(step=2)
    network = SeeingBlobNetwork()
    shared = track_cycle(network, clips, boxes, turn, TRUSTING, share_features=True)
    assert network.seen == [1] * searches
    alone = track_cycle(BlobNetwork(), clips, boxes, turn, TRUSTING)
    torch.testing.assert_close(shared.boxes, alone.boxes, rtol=0, atol=0.4)
    torch.testing.assert_close(shared.at_turn, alone.at_turn, rtol=0, atol=0.4)


def test_a_fast_target_is_searched_for_anew():
    clips, boxes = squares(step=24, count=3)  # windows are 160 px wide
    network = SeeingBlobNetwork()
    shared = track_cycle(network, clips, boxes, 2, TRUSTING, share_features=True)
    assert network.seen == [1, 1, 1]
    alone = track_cycle(BlobNetwork(), clips, boxes, 2, TRUSTING)
    torch.testing.assert_close(shared.boxes, alone.boxes)


def test_at_turn_1_sharing_changes_nothing():
    torch.manual_seed(0)
    network = SiamRPN(TINY).eval()
    clips, boxes = squares(step=3, count=2)
    alone, shared = (
        track_cycle(network, clips, boxes, 1, SelectionConfig(), share_features=share)
        for share in (False, True)
    )
    assert torch.equal(alone.boxes, shared.boxes)
