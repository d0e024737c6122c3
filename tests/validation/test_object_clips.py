import numpy as np
import pytest

from cyclesiam.data.scenes import find_scenes
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.compositing import random_cutout
from cyclesiam.synthetic.sprites import Sprite
from cyclesiam.validation import object_clips
from cyclesiam.validation.object_clips import draw_object_clips, object_path, render_object
from support.media import moving_square, textured, write_image, write_video

SIDE = 64
SIZE = (144, 192)


def white(side=SIDE):
    return np.full((side, side, 3), 255, np.uint8)


def square(color):
    pixels = np.full((SIDE, SIDE, 3), color, np.uint8)
    alpha = np.pad(np.ones((SIDE // 2,) * 2, np.float32), SIDE // 4)
    return Sprite(pixels, alpha)


@pytest.mark.parametrize("seed", range(4))
def test_the_box_holds_the_target(monkeypatch, seed):
    monkeypatch.setattr(object_clips, "MAX_LOOKALIKES", 0)
    black = [np.zeros((*SIZE, 3), np.uint8)] * 12
    nothing = square(0)._replace(alpha=np.zeros((SIDE, SIDE), np.float32))
    clip = render_object(black, square(255), white(), nothing, np.random.default_rng(seed))
    assert len(clip.frames) == 12
    for image, box in zip(clip.frames, clip.boxes, strict=True):
        np.testing.assert_allclose(mask_to_box(image[..., 1] > 110), box, atol=1)


def test_a_covered_target_has_no_box(monkeypatch):
    monkeypatch.setattr(object_clips, "object_path", lambda *_: [object_clips.Pose(*STILL)] * 3)
    black = [np.zeros((*SIZE, 3), np.uint8)] * 3
    wide = Sprite(white(), np.ones((SIDE, SIDE), np.float32))
    clip = render_object(black, square(255), white(), wide, np.random.default_rng(0))
    assert np.isnan(clip.boxes).all()


STILL = np.array([90.0, 70.0]), np.array([40.0, 40.0]), 0.0


def test_paths_stay_in_the_frame():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        centers = np.array([pose.center for pose in object_path(32, SIZE, 2.0, rng)])
        assert (centers > 0).all()
        assert (centers < SIZE[::-1]).all()


def test_a_target_changes_its_look(monkeypatch):
    monkeypatch.setattr(object_clips, "MAX_LOOKALIKES", 0)
    black = [np.zeros((*SIZE, 3), np.uint8)] * 8
    rng = np.random.default_rng(0)
    nothing = square(0)._replace(alpha=np.zeros((SIDE, SIDE), np.float32))
    clip = render_object(black, square(255), np.zeros_like(white()), nothing, rng)
    assert clip.frames[0].max() > 200
    assert clip.frames[-1].max() < 190


def test_short_scenes_and_damaged_ones(tmp_path):
    write_video(tmp_path / "a.mp4", moving_square(5))
    for number in range(3):
        write_image(tmp_path / f"{number}.png", textured(50 + number))
    scenes, _ = find_scenes([tmp_path])
    clips = [*draw_object_clips(scenes, 4, 9, np.random.default_rng(1))]
    assert clips
    assert all(len(clip.frames) == len(clip.boxes) == 9 for clip in clips)
    for scene in scenes:
        scene.path.write_bytes(b"nothing")
    assert not [*draw_object_clips(scenes, 4, 9, np.random.default_rng(1))]


def test_a_piece_stands_in_for_an_object():
    images = iter([textured(1), textured(2)])
    rng = np.random.default_rng(3)
    sprite = object_clips.find_sprite(images, rng)
    piece = random_cutout(textured(2), object_clips.MAX_SPRITE_SIZE, np.random.default_rng(3))
    np.testing.assert_array_equal(sprite.pixels, piece.pixels)
    assert object_clips.find_sprite(iter([]), rng) is None
