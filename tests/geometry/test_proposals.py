import math

import pytest
import torch

from cyclesiam.geometry.proposals import (
    Proposals,
    SelectionConfig,
    context_size,
    cosine_window,
    select_proposals,
    size_change_penalty,
)

CROP = 255
FREE = SelectionConfig(size_penalty=0, window_influence=0, size_smoothing=1)


def square(cx, cy, side):
    return [cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2]


def test_context_size_by_hand():
    # p = (20 + 40) / 2 = 30, sqrt(50 * 70)
    assert context_size(torch.tensor([20.0, 40.0])).item() == pytest.approx(math.sqrt(3500))


@pytest.mark.parametrize(
    ("size", "change"),
    [
        ((40, 40), 1.0),
        ((80, 80), 2.0),  # twice the scale
        ((20, 20), 2.0),  # half counts as much as twice
        # p = 50, scale sqrt(70 * 130) / 80, shape 4
        ((20, 80), math.sqrt(70 * 130) / 80 * 4),
        ((80, 20), math.sqrt(70 * 130) / 80 * 4),
    ],
)
def test_size_change_penalty_by_hand(size, change):
    factor = size_change_penalty(torch.tensor(size).float(), torch.tensor([40.0, 40.0]), 0.1)
    assert factor.item() == pytest.approx(math.exp(-0.1 * (change - 1)))


def test_strength_zero_gives_no_penalty():
    sizes = torch.tensor([[1.0, 200.0], [40.0, 40.0]])
    assert size_change_penalty(sizes, torch.tensor([40.0, 40.0]), 0).tolist() == [1, 1]


def test_the_cosine_window_by_hand():
    centers = torch.tensor([[127.5, 127.5], [0, 127.5], [127.5 / 2, 127.5], [-50, 300]])
    expected = torch.tensor([1.0, 0.0, 0.5, 0.0])
    torch.testing.assert_close(cosine_window(centers, CROP), expected, atol=1e-6, rtol=0)


def test_without_penalty_and_window_the_best_score_wins():
    boxes = torch.tensor([[square(20, 20, 300), square(127, 127, 40)]])
    selection = select_proposals(
        Proposals(boxes, torch.tensor([[0.9, 0.8]])), torch.tensor([[40.0, 40]]), CROP, FREE
    )
    assert selection.index.tolist() == [0]
    assert selection.scores.tolist() == pytest.approx([0.9])


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ({"size_penalty": 0, "window_influence": 0.0}, 0),  # 0.9 is best
        # 0.9 e^(-0.5 (2 - 1)) = 0.546 against 0.7 and 0.6
        ({"size_penalty": 0.5, "window_influence": 0.0}, 1),
        # 0.5 * 0.7 + 0.5 * 0 against 0.5 * 0.6 + 0.5 * 1; the first 0.45 + 0.5 * 0.5 = 0.7
        ({"size_penalty": 0, "window_influence": 0.5}, 2),
    ],
)
def test_penalty_and_window_by_hand(config, chosen):
    boxes = torch.tensor(
        [[square(127.5 / 2, 127.5, 80), square(0, 127.5, 40), square(127.5, 127.5, 40)]]
    )
    proposals = Proposals(boxes, torch.tensor([[0.9, 0.7, 0.6]]))
    selection = select_proposals(
        proposals, torch.tensor([[40.0, 40.0]]), CROP, SelectionConfig(**config)
    )
    assert selection.index.tolist() == [chosen]
    torch.testing.assert_close(selection.boxes, boxes[:, chosen])


def test_a_batch_is_selected_row_by_row():
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(3, 50, 2, generator=generator) * 200
    size = torch.rand(3, 50, 2, generator=generator) * 60 + 5
    boxes = torch.cat((corner, corner + size), dim=-1)
    scores = torch.rand(3, 50, generator=generator)
    last = torch.tensor([[20.0, 30], [50, 50], [9, 60]])
    together = select_proposals(Proposals(boxes, scores), last, CROP, SelectionConfig())
    for b in range(3):
        row = slice(b, b + 1)
        alone = select_proposals(
            Proposals(boxes[row], scores[row]), last[row], CROP, SelectionConfig()
        )
        assert alone.index[0] == together.index[b]
        torch.testing.assert_close(alone.penalty[0], together.penalty[b])


@pytest.mark.parametrize(
    "invalid", [{"size_penalty": -1}, {"window_influence": 1.1}, {"size_smoothing": -0.1}]
)
def test_invalid_configs_are_refused(invalid):
    with pytest.raises(ValueError, match=next(iter(invalid))):
        SelectionConfig(**invalid)
