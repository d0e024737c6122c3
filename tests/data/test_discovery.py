from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.data.discovery import (
    STRICT_DISCOVERY,
    DiscoveryConfig,
    contrast,
    discover_target,
    moving_regions,
    random_boxes,
    residual_motion,
)
from support.media import moving_square, textured

CONFIG = DiscoveryConfig()


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    intersection = np.clip(high - low, 0, None).prod()
    return intersection / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - intersection)


def pan(image, x, height=96, width=128):
    return np.ascontiguousarray(image[:height, x : x + width])


@given(st.integers(64, 400), st.integers(64, 400), st.integers(0, 2**32))
def test_random_boxes_lie_in_the_frame(height, width, seed):
    boxes = random_boxes((height, width), 20, np.random.default_rng(seed), CONFIG)
    assert boxes.shape == (20, 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= (width + 1e-9, height + 1e-9)).all()
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    assert (sides <= min(height, width) * CONFIG.max_size + 1e-9).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_a_moving_square_is_found():
    frames = moving_square(4, step=3)
    regions = moving_regions(frames[0], frames[3])
    truth = np.array([10.0, 30, 34, 54])
    assert max(iou(region, truth) for region in regions) > 0.4


def test_it_is_found_from_a_moving_camera():
    wide = textured(3, 96, 200)
    first, later = pan(wide, 30).copy(), pan(wide, 38).copy()
    square = 255 - textured(7, 24, 24)
    first[30:54, 50:74], later[30:54, 54:78] = square, square
    regions = moving_regions(first, later)
    assert max(iou(region, np.array([50.0, 30, 74, 54])) for region in regions) > 0.4


@pytest.mark.parametrize("shift", [0, 6])
def test_the_cameras_own_motion_is_no_target(shift):
    wide = textured(3, 96, 200)
    first, later = pan(wide, 30), pan(wide, 30 + shift)
    assert np.median(np.linalg.norm(residual_motion(first, later), axis=-1)) < 0.3
    assert len(moving_regions(first, first)) == 0


def test_a_moving_target_is_preferred():
    frames = moving_square(4, step=3)
    config = DiscoveryConfig(motion_probability=1.0)
    target = discover_target(frames[0], frames[3], np.random.default_rng(0), config).box
    assert iou(target, np.array([10.0, 30, 34, 54])) > 0.4


def test_contrast_prefers_what_stands_out():
    image = np.full((96, 128, 3), 90, np.uint8)
    image[40:64, 52:76] = 255 - textured(1, 24, 24)
    boxes = np.array([[52.0, 40, 76, 64], [4, 4, 28, 28], [90, 60, 114, 84], [44, 32, 84, 72]])
    scores = contrast(image, boxes)
    assert scores.argmax() == 0
    assert scores.shape == (4,)


def test_sharpness_decides_how_much_contrast_counts():
    image = np.full((96, 128, 3), 90, np.uint8)
    image[40:64, 52:76] = 255 - textured(1, 24, 24)
    truth = np.array([52.0, 40, 76, 64])

    def overlap(sharpness):
        config = DiscoveryConfig(contrast_sharpness=sharpness)
        draws = [
            discover_target(image, None, np.random.default_rng(seed), config).box
            for seed in range(30)
        ]
        return np.mean([iou(draw, truth) for draw in draws])

    assert overlap(6.0) > overlap(0.0) + 0.1


def test_the_same_seed_finds_the_same_target():
    frames = moving_square(4, step=3)
    draws = [
        discover_target(frames[0], frames[3], np.random.default_rng(5), CONFIG).box
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("size", [(64, 64), (65, 67), (64, 301)])
@pytest.mark.parametrize("kind", ["even", "textured", "noise"])
def test_any_frame_has_a_target(size, kind):
    rng = np.random.default_rng(0)
    first, later = {
        "even": lambda: [np.full((*size, 3), 90, np.uint8)] * 2,
        "textured": lambda: [textured(1, 80, 320)[: size[0], : size[1]], textured(2, *size)],
        "noise": lambda: list(rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)),
    }[kind]()
    later = np.resize(later, first.shape)
    for seed in range(4):
        x0, y0, x1, y1 = discover_target(first, later, np.random.default_rng(seed), CONFIG).box
        assert 0 <= x0 < x1 <= size[1]
        assert 0 <= y0 < y1 <= size[0]


def test_regions_from_both_sides_fit_better():
    frames = moving_square(7, step=3)
    truth = np.array([19.0, 30, 43, 54])
    one = moving_regions(frames[3], frames[6])
    both = moving_regions(frames[3], frames[4], frames[2])
    assert max(iou(region, truth) for region in both) > max(iou(region, truth) for region in one)


def test_motion_there_and_back_does_not_count():
    frames = moving_square(3, step=3)
    there_and_back = [frames[0], frames[1], frames[0]]
    assert len(moving_regions(frames[1], frames[0])) > 0
    assert len(moving_regions(there_and_back[1], there_and_back[2], there_and_back[0])) == 0


def test_fragments_are_merged():
    frames = [textured(0, 256, 320) for _ in range(3)]
    for t, frame in enumerate(frames):
        for top in (40, 112):  # head and legs of one that walks
            frame[top : top + 48, 80 + 6 * t : 152 + 6 * t] = 255 - textured(100, 48, 72)
    image, later, earlier = frames[1], frames[2], frames[0]
    apart = moving_regions(image, later, earlier)
    merged = moving_regions(image, later, earlier, DiscoveryConfig(merge_gap=0.3))
    assert len(merged) < len(apart)
    assert iou(merged[0], np.array([86.0, 40, 158, 160])) > 0.5


def test_motion_does_not_depend_on_frames_seen_before():
    frames = moving_square(4, step=3)
    before = residual_motion(frames[0], frames[3])
    residual_motion(textured(1, 64, 64), textured(2, 64, 64))
    np.testing.assert_array_equal(residual_motion(frames[0], frames[3]), before)


def test_a_reason_is_given():
    frames = moving_square(7, step=3)
    always = replace(STRICT_DISCOVERY, motion_probability=1.0)
    found = discover_target(
        frames[3],
        frames[6],
        np.random.default_rng(0),
        always,
        neighbors=(frames[2], frames[4]),
    )
    assert found.reason == "motion"
    assert iou(found.box, np.array([19.0, 30, 43, 54])) > 0.4
    still = discover_target(frames[3], None, np.random.default_rng(0), always)
    assert still.reason == "contrast"


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_candidates": 0},
        {"min_size": 0},
        {"max_size": 0.05},
        {"merge_gap": 1},
        {"min_motion_ratio": 2},
    ],
)
def test_impossible_targets_are_refused(wrong):
    with pytest.raises(ValueError, match=r"candidates|min_size|merge_gap"):
        DiscoveryConfig(**wrong)
