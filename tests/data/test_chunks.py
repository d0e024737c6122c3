from pathlib import Path

import numpy as np
import pytest

from cyclesiam.data import chunks
from cyclesiam.data.chunks import ChunkCache, ChunkSampler
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.errors import SourceError
from support.media import moving_square, textured, write_frames, write_stills, write_video


def sampler(scenes, still_probability=0.3, length_exponent=0.5):
    return ChunkSampler(
        scenes,
        ChunkCache(2**20),
        still_probability=still_probability,
        length_exponent=length_exponent,
    )


def test_a_broken_chunk_is_tried_once(tmp_path, monkeypatch):
    tries = []

    def decode(path, first):
        tries.append(first)
        raise SourceError("broken")

    monkeypatch.setattr(chunks, "read_chunk", decode)
    cache = ChunkCache(100)
    for _ in range(3):
        with pytest.raises(SourceError, match="broken"):
            cache.read(tmp_path, 2)
    assert tries == [128]


def test_frames_of_several_sizes_in_one_chunk_are_a_problem(tmp_path):
    write_frames(tmp_path, [textured(0), textured(1, 64, 64)])
    with pytest.raises(SourceError, match="has frames of several sizes"):
        ChunkCache(10**6).read(tmp_path, 0)
    with pytest.raises(SourceError, match="has no frame 64"):
        ChunkCache(10**6).read(tmp_path, 1)


def test_the_cache_forgets_the_longest_unused(monkeypatch):
    read = []
    chunk = [np.zeros((10, 10, 3), np.uint8)]  # 300 bytes
    monkeypatch.setattr(chunks, "read_chunk", lambda path, first: read.append(path.name) or chunk)
    cache = ChunkCache(700)
    for name in "a b a c b a".split():
        cache.read(Path(name), 0)
    # a, b fit; a is used again, so c drives out b; b drives out a
    assert read == ["a", "b", "c", "b", "a"]
    assert cache.size == 600


def test_no_more_than_half_of_the_memory_is_kept(monkeypatch):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(chunks.os, "sysconf", sizes.get)
    assert chunks.limit_to_memory(10**6) == 10**6
    assert chunks.limit_to_memory(10**9) == 4096 * 500


def test_stills_have_their_probability(tmp_path):
    write_video(tmp_path / "street.mp4", moving_square(20))
    write_stills(tmp_path, 2)
    found, _ = find_scenes([tmp_path])
    both = sampler(found)
    draws = [both.sample_scene(np.random.default_rng(n)).frames for n in range(400)]
    assert 0.2 < draws.count(1) / 400 < 0.4
    assert sampler(both.stills).sample_scene(np.random.default_rng(0)).frames == 1
    assert sampler(both.videos).sample_scene(np.random.default_rng(0)).frames > 1


@pytest.mark.parametrize(("exponent", "probability"), [(0.0, 0.5), (0.5, 0.75), (1.0, 0.9)])
def test_long_videos_have_the_probability_that_is_asked_for(exponent, probability):
    videos = [Scene(Path("long.mp4"), 90), Scene(Path("short.mp4"), 10)]
    drawn = sampler(videos, length_exponent=exponent).video_probabilities
    np.testing.assert_allclose(drawn, [probability, 1 - probability])
