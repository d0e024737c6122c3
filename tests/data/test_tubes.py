"""Tubes of made videos, whose targets are known."""

import numpy as np
import pytest

from cyclesiam.data.tubes import MASK_SIDE, Tube, TubeConfig, find_tubes
from cyclesiam.geometry.masks import mask_to_box
from support.tubes import HEIGHT, WIDTH, make_video, texture

SIDE = 32


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = np.maximum(sides, 0).prod()
    return shared / ((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared)


def square(x: int, y: int) -> np.ndarray:
    return np.array([x, y, x + SIDE, y + SIDE], float)


def crossing(number: int) -> tuple[int, int]:
    return 20 + 4 * number, 30 + number


def test_a_square_that_moves_over_a_panning_background_is_one_tube():
    (tube,) = find_tubes(make_video(crossing))
    assert len(tube) >= 20
    truth = [square(*crossing(tube.first + number)) for number in range(len(tube))]
    overlaps = [overlap(box, true) for box, true in zip(tube.boxes, truth, strict=True)]
    assert min(overlaps) > 0.6
    assert tube.masks.shape == (len(tube), MASK_SIDE, MASK_SIDE)
    assert tube.masks.mean() > 0.8  # a square fills its box


def test_a_tube_counts_frames_from_the_first_of_a_long_video(monkeypatch):
    monkeypatch.setattr("cyclesiam.data.tubes.SEGMENT", 14)
    tubes = find_tubes(make_video(crossing), TubeConfig(min_length=8))
    assert [tube.first // 14 for tube in tubes] == [0, 1]
    for tube in tubes:
        assert overlap(tube.boxes[0], square(*crossing(tube.first))) > 0.6


def test_a_square_that_rests_is_no_tube():
    assert find_tubes(make_video(lambda number: (100 - number, 50))) == []  # it pans, too


def test_leaves_are_no_tube():
    """Many small squares that swing are no target, nor is one of them."""
    rng = np.random.default_rng(0)
    starts, phases = rng.integers(10, 120, (3, 2)), rng.uniform(0, 6, 3)

    def swing(start, phase):
        return lambda number: (
            int(start[0] + 5 * np.sin(number + phase)),
            int(start[1] + 5 * np.cos(1.3 * number + phase)),
        )

    paths = [swing(start, phase) for start, phase in zip(starts, phases, strict=True)]
    assert find_tubes(make_video(*paths, side=16)) == []


def test_noise_is_no_tube():
    frames = [texture(number, HEIGHT, WIDTH, (120, 120, 120)) for number in range(24)]
    assert find_tubes(frames) == []


def test_a_tube_ends_at_the_border():
    """The square leaves the frame to the right."""
    video = make_video(lambda number: (110 + 3 * number, 50))
    (tube,) = find_tubes(video)
    last = tube.first + len(tube) - 1
    assert 110 + 3 * last + SIDE <= WIDTH
    assert (tube.boxes[:, 2] < WIDTH).all()


def test_two_squares_that_merge_are_never_one_tube():
    """They meet, pass, and part; no box may hold both."""
    tubes = find_tubes(
        make_video(lambda n: (20 + 4 * n, 50), lambda n: (165 - 4 * n, 54)),
        TubeConfig(min_length=8),
    )
    assert tubes
    for tube in tubes:
        assert (tube.boxes[:, 2] - tube.boxes[:, 0]).max() < 1.6 * SIDE


def test_a_still_scene_and_a_short_one_have_no_tube():
    assert find_tubes([texture(0, HEIGHT, WIDTH, (90, 90, 90))] * 16) == []
    assert find_tubes(make_video(crossing)[:5]) == []
    assert find_tubes([]) == []


def test_a_mask_comes_back_where_its_box_is():
    grid = np.ones((1, MASK_SIDE, MASK_SIDE), bool)
    tube = Tube(0, np.array([[20, 10, 52, 42]], np.float32), grid)
    mask = tube.mask_in(0, (60, 80))
    assert mask.shape == (60, 80)
    np.testing.assert_array_equal(mask_to_box(mask > 127), [20, 10, 52, 42])


@pytest.mark.parametrize("wrong", [{"min_length": 1}, {"max_area": 2.0}, {"max_growth": 0.5}])
def test_wrong_configs_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        TubeConfig(**wrong)
