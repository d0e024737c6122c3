import numpy as np
import pytest
import torch

from cyclesiam.evaluation.siamese_tracker import SiameseTracker
from cyclesiam.models.siamrpn import NetworkConfig, SiamRPN
from cyclesiam.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiamRPN(NetworkConfig(hidden_channels=8)).eval()


def test_it_answers_what_the_tracker_does(network, made_frames):
    box, adapted, tracker = (10.0, 14.0, 16.0, 16.0), SiameseTracker(Tracker(network)), None
    for _ in range(2):  # the second start forgets the first run
        tracker = Tracker(network)
        tracker.init(made_frames[0], box)
        adapted.init(made_frames[0], box)
        for frame in made_frames[1:3]:
            answer = adapted.update(frame)
            assert answer == tracker.update(frame).box_xywh
            assert np.isfinite(answer).all()
