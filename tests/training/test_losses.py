import math

import pytest
import torch

from cyclesiam.training.anchor_labels import IGNORE, NEGATIVE, POSITIVE
from cyclesiam.training.losses import (
    BOX_WEIGHT,
    MASK_WEIGHT,
    WeightedSum,
    box_loss,
    giou_loss,
    mask_loss,
    score_loss,
    total_loss,
)

ONE = torch.ones(1)


def test_equation_5_by_hand():
    # smooth L1, beta 1: 0.5 d^2 up to 1, d - 0.5 beyond; summed over four coordinates
    offsets = torch.tensor([[[0.0, 0.5, -1.0, 3.0], [9.0, 9, 9, 9]]])
    expected = torch.zeros(1, 2, 4)
    labels = torch.tensor([[POSITIVE, NEGATIVE]])
    loss = box_loss(offsets, expected, labels, ONE).mean
    assert loss.item() == pytest.approx(0.125 + 0.5 + 2.5)


def test_equation_6_by_hand():
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)], [50.0, -50.0]]])
    labels = torch.tensor([[POSITIVE, NEGATIVE, IGNORE]])  # p = 3/4, 1/4, ignored
    loss = score_loss(logits, labels, ONE).mean
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_equation_7_by_hand():
    assert BOX_WEIGHT == 1.0  # the paper's lambda 1
    logits = torch.zeros(1, 1, 2)
    offsets = torch.full((1, 1, 4), 2.0)
    labels = torch.tensor([[POSITIVE]])
    expected = torch.zeros(1, 1, 4)
    losses = total_loss(score_loss(logits, labels, ONE), box_loss(offsets, expected, labels, ONE))
    assert losses.score.item() == pytest.approx(math.log(2))
    assert losses.box.item() == pytest.approx(6.0)
    assert losses.total.item() == pytest.approx(math.log(2) + 6.0)


def test_equation_8_by_hand():
    """log(1 + exp(-c m)), c of 1 and -1, averaged over the pixels, then over masks."""
    logits = torch.tensor([[[0.0, math.log(3)], [-math.log(3), 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = torch.tensor([[[1.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    first = (math.log(2) + math.log(4 / 3) + math.log(4) + math.log(2)) / 4
    loss = mask_loss(logits, expected, torch.ones(2)).mean
    assert loss.item() == pytest.approx((first + math.log(2)) / 2)
    first_only = mask_loss(logits, expected, torch.tensor([1.0, 0.0])).mean
    assert first_only.item() == pytest.approx(first)


def test_equation_9_by_hand():
    assert MASK_WEIGHT == 30.0  # the paper's lambda 2
    one, two, three = (WeightedSum(torch.tensor(n), torch.tensor(2.0)) for n in (2.0, 4.0, 6.0))
    losses = total_loss(one, two, three)
    assert losses.total.item() == pytest.approx(1 + 2 + 30 * 3)
    assert losses.mask.item() == 3
    assert total_loss(one, two).total.item() == 3


def test_images_count_by_their_weight():
    labels = torch.full((2, 1), POSITIVE)
    offsets = torch.tensor([[[1.5, 0, 0, 0]], [[2.5, 0, 0, 0]]])  # losses 1 and 2
    weights = torch.tensor([1.0, 0.25])
    loss = box_loss(offsets, torch.zeros(2, 1, 4), labels, weights).mean
    assert loss.item() == pytest.approx((1 * 1 + 0.25 * 2) / 1.25)
    logits = torch.tensor([[[0.0, 0.0]], [[0.0, math.log(3)]]])
    expected = (math.log(2) + 0.25 * math.log(4 / 3)) / 1.25
    assert score_loss(logits, labels, weights).mean.item() == pytest.approx(expected)


def test_the_giou_loss_by_hand():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [10, 10, 20, 20], [3, 3, 9, 9]]], requires_grad=True)
    labels = torch.tensor([[POSITIVE, POSITIVE, NEGATIVE]])
    loss = giou_loss(boxes, torch.tensor([[0.0, 0, 10, 10]]), labels, ONE).mean
    assert loss.item() == pytest.approx((0 + 1.5) / 2)
    loss.backward()
    assert boxes.grad is not None
    assert (boxes.grad[0, 1, :2] > 0).all()  # a box that misses the target is drawn to it
    assert not boxes.grad[0, 2].any()


def test_an_image_of_no_weight_has_no_gradient():
    logits = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([[POSITIVE, NEGATIVE, IGNORE]] * 2)
    score_loss(logits, labels, torch.tensor([1.0, 0.0])).mean.backward()
    assert logits.grad is not None
    assert logits.grad[0, :2].all()
    assert not logits.grad[0, 2].any()
    assert not logits.grad[1].any()


@pytest.mark.parametrize(
    ("labels", "weight"), [([IGNORE, IGNORE], 1.0), ([POSITIVE, NEGATIVE], 0.0)]
)
def test_without_labels_or_weight_the_loss_is_zero(labels, weight):
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    offsets = torch.ones(1, 2, 4, requires_grad=True)
    weights = torch.tensor([weight])
    rows, expected = torch.tensor([labels]), torch.zeros(1, 2, 4)
    losses = total_loss(
        score_loss(logits, rows, weights), box_loss(offsets, expected, rows, weights)
    )
    assert losses.total.item() == 0
    losses.total.backward()
    assert logits.grad is not None
    assert not logits.grad.any()
