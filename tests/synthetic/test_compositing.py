import numpy as np
import pytest

from cyclesiam.geometry.crops import boxes_to_crop, context_windows, crop
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import (
    CompositingConfig,
    composite,
    paste_layers,
    random_cutout,
    random_path,
    random_shape,
    sample_layers,
)
from cyclesiam.synthetic.sprites import (
    SPRITE_FILL,
    Deformation,
    Pose,
    Sprite,
    paste_sprite,
    warp_sprite,
)
from support.media import textured

ALONE = CompositingConfig(max_distractors=0, deformation=0, color=0)


def gray_frames(count=3, height=120, width=160):
    return [np.full((height, width, 3), 90, np.uint8) for _ in range(count)]


def donors():
    return [np.full((80, 100, 3), 250, np.uint8), textured(3, 90, 90)]


@pytest.mark.parametrize("seed", range(8))
def test_the_box_is_the_bounds_of_what_was_pasted(seed):
    frames, boxes, _ = composite(gray_frames(), donors(), np.random.default_rng(seed), ALONE)
    for frame, box in zip(frames, boxes, strict=True):
        np.testing.assert_allclose(mask_to_box(frame[..., 0] > 170), box, atol=1)


@pytest.mark.parametrize("seed", range(8))
def test_distractors_never_change_the_box(seed):
    """The target keeps its whole box, whatever passes in front of it."""
    busy = CompositingConfig(max_distractors=6, deformation=0, color=0)
    frames, boxes, _ = composite(gray_frames(1), donors(), np.random.default_rng(seed), busy)
    assert np.isfinite(boxes).all()
    assert frames[0].shape == (120, 160, 3)


def test_frames_and_donors_stay_as_they_are():
    frames, images = gray_frames(), donors()
    before = [frame.copy() for frame in [*frames, *images]]
    results, *_ = composite(frames, images, np.random.default_rng(0), CompositingConfig())
    for old, now in zip(before, [*frames, *images], strict=True):
        np.testing.assert_array_equal(old, now)
    assert any((new != old).any() for new, old in zip(results, frames, strict=True))


def test_a_target_moves_and_grows_as_configured():
    still = CompositingConfig(
        max_distractors=0, deformation=0, color=0, shift=0, scale=0, rotation=0
    )
    _, boxes, _ = composite(gray_frames(4), donors(), np.random.default_rng(1), still)
    np.testing.assert_array_equal(boxes, np.tile(boxes[0], (4, 1)))
    _, boxes, _ = composite(gray_frames(4), donors(), np.random.default_rng(1), ALONE)
    assert (np.abs(np.diff(boxes, axis=0)).max(axis=1) > 0.5).all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("side", [24, 61, 128])
def test_a_shape_spans_its_ratio_of_the_sprite(seed, side):
    alpha = random_shape(side, np.random.default_rng(seed))
    assert alpha.shape == (side, side)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    x0, y0, x1, y1 = mask_to_box(alpha > 0.25) / side
    assert (x1 - x0, y1 - y0) == pytest.approx((SPRITE_FILL, SPRITE_FILL), abs=3 / side)


def test_a_pose_places_a_sprite():
    sprite = Sprite(np.full((32, 32, 3), 200, np.uint8), np.ones((32, 32), np.float32))
    frame = np.zeros((60, 80, 3), np.uint8)
    box = paste_sprite(frame, sprite, Pose(np.array([40.0, 30.0]), np.array([20.0, 10.0]), 0.0))
    np.testing.assert_allclose(box, [30, 25, 50, 35])
    assert (frame[26:34, 31:49] == 200).all()
    turned = np.zeros((60, 80, 3), np.uint8)
    box = paste_sprite(
        turned, sprite, Pose(np.array([40.0, 30.0]), np.array([20.0, 10.0]), np.pi / 2)
    )
    np.testing.assert_allclose(box, [35, 20, 45, 40], atol=1)


def test_a_sprite_that_left_the_frame_has_no_box():
    sprite = Sprite(np.full((32, 32, 3), 200, np.uint8), np.ones((32, 32), np.float32))
    frame = np.zeros((60, 80, 3), np.uint8)
    assert np.isnan(
        paste_sprite(frame, sprite, Pose(np.array([200.0, 30.0]), np.full(2, 20.0), 0.0))
    ).all()
    assert not frame.any()


def test_a_donor_may_be_tiny():
    assert random_cutout(textured(0, 9, 12), 40, np.random.default_rng(0)).pixels.shape == (
        40,
        40,
        3,
    )


def test_the_same_seed_gives_the_same_clip():
    one, other = (
        composite(gray_frames(), donors(), np.random.default_rng(4), CompositingConfig())
        for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    "wrong", [{"probability": 1.5}, {"min_size": 0.0}, {"min_size": 0.5, "max_size": 0.4}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        CompositingConfig(**wrong)


def test_layers_are_pasted_as_the_formula_says():
    """Each pixel moves to the sprite's by its alpha; fractions are cut off, layer by layer."""
    rng, images = np.random.default_rng(7), donors()
    layers = sample_layers(2, (90, 120), images, rng, CompositingConfig(max_distractors=5))
    assert {layer.role for layer in layers} == {"behind", "target", "front"}
    made = paste_layers(gray_frames(2, 90, 120), layers)
    for time, frame in enumerate(gray_frames(2, 90, 120)):
        mask = np.zeros(frame.shape[:2], np.float32)
        for layer in layers:
            sprite = layer.deformations[time].apply(layer.sprite.resized())
            patch = warp_sprite(sprite, layer.poses[time], (90, 120))
            if patch is None:
                continue
            height, width = patch.alpha.shape
            at = np.s_[patch.top : patch.top + height, patch.left : patch.left + width]
            change = patch.pixels.astype(np.float32) - frame[at]
            frame[at] = (frame[at] + change * patch.alpha[..., None]).astype(np.uint8)
            if layer.role != "behind":
                mask[at] += ((layer.role == "target") - mask[at]) * patch.alpha
        np.testing.assert_array_equal(made.frames[time], frame)
        np.testing.assert_array_equal(made.masks[time], mask > 0.5)


def test_a_deformation_multiplies_colors_and_cuts_fractions_off():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    gain = np.array([0.83, 1.0, 1.31], np.float32)
    still = Deformation(np.zeros((4, 4, 2), np.float32), gain)
    lit = still.apply(Sprite(pixels, np.ones((40, 40), np.float32))).pixels
    np.testing.assert_array_equal(lit, np.clip(pixels * gain, 0, 255).astype(np.uint8))


def test_a_shear_leans_a_sprite_and_keeps_its_area():
    sprite = Sprite(np.full((32, 32, 3), 200, np.uint8), np.ones((32, 32), np.float32))
    frame = np.zeros((60, 80, 3), np.uint8)
    center, size = np.array([40.0, 30.0]), np.array([20.0, 20.0])
    box = paste_sprite(frame, sprite, Pose(center, size, 0.0, shear=0.5))
    np.testing.assert_allclose(box, [25, 20, 55, 40], atol=1)  # half of the height wider
    assert (frame[..., 0] / 200).sum() == pytest.approx(400, rel=0.05)
    top, bottom = (np.flatnonzero(frame[row, :, 0] > 100).mean() for row in (21, 38))
    assert bottom - top == pytest.approx(0.5 * 17, abs=0.6)


def test_a_target_leans_more_from_frame_to_frame():
    rng = np.random.default_rng(0)
    paths = [random_path(3, (120, 160), rng, CompositingConfig(shear=0.2)) for _ in range(400)]
    leaning = np.array([[pose.shear for pose in path] for path in paths])
    assert not leaning[:, 0].any()
    assert leaning[:, 1].std() == pytest.approx(0.2, rel=0.15)
    np.testing.assert_allclose(leaning[:, 2], 2 * leaning[:, 1])


@pytest.mark.parametrize("seed", range(4))
def test_a_target_of_eight_pixels_has_its_box_and_can_be_searched(seed):
    tiny = CompositingConfig(min_size=8 / 120, max_size=8 / 120, max_distractors=0)
    frames, boxes, masks = composite(gray_frames(1), donors(), np.random.default_rng(seed), tiny)
    side = np.sqrt((boxes[0, 2:] - boxes[0, :2]).prod())
    assert 5 < side < 12
    np.testing.assert_allclose(mask_to_box(masks[0]), boxes[0])
    windows = context_windows(boxes)
    crops = crop(frames[0].transpose(2, 0, 1)[None], windows, 127)
    in_crop = boxes_to_crop(boxes, windows, 127)
    assert 48 < np.sqrt((in_crop[0, 2:] - in_crop[0, :2]).prod()) < 64.5  # 63.5 for a square
    shown = mask_to_box(abs(crops[0, 0] - 90) > 80)
    np.testing.assert_allclose(shown, in_crop[0], atol=127 / windows[0, 2])  # a pixel of the frame


def test_an_impossible_shear_is_refused():
    with pytest.raises(ValueError, match="shear must be 0 or more"):
        CompositingConfig(shear=-0.1)
