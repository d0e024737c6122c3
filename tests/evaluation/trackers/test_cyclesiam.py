import dataclasses

import numpy as np
import pytest
import torch

from cyclesiam.evaluation.trackers.cyclesiam import CycleSiamTracker
from cyclesiam.evaluation.trackers.interface import InitialTarget, MultiObjectTracker
from cyclesiam.geometry.masks import box_to_mask, mask_to_box
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.media import moving_square
from support.networks import TINY


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiamRPN(NetworkConfig(hidden_channels=8)).eval()


def test_it_returns_the_boxes_of_the_tracker(network, made_frames):
    box, adapted, tracker = (10.0, 14.0, 16.0, 16.0), CycleSiamTracker(Tracker(network)), None
    for _ in range(2):  # the second start forgets the first run
        tracker = Tracker(network)
        tracker.init(made_frames[0], box)
        adapted.init(made_frames[0], box)
        for frame in made_frames[1:3]:
            output = adapted.update(frame)
            assert output == tracker.update(frame).box_xywh
            assert np.isfinite(output).all()


@pytest.fixture(scope="module")
def masked():
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=True, mask_channels=8)).eval()


def test_a_region_is_the_box_the_rotated_box_or_the_box_of_the_mask(masked):
    config = TrackerConfig(mask=MaskConfig(min_area_ratio=0, max_area_ratio=99, min_inside_ratio=0))
    frames, box = moving_square(3), (10.0, 30.0, 24.0, 24.0)
    plain = Tracker(masked, config)
    plain.init(frames[0], box)
    result = plain.update(frames[1])
    assert result.mask_source == "network"
    regions = {}
    for region in ("box", "bare_box", "rotated", "mask"):
        adapted = CycleSiamTracker(Tracker(masked, config), region=region)
        adapted.init(frames[0], box)
        regions[region] = adapted.update(frames[1])
    assert regions["box"] == result.box_xywh
    bare = Tracker(masked, TrackerConfig(mask=MaskConfig(enabled=False)))
    bare.init(frames[0], box)
    assert regions["bare_box"] == bare.update(frames[1]).box_xywh != regions["box"]
    assert regions["rotated"] == result.rotated_box
    x0, y0, x1, y1 = mask_to_box(result.mask.to_array())
    assert regions["mask"] == (x0, y0, x1 - x0, y1 - y0)


@pytest.mark.parametrize(("region", "weight"), [("bare_box", 0.5), ("box", 0.0)])
def test_boxes_alone_cost_no_masks(masked, monkeypatch, region, weight):
    monkeypatch.setattr(SiamRPN, "segment", None)  # a call would fail
    config = TrackerConfig(mask=MaskConfig(box_weight=weight, size_correction=0))
    adapted = CycleSiamTracker(Tracker(masked, config), region=region)
    frames = moving_square(2)
    adapted.init(frames[0], (10.0, 30.0, 24.0, 24.0))
    assert len(adapted.update(frames[1])) == 4


@pytest.mark.parametrize("with_masks", [True, False])
def test_objects_are_tracked_together_as_each_alone(network, masked, with_masks):
    """A later object joins; where masks overlap, a pixel belongs to one object."""
    frames = moving_square(4)
    used = masked if with_masks else network
    adapted = CycleSiamTracker(Tracker(used))
    assert isinstance(adapted, MultiObjectTracker)
    first = {
        2: InitialTarget((10.0, 30.0, 24.0, 24.0), None),
        5: InitialTarget((70.0, 40.0, 30.0, 30.0), None),
    }
    labels = adapted.init_objects(frames[0], first)
    assert set(np.unique(labels)) <= {0, 2, 5}
    adapted.update_objects(frames[1])
    mask = np.zeros(frames[0].shape[:2], bool)
    mask[10:30, 40:70] = True
    adapted.init_objects(frames[1], {7: InitialTarget((40.0, 10.0, 30.0, 20.0), mask)})
    labels = adapted.update_objects(frames[2])
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {0, 2, 5, 7}
    alone = Tracker(used)
    alone.start(frames[1], [(40.0, 10.0, 30.0, 20.0)], [mask])
    (result,) = alone.step(frames[2])
    size = (frames[2].shape[0], frames[2].shape[1])
    own = (result.mask or box_to_mask(result.box, size)).to_array()
    assert not ((labels == 7) & ~own).any()
    assert ((labels == 7) | (labels != 0))[own].all()
