"""Masks of the tracker: predicted, refined, replaced, written, drawn."""

import dataclasses

import numpy as np
import pytest
import torch

from cyclesiam.geometry.masks import Mask, box_to_mask
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.models.numpy_interface import accepts_numpy
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.confidence import ConfidenceConfig
from cyclesiam.tracking.drawing import draw_results, target_color
from cyclesiam.tracking.results import FrameResult, TrackResult
from cyclesiam.tracking.segmentation import (
    OUTSIDE,
    MaskConfig,
    refine_by_color,
    refine_edges,
    replace_implausible_masks,
)
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.media import moving_square, textured
from support.networks import TINY

SIZE = 90, 120
BOX = (30.0, 20.0, 60.0, 50.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiamRPN(dataclasses.replace(TINY, masks=True, mask_channels=8)).eval()


class ColorNetwork:
    """A network whose masks are the color priors at its boxes."""

    def __init__(self, network):
        self.network = network

    def __getattr__(self, name):
        return getattr(self.network, name)

    @accepts_numpy
    def segment(self, proposals, chosen, priors):
        windows = self.network.mask_windows(chosen)
        size = self.network.template_size
        found = []
        for row, (cx, cy, w, _) in enumerate(windows.tolist()):
            x0, y0 = round((cx - w / 2) / 2), round((cy - w / 2) / 2)
            padded = torch.nn.functional.pad(priors[row, 0], (size,) * 4)
            half = (size + 1) // 2
            part = padded[y0 + size : y0 + size + half, x0 + size : x0 + size + half]
            found.append(
                torch.nn.functional.interpolate(
                    part[None, None], size=(size, size), align_corners=True, mode="bilinear"
                )[0, 0]
            )
        return torch.stack(found).clamp(0, 1)

    def mask_windows(self, chosen):
        return self.network.mask_windows(chosen)


def red_on_green(left, width=30, height=20):
    image = np.full((90, 120, 3), (30, 180, 30), np.uint8)
    image[30 : 30 + height, left : left + width] = (220, 30, 30)
    return image


def test_a_mask_lies_over_its_target(network):
    tracker = Tracker(ColorNetwork(network))
    results = [tracker.start(red_on_green(40), [(40, 30, 30, 20)])[0]]
    results += [tracker.update(red_on_green(40 + step)) for step in (2, 4)]
    for left, result in zip((40, 42, 44), results, strict=True):
        red = red_on_green(left)[..., 0] > 100
        found = result.mask.to_array()
        assert result.mask_source == "network"
        assert (found & red).sum() / (found | red).sum() > 0.75
        corners = np.reshape(result.rotated_box, (4, 2))
        assert corners.min(axis=0) == pytest.approx([left, 30], abs=3)
        assert corners.max(axis=0) == pytest.approx([left + 30, 50], abs=3)


def sides(result):
    left, top, right, bottom = result.box
    return right - left, bottom - top


def sides_of_growing_target(network, **settings):
    """Track a target of 30 x 20 that is 45 x 30 from the second frame on; return all sides."""
    config = TrackerConfig(
        mask=MaskConfig(min_inside_ratio=0, **settings),
        confidence=ConfidenceConfig(confident_threshold=0, lost_threshold=0),
        selection=SelectionConfig(size_smoothing=0),  # the sizes of this network are arbitrary
    )
    tracker = Tracker(ColorNetwork(network), config)
    results = [tracker.start(red_on_green(40), [(40, 30, 30, 20)])[0]]
    results += [tracker.update(red_on_green(40, 45, 30)) for _ in range(12)]
    return [sides(result) for result in results]


def test_a_reported_box_has_the_size_of_its_mask(network):
    reported = sides_of_growing_target(network, box_weight=1, size_correction=0)
    assert reported[0] == pytest.approx((30, 20))
    assert reported[1] == pytest.approx((45, 30), abs=3)


def test_the_tracked_size_is_corrected_by_masks(network):
    alone = sides_of_growing_target(network, box_weight=0, size_correction=0)
    corrected = sides_of_growing_target(network, box_weight=0, size_correction=0.5, size_momentum=1)
    assert corrected[0] == alone[0]
    assert corrected[1] == alone[1]  # masks count from the frame after
    assert alone[-1] == pytest.approx((30, 20))
    assert corrected[-1] == pytest.approx((45 / 1.25, 30 / 1.25), abs=2)


def test_masks_of_weight_zero_leave_boxes_unchanged(network):
    frames = moving_square(3)
    plain = Tracker(network, TrackerConfig(mask=MaskConfig(enabled=False)))
    masked = Tracker(network, TrackerConfig(mask=MaskConfig(box_weight=0, size_correction=0)))
    assert (plain.has_masks, masked.has_masks) == (False, True)
    for tracker in (plain, masked):
        tracker.init(frames[0], (10, 30, 24, 24))
    for frame in frames[1:]:
        without, with_mask = plain.update(frame), masked.update(frame)
        assert without.box == with_mask.box
        assert without.mask is None
        assert with_mask.mask is not None


def test_colors_decide_where_the_network_is_uncertain():
    """Left red, right green; the network is certain in two corners only."""
    masks = torch.full((1, 7, 7), 0.5)
    masks[0, :3, :3], masks[0, 4:, 4:] = 0.95, 0.05
    bins = torch.tensor([3, 3, 90, 90]).expand(1, 4, 4)
    found = refine_by_color(masks, bins, 1.0)
    assert (found[0, :, 0] > 0.7).all()
    assert (found[0, :, 6] < 0.3).all()
    torch.testing.assert_close(refine_by_color(masks, bins, 0.0), masks)
    outside = torch.full((1, 4, 4), OUTSIDE)  # outside the crop, colors are unknown
    torch.testing.assert_close(refine_by_color(masks, outside, 1.0), masks)


@pytest.mark.parametrize("left", [20.0, -8.0])  # the window inside the crop, and across its border
def test_a_border_moves_to_the_edge_in_the_crop(left):
    """The colors change at column 45 of the crop; the mask, blurred, three columns before."""
    crops = torch.full((1, 3, 100, 100), 40.0)
    crops[..., 45:] = 200
    columns = torch.arange(63) + left
    masks = ((columns - 42) / 6 + 0.5).clamp(0, 1).expand(1, 63, 63).contiguous()
    windows = torch.tensor([[left, 15.0, left + 63, 78]])
    drawn = refine_edges(masks, crops, windows, MaskConfig())
    edge = int(45 - left)
    assert (masks[0, 30, edge - 2 : edge] > 0.5).all()
    assert (drawn[0, 30, edge - 2 : edge] < 0.5).all()
    assert (drawn[0, 30, edge : edge + 5] > 0.5).all()


def test_masks_are_disjoint(network):
    tracker = Tracker(network, TrackerConfig(mask=MaskConfig(threshold=0.3, min_area_ratio=0)))
    tracker.start(textured(0), [(10, 30, 24, 24), (20, 30, 24, 24), (60, 40, 30, 30)])
    for seed in (0, 1):
        masks = [r.mask.to_array() for r in tracker.step(textured(seed)) if r.mask_source != "box"]
        assert np.sum(masks, axis=0).max(initial=0) <= 1


@pytest.mark.parametrize(
    ("mask", "source"),
    [
        (box_to_mask((32, 22, 58, 48), SIZE), "network"),
        (box_to_mask((30, 20, 33, 23), SIZE), "box"),  # too small
        (box_to_mask((0, 0, 120, 90), SIZE), "box"),  # too large
        (box_to_mask((55, 20, 85, 50), SIZE), "box"),  # elsewhere
        (Mask.from_array(np.zeros(SIZE)), "box"),
    ],
)
def test_an_implausible_mask_is_replaced_by_its_box(mask, source):
    ((replaced, actual),) = replace_implausible_masks([mask], [BOX], MaskConfig())
    assert actual == source
    expected = mask if source == "network" else box_to_mask(BOX, SIZE)
    np.testing.assert_array_equal(replaced.to_array(), expected.to_array())


def test_a_line_holds_the_mask():
    mask = box_to_mask(BOX, SIZE)
    target = TrackResult(
        id=1,
        box=BOX,
        score=0.5,
        state="tracking",
        mask=mask,
        mask_source="box",
        rotated_box=mask.rotated_box(),
    )
    line = FrameResult(frame=3, time=0.1, targets=(target,)).to_json()
    assert '"mask": {"size": [90, 120], "counts": "' in line
    assert '"mask_source": "box", "rotated_box": [' in line
    read = FrameResult.from_json(line).targets[0]
    np.testing.assert_array_equal(read.mask.to_array(), mask.to_array())
    assert (read.mask_source, read.rotated_box) == ("box", target.rotated_box)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"counts": "', '"count": "', "run lengths"),
        ('"mask_source": "box"', '"mask_source": "hope"', "mask_source"),
        ('"rotated_box": [', '"rotated_box": [1, ', "rotated_box"),
    ],
)
def test_a_damaged_mask_raises(old, new, message):
    mask = box_to_mask(BOX, SIZE)
    target = TrackResult(
        id=1, box=BOX, score=0.5, state="tracking", mask=mask, mask_source="box",
        rotated_box=mask.rotated_box(),
    )  # fmt: skip
    line = FrameResult(frame=3, time=0.1, targets=(target,)).to_json()
    assert old in line
    with pytest.raises(ValueError, match=message):
        FrameResult.from_json(line.replace(old, new))


def test_a_mask_is_drawn_as_a_tint_with_an_outline():
    image = np.full((90, 120, 3), 100, np.uint8)
    mask = box_to_mask((40, 30, 50, 40), SIZE)
    target = TrackResult(
        id=1, box=BOX, score=0.5, state="tracking", mask=mask, mask_source="network"
    )
    drawn = draw_results(image, [target])
    assert tuple(drawn[30, 45]) == target_color(1)  # the outline
    tint = (0.6 * 100 + 0.4 * np.array(target_color(1))).round()
    np.testing.assert_array_equal(drawn[35, 45], tint)
    assert (drawn[45, 45] == 100).all()  # in the box, not in the mask
    from_box = draw_results(image, [dataclasses.replace(target, mask_source="box")])
    assert (from_box[35, 45] == 100).all()  # a filled box is not drawn as a mask


@pytest.mark.parametrize(
    "invalid",
    [
        {"threshold": 1.0},
        {"min_inside_ratio": 1.1},
        {"size_tolerance": 0.9},
        {"size_correction": 1.1},
        {"min_area_ratio": 3, "max_area_ratio": 2},
    ],
)
def test_invalid_configs_are_refused(invalid):
    with pytest.raises(ValueError, match="must"):
        MaskConfig(**invalid)
