import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.geometry.boxes import (
    MAX_LOG_SCALE,
    box_area,
    box_iou,
    clip_boxes_to_frame,
    cxcywh_to_xyxy,
    decode_boxes,
    encode_boxes,
    generalized_box_iou,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)

ANCHOR = torch.tensor([10.0, 20.0, 8.0, 4.0])  # cxcywh

positions = st.floats(-500, 500, width=32)
sizes = st.floats(1, 300, width=32)
boxes_xywh = st.tuples(positions, positions, sizes, sizes).map(torch.tensor)


@given(boxes_xywh)
def test_formats_invert_each_other(xywh):
    xyxy = xywh_to_xyxy(xywh)
    torch.testing.assert_close(xyxy_to_xywh(xyxy), xywh, rtol=0, atol=1e-3)
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(xyxy)), xyxy, rtol=0, atol=1e-3)


def test_formats_of_a_known_box():
    xyxy = torch.tensor([10.0, 20.0, 40.0, 30.0])
    assert xyxy_to_xywh(xyxy).tolist() == [10, 20, 30, 10]
    assert xyxy_to_cxcywh(xyxy).tolist() == [25, 25, 30, 10]


@pytest.mark.parametrize(
    ("offsets", "box"),
    [
        ([0.0, 0.0, 0.0, 0.0], [10.0, 20.0, 8.0, 4.0]),  # no offset: the anchor itself
        ([0.5, -1.0, 0.0, 0.0], [14.0, 16.0, 8.0, 4.0]),  # shifts count in anchor sizes
        ([0.0, 0.0, 0.6931472, 0.0], [10.0, 20.0, 16.0, 4.0]),  # log 2 doubles the width
    ],
)
def test_decode_known_boxes(offsets, box):
    torch.testing.assert_close(decode_boxes(torch.tensor(offsets), ANCHOR), torch.tensor(box))


def test_decode_inverts_encode():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(5, 3, 4, generator=generator) + 0.5
    anchors = torch.rand(3, 4, generator=generator) + 0.5
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes)


def test_decode_stays_finite_for_an_untrained_network():
    assert decode_boxes(torch.full((4,), 1e4), ANCHOR).isfinite().all()
    widest = decode_boxes(torch.tensor([0, 0, 1e4, 0]), torch.tensor([0.0, 0, 16, 16]))
    assert widest[2].item() == pytest.approx(1000)
    assert pytest.approx(1000 / 16) == torch.tensor(MAX_LOG_SCALE).exp().item()


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 1 / 3),  # half of each, shared: 50 / 150
        ([0, 0, 5, 5], 1 / 4),
        ([10, 0, 20, 10], 0.0),  # they touch
        ([3, 3, 3, 3], 0.0),
        ([8, 8, 2, 2], 0.0),  # reversed corners are empty
    ],
)
def test_iou_of_known_boxes(other, iou):
    box = torch.tensor([0.0, 0, 10, 10])
    assert box_iou(box, torch.tensor(other).float()).item() == pytest.approx(iou)


def test_iou_of_two_empty_boxes_is_zero_not_nan():
    empty = torch.zeros(4)
    assert box_iou(empty, empty).item() == 0


@given(boxes_xywh, boxes_xywh, positions, positions, st.floats(0.25, 4))
def test_iou_is_symmetric_and_invariant_to_shift_and_scale(first, second, x, y, scale):
    first, second = xywh_to_xyxy(first.double()), xywh_to_xyxy(second.double())
    iou = box_iou(first, second)
    assert 0 <= iou.item() <= 1 + 1e-12
    torch.testing.assert_close(iou, box_iou(second, first))
    shift = torch.tensor([x, y, x, y], dtype=torch.float64)
    moved = box_iou((first + shift) * scale, (second + shift) * scale)
    torch.testing.assert_close(moved, iou, rtol=1e-6, atol=1e-6)


def test_iou_broadcasts():
    generator = torch.Generator().manual_seed(0)
    boxes = xywh_to_xyxy(torch.rand(3, 1, 4, generator=generator))
    others = xywh_to_xyxy(torch.rand(5, 4, generator=generator))
    table = box_iou(boxes, others)
    assert table.shape == (3, 5)
    assert table[2, 4] == box_iou(boxes[2, 0], others[4])


@pytest.mark.parametrize(
    ("other", "giou"),
    [
        ([0, 0, 10, 10], 1.0),
        ([5, 0, 15, 10], 1 / 3),  # nothing of the box around both is empty
        ([10, 10, 20, 20], -0.5),  # half of it is
        ([30, 0, 40, 10], -0.5),
        ([90, 0, 100, 10], -0.8),
    ],
)
def test_generalized_iou_of_known_boxes(other, giou):
    box = torch.tensor([0.0, 0, 10, 10])
    found = generalized_box_iou(box, torch.tensor(other).float())
    assert found.item() == pytest.approx(giou, abs=1e-6)


@given(boxes_xywh, boxes_xywh)
def test_generalized_iou_is_symmetric_and_at_most_the_iou(first, second):
    first, second = xywh_to_xyxy(first.double()), xywh_to_xyxy(second.double())
    giou = generalized_box_iou(first, second)
    assert -1 <= giou.item() <= box_iou(first, second).item() + 1e-9
    torch.testing.assert_close(giou, generalized_box_iou(second, first))


@given(boxes_xywh, st.integers(8, 400), st.integers(8, 400))
def test_a_clipped_box_has_its_center_and_size_within_the_frame(xywh, height, width):
    clipped = clip_boxes_to_frame(xywh_to_xyxy(xywh), (height, width))
    cx, cy, w, h = xyxy_to_cxcywh(clipped).tolist()
    assert -1e-3 <= cx <= width + 1e-3
    assert -1e-3 <= cy <= height + 1e-3
    assert 4 - 1e-3 <= w <= width + 1e-3
    assert 4 - 1e-3 <= h <= height + 1e-3
    torch.testing.assert_close(
        clip_boxes_to_frame(clipped, (height, width)), clipped, rtol=0, atol=1e-3
    )


def test_a_box_that_fits_is_not_changed():
    boxes = torch.tensor([[10.0, 10, 30, 40], [-5, -5, 15, 15], [0, 0, 100, 50]])
    torch.testing.assert_close(clip_boxes_to_frame(boxes, (50, 100)), boxes)


def test_area():
    boxes = torch.tensor([[0.0, 0, 3, 4], [3, 4, 0, 0], [0, 0, 3, 0]])
    assert box_area(boxes).tolist() == [12, 0, 0]
