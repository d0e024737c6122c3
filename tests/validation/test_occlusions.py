import numpy as np
import pytest

from cyclesiam.data.scenes import find_scenes
from cyclesiam.synthetic.compositing import random_cutout
from cyclesiam.validation.occlusions import LENGTH, make_occlusion_clips, render_occlusion
from support.media import textured, write_image, write_video

HIDDEN = 12


def clip(way, seed=0):
    random = np.random.default_rng(seed)
    run = [textured(3, 144, 192)] * 70
    target = random_cutout(textured(5), 64, random)
    return run, render_occlusion(run, target, textured(6), random, way=way, hidden=HIDDEN)


@pytest.mark.parametrize("way", ["covered", "leaves"])
@pytest.mark.parametrize("seed", range(4))
def test_a_target_is_seen_then_hidden_then_seen(way, seed):
    run, made = clip(way, seed)
    gone = np.isnan(made.boxes[:, 0])
    first, last = np.flatnonzero(gone)[[0, -1]]
    assert gone[first : last + 1].all()  # once, and in one piece
    assert HIDDEN <= gone.sum() <= HIDDEN + 18
    assert first >= 15
    assert last < made.reappears_at < len(run) - 10
    inside = made.boxes[~gone]
    assert (inside[:, 2:] > inside[:, :2]).all()


def test_of_a_target_that_left_nothing_is_seen():
    run, made = clip("leaves")
    middle = np.flatnonzero(np.isnan(made.boxes[:, 0]))[4:-4]
    assert all(np.array_equal(made.frames[frame], run[frame]) for frame in middle)
    assert not np.array_equal(made.frames[0], run[0])


def test_a_run_too_short_is_refused():
    random = np.random.default_rng(0)
    run, target = [textured(3)] * 30, random_cutout(textured(5), 64, random)
    with pytest.raises(ValueError, match="30 frames are too few to hide a target for 12"):
        render_occlusion(run, target, textured(6), random, way="covered", hidden=12)


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
