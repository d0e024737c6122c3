import pytest
import torch

from cyclesiam.geometry.anchors import AnchorConfig, make_anchors
from cyclesiam.geometry.boxes import box_iou, cxcywh_to_xyxy
from cyclesiam.training.anchor_labels import (
    IGNORE,
    NEGATIVE,
    POSITIVE,
    AnchorLabelConfig,
    label_anchors,
    subsample_labels,
)

RNG = torch.Generator()


@pytest.mark.parametrize(
    ("anchor", "label"),
    [
        ([50, 50, 40, 40], POSITIVE),  # the target itself
        ([55, 50, 40, 40], POSITIVE),  # 35 / 45 = 0.78
        ([60, 50, 40, 40], IGNORE),  # 30 / 50 = 0.6, not above it
        ([70, 50, 40, 40], IGNORE),  # 20 / 60 = 0.33
        ([72, 50, 40, 40], NEGATIVE),  # 18 / 62 = 0.29
        ([200, 50, 40, 40], NEGATIVE),
        ([50, 50, 80, 80], NEGATIVE),  # 1 / 4
    ],
)
def test_labels_by_hand(anchor, label):
    targets = torch.tensor([[30.0, 30.0, 70.0, 70.0]])
    labels = label_anchors(torch.tensor([anchor]).float(), targets, AnchorLabelConfig())
    assert labels.tolist() == [[label]]


def test_each_image_has_its_own_labels():
    anchors = torch.from_numpy(make_anchors(AnchorConfig(), 25, 255))
    targets = torch.tensor([[95.0, 95, 160, 160], [10, 10, 60, 90], [-90, -90, -30, -30]])
    labels = label_anchors(anchors, targets, AnchorLabelConfig())
    assert labels.shape == (3, len(anchors))
    for b in range(3):
        for n in range(0, len(anchors), 97):
            iou = box_iou(cxcywh_to_xyxy(anchors[n]), targets[b])
            expected = POSITIVE if iou > 0.6 else NEGATIVE if iou < 0.3 else IGNORE
            assert labels[b, n] == expected
    assert (labels[0] == POSITIVE).any()
    assert not (labels[2] == POSITIVE).any()


def test_a_target_of_another_size_than_all_anchors_has_positives_at_the_nearest():
    anchors = torch.from_numpy(make_anchors(AnchorConfig(), 25, 255))
    small = torch.tensor([[107.5, 107.5, 147.5, 147.5]])  # 40 px; the anchors have 64: IoU 0.39
    strict = label_anchors(anchors, small, AnchorLabelConfig())
    assert not (strict == POSITIVE).any()
    labels = label_anchors(anchors, small, AnchorLabelConfig(low_quality_ratio=0.8))[0]
    iou = box_iou(cxcywh_to_xyxy(anchors), small)
    assert torch.equal(labels == POSITIVE, iou > 0.8 * iou.max())
    assert torch.equal(labels == NEGATIVE, (iou < 0.3) & (labels != POSITIVE))


def test_the_nearest_anchors_do_not_raise_the_threshold():
    anchors = torch.from_numpy(make_anchors(AnchorConfig(), 25, 255))
    exact = torch.tensor([[95.5, 95.5, 159.5, 159.5]])
    wide = label_anchors(anchors, exact, AnchorLabelConfig(low_quality_ratio=0.8))
    assert torch.equal(wide, label_anchors(anchors, exact, AnchorLabelConfig()))


def subsample(labels, config, scores=None):
    scores = torch.zeros(labels.shape) if scores is None else scores
    return subsample_labels(labels, scores, config, RNG.manual_seed(0))


def make_labels(objects, backgrounds, ignored):
    row = [POSITIVE] * objects + [NEGATIVE] * backgrounds + [IGNORE] * ignored
    order = torch.randperm(len(row), generator=torch.Generator().manual_seed(1))
    return torch.tensor([row])[:, order]


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        ((100, 1000, 50), (16, 48)),
        ((5, 1000, 50), (5, 48)),  # fewer positives are not made up for
        ((100, 7, 50), (16, 7)),
        ((0, 0, 50), (0, 0)),
        ((3, 0, 0), (3, 0)),
    ],
)
def test_few_anchors_are_used(there, kept):
    labels = make_labels(*there)
    sampled = subsample(labels, AnchorLabelConfig())
    counts = [(sampled == label).sum().item() for label in (POSITIVE, NEGATIVE)]
    assert tuple(counts) == kept
    taught = sampled != IGNORE
    assert torch.equal(sampled[taught], labels[taught])  # none changes sides


def test_the_draw_is_random_and_repeatable():
    labels = make_labels(100, 1000, 0)
    first, again = subsample(labels, AnchorLabelConfig()), subsample(labels, AnchorLabelConfig())
    assert torch.equal(first, again)
    other = subsample_labels(
        labels, torch.zeros(labels.shape), AnchorLabelConfig(), RNG.manual_seed(1)
    )
    assert not torch.equal(first, other)


def test_hard_negatives_have_the_highest_scores():
    labels = torch.full((1, 1000), NEGATIVE)
    labels[0, :3] = POSITIVE
    scores = torch.rand(1, 1000, generator=torch.Generator().manual_seed(5))
    sampled = subsample(labels, AnchorLabelConfig(hard_negative_ratio=0.5), scores)
    worst = scores.masked_fill(labels == POSITIVE, -1).topk(24).indices
    assert (sampled.gather(1, worst) == NEGATIVE).all()
    count = (sampled == NEGATIVE).sum().item()
    assert 24 + 1 < count <= 48  # of the others, the random draw may have drawn some twice
    assert (sampled[0, :3] == POSITIVE).all()  # high scores do not make positives hard


def test_rows_are_drawn_apart():
    labels = torch.cat((make_labels(100, 1000, 0), make_labels(0, 1100, 0)))
    sampled = subsample(labels, AnchorLabelConfig())
    assert (sampled == POSITIVE).sum(dim=1).tolist() == [16, 0]
    assert (sampled == NEGATIVE).sum(dim=1).tolist() == [48, 48]


@pytest.mark.parametrize(
    "wrong",
    [
        {"positive_iou": 0.2},
        {"negative_iou": -0.1},
        {"max_positives": 0},
        {"max_negatives": 0},
        {"hard_negative_ratio": 1.5},
    ],
)
def test_impossible_labels_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must (hold|be)"):
        AnchorLabelConfig(**wrong)
