import numpy as np
import pytest

from cyclesiam.data.scenes import find_scenes
from cyclesiam.synthetic.compositing import random_cutout
from cyclesiam.validation.occlusions import LENGTH, make_occlusion_clips, render_occlusion
from support.media import textured, write_image, write_video

HIDDEN = 12


def clip(kind, seed=0):
    rng = np.random.default_rng(seed)
    frames = [textured(3, 144, 192)] * 70
    target = random_cutout(textured(5), 64, rng)
    return frames, render_occlusion(frames, target, textured(6), rng, kind=kind, hidden=HIDDEN)


@pytest.mark.parametrize("kind", ["covered", "leaves"])
@pytest.mark.parametrize("seed", range(4))
def test_a_target_is_visible_then_hidden_then_visible(kind, seed):
    frames, made = clip(kind, seed)
    hidden = np.isnan(made.boxes[:, 0])
    first, last = np.flatnonzero(hidden)[[0, -1]]
    assert hidden[first : last + 1].all()  # once, and in one piece
    assert HIDDEN <= hidden.sum() <= HIDDEN + 18
    assert first >= 15
    assert last < made.reappears_at < len(frames) - 10
    inside = made.boxes[~hidden]
    assert (inside[:, 2:] > inside[:, :2]).all()


def test_a_target_that_left_the_frame_is_invisible():
    frames, made = clip("leaves")
    middle = np.flatnonzero(np.isnan(made.boxes[:, 0]))[4:-4]
    assert all(np.array_equal(made.frames[frame], frames[frame]) for frame in middle)
    assert not np.array_equal(made.frames[0], frames[0])


def test_too_few_frames_are_refused():
    rng = np.random.default_rng(0)
    frames, target = [textured(3)] * 30, random_cutout(textured(5), 64, rng)
    with pytest.raises(ValueError, match="30 frames are too few to hide a target for 12"):
        render_occlusion(frames, target, textured(6), rng, kind="covered", hidden=12)


def test_scenes_give_the_same_clips_again(tmp_path):
    write_video(tmp_path / "a.mp4", [textured(n % 7) for n in range(20)])
    for number in range(3):
        write_image(tmp_path / f"{number}.png", textured(50 + number))
    scenes, _ = find_scenes([tmp_path])
    one, other = (make_occlusion_clips(scenes, 2, seed=4) for _ in range(2))
    assert [made.kind for made in one] == ["covered", "leaves"]
    assert all(len(made.frames) == LENGTH for made in one)
    for made, again in zip(one, other, strict=True):
        np.testing.assert_array_equal(made.boxes, again.boxes)
        np.testing.assert_array_equal(made.frames[40], again.frames[40])
