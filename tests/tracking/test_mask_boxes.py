import numpy as np
import pytest
import torch

from cyclesiam.geometry.masks import Mask, box_to_mask
from cyclesiam.tracking.mask_boxes import (
    MaskBoxFit,
    blend_boxes,
    boxes_from_masks,
    correct_sizes,
    fit_boxes_to_masks,
    trimmed_boxes,
    unknown_fit,
    update_fit,
)
from cyclesiam.tracking.segmentation import MaskConfig

FRAME = (100, 200)


def test_a_trimmed_box_leaves_out_a_hundredth_on_each_side():
    found = trimmed_boxes([box_to_mask((40, 20, 140, 70), FRAME)])
    np.testing.assert_allclose(found, [[41, 20.5, 139, 69.5]], rtol=1e-5)


def test_a_few_pixels_far_away_hardly_count():
    pixels = np.zeros(FRAME, bool)
    pixels[20:70, 40:140] = True
    before = trimmed_boxes([Mask.from_array(pixels)])
    pixels[95, 195:] = True  # 5 of 5,000
    after = trimmed_boxes([Mask.from_array(pixels)])
    np.testing.assert_allclose(after, before, atol=0.2)


def test_without_a_mask_and_for_an_empty_one_the_box_is_unknown():
    empty = Mask(0, 0, np.zeros((0, 0), bool), FRAME)
    assert np.isnan(trimmed_boxes([None, empty])).all()


def test_boxes_change_as_masks_do():
    initial = torch.tensor([[40.0, 20.0, 80.0, 60.0]])
    mask_boxes = torch.tensor([[45.0, 30.0, 75.0, 60.0]])  # the box reaches further up
    fit = fit_boxes_to_masks(initial, mask_boxes)
    torch.testing.assert_close(
        blend_boxes(initial, boxes_from_masks(mask_boxes, fit), 1.0), initial
    )
    moved = mask_boxes + torch.tensor([10.0, 5.0, 10.0, 5.0])
    expected = torch.tensor([[50.0, 25.0, 90.0, 65.0]])
    torch.testing.assert_close(blend_boxes(initial, boxes_from_masks(moved, fit), 1.0), expected)
    half = blend_boxes(initial, boxes_from_masks(moved, fit), 0.5)
    torch.testing.assert_close(half, (initial + expected) / 2)
    twice = torch.tensor([[45.0, 30.0, 105.0, 90.0]])
    sizes = blend_boxes(initial, boxes_from_masks(twice, fit), 1.0).diff(
        dim=0, prepend=torch.zeros(1, 4)
    )
    torch.testing.assert_close(sizes[0, 2:] - sizes[0, :2], torch.tensor([80.0, 80.0]))


def test_without_a_mask_then_or_now_the_box_stays():
    boxes = torch.tensor([[40.0, 20.0, 80.0, 60.0], [-30.0, 20.0, 10.0, 60.0]])
    mask_boxes = torch.tensor([[45.0, 30.0, 75.0, 60.0], [float("nan")] * 4])
    fit = MaskBoxFit(torch.zeros(2, 2), torch.ones(2, 2), torch.zeros(2, 2), torch.ones(2))
    assert torch.equal(blend_boxes(boxes, boxes_from_masks(mask_boxes, fit), 0.5)[1], boxes[1])
    assert torch.equal(
        blend_boxes(boxes, boxes_from_masks(mask_boxes, unknown_fit(boxes)), 0.5), boxes
    )


def test_the_fit_scales_boxes_by_no_more_than_two():
    initial = torch.tensor([[40.0, 20.0, 80.0, 60.0]])
    fit = fit_boxes_to_masks(initial, torch.tensor([[59.0, 39.0, 61.0, 41.0]]))
    assert fit.scales.tolist() == [[2, 2]]
    assert fit_boxes_to_masks(initial, torch.tensor([[0.0, 0.0, 10.0, 10.0]])).shifts.tolist() == [
        [0.5, 0.5]
    ]


# --- sizes


@pytest.fixture
def corrected():
    """Return the width and height of a box after frames whose masks have another size."""

    def run(factor: float, frames: int, *, confident: bool = True) -> list[float]:
        boxes = torch.tensor([[80.0, 40.0, 120.0, 60.0]])  # 40 x 20
        fit = MaskBoxFit(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, 2), torch.ones(1))
        center, half = torch.tensor([100.0, 50.0]), factor * torch.tensor([20.0, 10.0])
        mask_boxes = torch.cat((center - half, center + half))[None]
        for _ in range(frames):
            boxes = correct_sizes(boxes, fit, torch.tensor([confident]), 1.25, 0.2, FRAME)
            fit = update_fit(fit, boxes, boxes_from_masks(mask_boxes, fit), 0.3)
        torch.testing.assert_close((boxes[0, :2] + boxes[0, 2:]) / 2, center)
        return (boxes[0, 2:] - boxes[0, :2]).tolist()

    return run


@pytest.mark.parametrize("factor", [0.81, 1.0, 1.24])
def test_a_size_stays_where_masks_nearly_agree(corrected, factor):
    assert corrected(factor, 30) == [40, 20]


def test_a_size_follows_masks_that_disagree_for_long(corrected):
    assert corrected(1.6, 3)[0] == pytest.approx(40, rel=0.01)
    assert corrected(1.6, 60)[0] == pytest.approx(1.6 / 1.25 * 40, rel=0.05)
    assert corrected(0.6, 60)[1] == pytest.approx(0.6 * 1.25 * 20, rel=0.05)


def test_the_size_of_an_uncertain_target_stays(corrected):
    assert corrected(1.6, 30, confident=False) == [40, 20]


def test_a_frame_without_a_mask_keeps_the_drift():
    fit = MaskBoxFit(torch.zeros(1, 2), torch.ones(1, 2), torch.full((1, 2), 0.3), torch.ones(1))
    nothing = torch.full((1, 4), torch.nan)
    boxes = torch.tensor([[80.0, 40.0, 120.0, 60.0]])
    assert torch.equal(
        update_fit(fit, boxes, boxes_from_masks(nothing, fit), 0.3).size_drift, fit.size_drift
    )


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_lies_in_0_to_1(weight):
    with pytest.raises(ValueError, match="box_weight must lie in"):
        MaskConfig(box_weight=weight)
