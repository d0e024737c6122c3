"""A plan holds all that is drawn at random; rendering adds the pixels and draws nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cyclesiam.data.chunks import Chunk, LazyChunk
from cyclesiam.data.clip_plans import MASK_OFF, MASK_ON, MASK_UNKNOWN
from cyclesiam.data.clip_sources import BatchRequest, Composites, StillObjects
from cyclesiam.data.scenes import Scene
from cyclesiam.synthetic.compositing import CompositingConfig
from support.media import moving_square, textured

CANVAS = (64, 80)


class OneScene:
    """Draws chunks of the same frames, and the same still."""

    def __init__(self, images, still=None):
        self.images, self.still = images, still

    def sample(self, rng, problems):
        return Chunk(Scene(Path("street.mp4"), len(self.images)), 0, self.images)

    def sample_stills(self, rng, problems):
        yield Path("still.png"), self.still


class OneObject:
    """Finds the same object in every still."""

    def __init__(self, mask):
        self.found = mask

    def mask(self, path, image):
        return self.found


def plan(source, sampler, *, turn=2, seed=0):
    chunk = LazyChunk(sampler, np.random.default_rng(1), {})
    rng = np.random.default_rng(seed)
    return source.plan(BatchRequest(0, turn, 3), chunk, rng, {})


def composites(sampler):
    return Composites(sampler, None, CANVAS, CompositingConfig(probability=1, max_distractors=3))


def render(clip_plan, turn=2):
    return clip_plan.render(np.empty((turn + 1, *CANVAS, 3), np.uint8))


def test_a_composite_is_planned_without_looking_at_a_frame(monkeypatch):
    def look(*arguments, **options):
        raise AssertionError("pixels were rendered")

    sampler = OneScene(moving_square(9))
    for name in ("warpAffine", "remap", "LUT"):
        monkeypatch.setattr(cv2, name, look)
    planned = plan(composites(sampler), sampler)
    assert len(planned.views) == 3
    assert [layer.role for layer in planned.layers].count("target") == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_renders_the_same_pixels_again(seed):
    sampler = OneScene(moving_square(9))
    planned = plan(composites(sampler), sampler, seed=seed)
    one, other = render(planned), render(planned)
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.mask, other.mask)
    assert {*np.unique(one.mask)} == {MASK_OFF, MASK_ON}


def test_a_view_that_was_looked_at_is_not_rendered_again(monkeypatch):
    sampler = OneScene(moving_square(9))
    view = plan(composites(sampler), sampler).views[0]
    seen, out = view.pixels, np.empty((*CANVAS, 3), np.uint8)
    monkeypatch.delattr(cv2, "warpAffine")
    view.render(out)
    np.testing.assert_array_equal(out, seen)


def test_an_object_of_a_still_keeps_its_mask_through_the_clip():
    still, mask = textured(0, 96, 120), np.zeros((96, 120), np.uint8)
    mask[30:66, 40:80] = 255
    sampler = OneScene([still], still)
    source = StillObjects(sampler, OneObject(mask), CANVAS, 1.0)
    clip = render(plan(source, sampler))
    for frame_mask, box in zip(clip.masks, clip.boxes[[0, -1]], strict=True):
        rows, columns = np.nonzero(frame_mask)
        edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        np.testing.assert_allclose(edges, box.clip(0, (80, 64, 80, 64)), atol=1.5)
    assert (clip.mask == MASK_ON).sum() == clip.masks[0].sum()
    assert not (clip.mask == MASK_UNKNOWN).any()


def test_a_clip_back_in_time_swaps_its_masks():
    sampler = OneScene(moving_square(9))
    clip = render(plan(composites(sampler), sampler, seed=3))
    back = clip.backward()
    assert back is not clip
    np.testing.assert_array_equal(back.masks[0], clip.masks[1])
    np.testing.assert_array_equal(back.frames[0], clip.frames[-1])
