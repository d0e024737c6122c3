"""Objects of still images: segmented, cut out, pasted, shown where they are."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON, MASK_UNKNOWN
from cyclesiam.data.clips import (
    BatchRequest,
    ClipConfig,
    ClipDataset,
)
from cyclesiam.data.scenes import find_scenes
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import CompositingConfig, composite
from cyclesiam.synthetic.cutouts import ObjectBank, object_cutout, segment_object
from cyclesiam.synthetic.sprites import SPRITE_FILL
from support.media import moving_square, textured, write_image, write_video


def image_of(place, radii, ground=(60, 140, 70), thing=(200, 60, 60), size=(180, 240)):
    """A colored ellipse over a ground, both with a little noise; and its mask."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    mask = ((columns - place[0]) / radii[0]) ** 2 + ((rows - place[1]) / radii[1]) ** 2 < 1
    image = np.where(mask[..., None], thing, ground) + np.random.default_rng(0).normal(
        0, 6, (*size, 3)
    )
    return np.clip(image, 0, 255).astype(np.uint8), mask


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(("place", "radii"), [((120, 90), (50, 30)), ((100, 100), (25, 45))])
def test_an_object_in_the_middle_is_found(place, radii, tmp_path):
    image, mask = image_of(place, radii)
    found = ObjectBank().mask(tmp_path / "a", image)
    assert found is not None
    assert found.shape == mask.shape
    assert overlap(found > 0, mask) > 0.9


@pytest.mark.parametrize(
    ("place", "radii"),
    [
        ((120, 90), (8, 8)),  # too small
        ((120, 90), (118, 88)),  # as large as the image
        ((40, 40), (70, 70)),  # reaches the border on two sides
    ],
)
def test_what_may_be_no_whole_object_is_left(place, radii):
    assert segment_object(image_of(place, radii)[0]) is None


def test_several_things_are_no_object():
    image, _ = image_of((70, 90), (25, 30))
    other, mask = image_of((170, 90), (25, 30))
    image[mask] = other[mask]
    assert segment_object(image) is None


def test_an_empty_image_shows_none():
    assert segment_object(np.full((90, 120, 3), 128, np.uint8)) is None


def test_a_sprite_keeps_aspect_and_fills_its_ratio():
    image, mask = image_of((120, 90), (60, 30))
    sprite = object_cutout(image, mask)
    assert sprite.aspect == pytest.approx(2, rel=0.02)
    x0, y0, x1, y1 = mask_to_box(sprite.alpha > 0.5) / len(sprite.alpha)
    assert (x1 - x0, y1 - y0) == pytest.approx((SPRITE_FILL, SPRITE_FILL), abs=0.02)
    assert (sprite.pixels[sprite.alpha > 0.99][:, 0] > 150).mean() > 0.99  # the thing is red


def test_an_image_is_segmented_once(tmp_path, monkeypatch):
    from cyclesiam.synthetic import cutouts

    calls = []
    monkeypatch.setattr(cutouts, "segment_object", lambda *args: calls.append(args))
    bank = ObjectBank()
    assert [bank.mask(tmp_path / "a", textured(0)) for _ in range(3)] == [None] * 3
    assert bank.sprite(tmp_path / "a", textured(0)) is None
    assert len(calls) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_pasted_objects_mask_is_what_is_visible_of_it(seed):
    image, mask = image_of((120, 90), (60, 30))
    sprite = object_cutout(image, mask)
    plain = CompositingConfig(object_probability=1, max_distractors=0, deformation=0, color=0)
    frames = [np.full((120, 160, 3), 20, np.uint8)] * 2
    made = composite(
        frames, [textured(0), textured(1)], np.random.default_rng(seed), plain, objects=[sprite]
    )
    for frame, box, visible in zip(made.frames, made.boxes, made.masks, strict=True):
        assert overlap(visible, frame[..., 0] > 110) > 0.9
        np.testing.assert_allclose(mask_to_box(visible), box, atol=1.01)


def test_what_passes_before_a_target_is_not_its_own():
    config = CompositingConfig(max_distractors=6, lookalike_probability=0, deformation=0, color=0)
    frames = [np.full((120, 160, 3), 20, np.uint8)]
    donors = [np.full((80, 100, 3), 250, np.uint8), np.full((80, 100, 3), (0, 120, 0), np.uint8)]
    covered = 0
    for seed in range(12):
        made = composite(frames, donors, np.random.default_rng(seed), config)
        green = (made.frames[0][..., 0] < 10) & (made.frames[0][..., 1] > 100)
        assert not (made.masks[0] & green).any()
        covered += np.prod(np.diff(made.boxes[0].reshape(2, 2), axis=0)) > 2 * made.masks[0].sum()
    assert covered


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("objects")
    write_image(root / "thing.png", image_of((120, 90), (50, 30))[0])
    write_image(root / "nothing.png", textured(0, 180, 240))
    write_video(root / "street.mp4", moving_square(20))
    return find_scenes([str(root)])[0]


SMALL = ClipConfig(height=96, width=128, batch_size=4)


def test_clips_show_the_objects_of_stills_where_they_are(scenes):
    data = ClipDataset(scenes, replace(SMALL, object_probability=1.0), 0)
    batch = data[BatchRequest(0, 2, 3)]
    assert batch.boxes.isfinite().all()
    assert set(batch.names) == {"thing.png"}
    for frames, boxes, mask in zip(batch.frames, batch.boxes, batch.masks, strict=True):
        assert set(mask.unique().tolist()) <= {MASK_ON, MASK_OFF}
        on = mask.numpy() == MASK_ON
        red = frames[0].permute(1, 2, 0).numpy().astype(int)
        blurred = cv2.GaussianBlur(((red[..., 0] - red[..., 1]) > 40).astype(np.float32), (3, 3), 0)
        assert (blurred[on] > 0.4).mean() > 0.9
        np.testing.assert_allclose(mask_to_box(on), boxes[0].numpy(), atol=1e-3)


def test_masks_are_known_where_clips_are_made(scenes):
    made = ClipDataset(scenes, replace(SMALL, compositing=CompositingConfig(probability=1)), 0)
    masks = made[BatchRequest(0, 1, 3)].masks
    assert masks.shape == (4, 96, 128)
    assert (masks != MASK_UNKNOWN).all()
    found = ClipDataset(scenes, replace(SMALL, compositing=CompositingConfig(probability=0)), 0)
    assert (found[BatchRequest(0, 1, 3)].masks == MASK_UNKNOWN).all()
