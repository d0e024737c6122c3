from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclesiam.data.chunks import Chunk, ChunkCache, ChunkSampler, LazyChunk
from cyclesiam.data.clip_sources import (
    BatchRequest,
    DiscoveredTargets,
    PannedStills,
    sample_excerpt,
)
from cyclesiam.data.discovery import DEFAULT_DISCOVERY
from cyclesiam.data.scenes import Scene
from cyclesiam.geometry.boxes import xyxy_to_cxcywh
from cyclesiam.geometry.crops import crop_with_opencv
from cyclesiam.synthetic.panning import pan_still
from support.media import moving_square, textured, write_image

CANVAS = (64, 80)


class FakeSampler:
    """Draws chunks of the same frames, and counts how many."""

    def __init__(self, images):
        self.images, self.count = images, 0

    def sample(self, rng, problems):
        self.count += 1
        return Chunk(Scene(Path("street.mp4"), len(self.images)), 0, self.images)


def test_sources_share_a_chunk_that_is_drawn_once():
    sampler = FakeSampler(moving_square(12))
    chunk = LazyChunk(sampler, np.random.default_rng(0), {})
    assert sampler.count == 0
    arguments = BatchRequest(0, 1, 3), chunk, np.random.default_rng(0), {}
    assert PannedStills(CANVAS, DEFAULT_DISCOVERY).plan(*arguments) is None
    clip = DiscoveredTargets(CANVAS, DEFAULT_DISCOVERY).plan(*arguments)
    assert len(clip.views) == 2
    assert sampler.count == 1


def test_frames_of_an_excerpt_lie_at_most_a_gap_apart_and_in_one_view():
    # Frame t is gray of level 3 t, so that a frame says which it is.
    images = [np.full((64, 80, 3), 3 * t, np.uint8) for t in range(40)]
    steps = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        excerpt = sample_excerpt(images, BatchRequest(0, 2, 5), (64, 80), rng)
        levels = np.array([int(view.pixels[32, 40, 0]) // 3 for view in excerpt.views])
        assert len(set(np.diff(levels))) == 1
        steps.add(int(levels[1] - levels[0]))
        assert abs(int(excerpt.view(excerpt.later).pixels[32, 40, 0]) // 3 - levels[0]) == 3
    assert steps == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("count", [2, 3])
def test_a_short_video_gives_what_it_has(count):
    rng = np.random.default_rng(0)
    excerpt = sample_excerpt(moving_square(count), BatchRequest(0, 4, 20), (64, 80), rng)
    assert len(excerpt.views) == 5


def test_a_still_drifts_and_zooms():
    image = textured(0)
    views = pan_still(image, 4, (64, 80), np.random.default_rng(0)).views
    frames = [view.pixels for view in views]
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert len(frames) == 4
    assert min(changes) > 0.5
    assert max(changes) < 40


@pytest.mark.parametrize("seed", range(6))  # mirrored and not
def test_a_still_shows_at_the_known_box_what_the_first_frame_shows(tmp_path, seed):
    smooth = cv2.GaussianBlur(textured(0, 200, 240), (0, 0), 4)
    still = Scene(write_image(tmp_path / "smooth.png", smooth), 1)
    sampler = ChunkSampler([still], ChunkCache(2**20), still_probability=1, length_exponent=0)
    problems = {}
    chunk = LazyChunk(sampler, np.random.default_rng(0), problems)
    source = PannedStills((64, 80), DEFAULT_DISCOVERY)
    plan = source.plan(BatchRequest(0, 2, 8), chunk, np.random.default_rng(seed), problems)
    clip = plan.render(np.empty((3, 64, 80, 3), np.uint8))
    images = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    windows = xyxy_to_cxcywh(torch.from_numpy(clip.boxes).float())
    crops = [crop_with_opencv(images[t : t + 1], windows[t : t + 1], 24) for t in range(3)]
    inside = slice(6, 18)  # the image's border may show in the rest
    for later in crops[1:]:
        difference = (later - crops[0])[..., inside, inside].abs().mean()
        assert difference < 0.3 * (crops[0] - crops[0].mean()).abs().mean()
