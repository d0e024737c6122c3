import numpy as np
import pytest
import torch

from cyclesiam.geometry.masks import Mask, fill_box
from cyclesiam.tracking.mask_boxes import MaskFit, bulk_extents, fit_boxes, heed_masks, no_fit
from cyclesiam.tracking.segmentation import MaskConfig

FRAME = (100, 200)


def test_the_extent_of_a_filled_box_leaves_out_a_hundredth_on_each_side():
    found = bulk_extents([fill_box((40, 20, 140, 70), FRAME)])
    np.testing.assert_allclose(found, [[41, 20.5, 139, 69.5]], rtol=1e-5)


def test_a_few_pixels_far_away_hardly_count():
    pixels = np.zeros(FRAME, bool)
    pixels[20:70, 40:140] = True
    before = bulk_extents([Mask.from_array(pixels)])
    pixels[95, 195:] = True  # 5 of 5,000
    after = bulk_extents([Mask.from_array(pixels)])
    np.testing.assert_allclose(after, before, atol=0.2)


def test_of_no_mask_and_an_empty_one_nothing_is_known():
    empty = Mask(0, 0, np.zeros((0, 0), bool), FRAME)
    assert np.isnan(bulk_extents([None, empty])).all()


def test_where_masks_change_boxes_change_likewise():
    given = torch.tensor([[40.0, 20.0, 80.0, 60.0]])
    extents = torch.tensor([[45.0, 30.0, 75.0, 60.0]])  # the box reaches further up
    fit = fit_boxes(given, extents)
    torch.testing.assert_close(heed_masks(given, extents, fit, 1.0, FRAME), given)
    moved = extents + torch.tensor([10.0, 5.0, 10.0, 5.0])
    expected = torch.tensor([[50.0, 25.0, 90.0, 65.0]])
    torch.testing.assert_close(heed_masks(given, moved, fit, 1.0, FRAME), expected)
    half = heed_masks(given, moved, fit, 0.5, FRAME)
    torch.testing.assert_close(half, (given + expected) / 2)
    twice = torch.tensor([[45.0, 30.0, 105.0, 90.0]])
    sizes = heed_masks(given, twice, fit, 1.0, FRAME).diff(dim=0, prepend=torch.zeros(1, 4))
    torch.testing.assert_close(sizes[0, 2:] - sizes[0, :2], torch.tensor([80.0, 80.0]))


def test_without_a_mask_then_or_now_the_box_stays():
    boxes = torch.tensor([[40.0, 20.0, 80.0, 60.0], [-30.0, 20.0, 10.0, 60.0]])
    extents = torch.tensor([[45.0, 30.0, 75.0, 60.0], [float("nan")] * 4])
    fit = MaskFit(torch.zeros(2, 2), torch.ones(2, 2))
    assert torch.equal(heed_masks(boxes, extents, fit, 0.5, FRAME)[1], boxes[1])
    assert torch.equal(heed_masks(boxes, extents, no_fit(boxes), 0.5, FRAME), boxes)


def test_a_mask_of_something_else_changes_boxes_by_no_more_than_twice():
    given = torch.tensor([[40.0, 20.0, 80.0, 60.0]])
    fit = fit_boxes(given, torch.tensor([[59.0, 39.0, 61.0, 41.0]]))
    assert fit.scales.tolist() == [[2, 2]]
    assert fit_boxes(given, torch.tensor([[0.0, 0.0, 10.0, 10.0]])).shifts.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_lies_in_0_to_1(share):
    with pytest.raises(ValueError, match="box_share must lie in"):
        MaskConfig(box_share=share)
