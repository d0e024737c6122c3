import builtins
import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from cyclesiam.data import clips
from cyclesiam.data.clips import ChunkCache, ClipConfig, ClipDataset, Request, Scene, find_scenes
from cyclesiam.errors import SourceError, TrainingError
from made_media import (
    moving_square,
    textured,
    write_frames,
    write_picture,
    write_stills,
    write_video,
)

SMALL = ClipConfig(height=64, width=80, batch_size=3, reads=2)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A video, a folder of frames, and two stills; annotations and other things among them."""
    root = tmp_path_factory.mktemp("media")
    write_video(root / "videos" / "street.mp4", moving_square(20))
    write_frames(root / "frames" / "walk", moving_square(14, seed=5))
    write_stills(root / "stills", 2)
    (root / "frames" / "walk" / "groundtruth.txt").write_text("1,2,3,4\n")
    (root / "stills" / "labels.json").write_text("{}")
    write_frames(root / "Annotations" / "walk", moving_square(14, seed=6))
    return root


def names(scenes):
    return [(scene.path.name, scene.frames) for scene in scenes]


# --- what is found


def test_videos_frame_folders_and_stills_are_found(media):
    scenes, problems = find_scenes([media])
    assert names(scenes) == [
        ("walk", 14),
        ("still-a.png", 1),
        ("still-b.png", 1),
        ("street.mp4", 20),
    ]
    assert problems == [
        f"{media / folder}: left out, its name says annotations"
        for folder in ("Annotations", "Annotations/walk")
    ]


def test_a_single_file_or_frame_folder_is_a_source(media):
    sources = [media / "videos" / "street.mp4", str(media / "frames" / "walk")]
    scenes, problems = find_scenes([*sources, media / "stills" / "still-a.png"])
    assert names(scenes) == [("street.mp4", 20), ("walk", 14), ("still-a.png", 1)]
    assert problems == []


@pytest.mark.parametrize(
    "name", ["annotations", "Masks", "labels_train", "GT", "ground-truth", "SegmentationClass"]
)
def test_folders_named_like_annotations_are_left_out(tmp_path, name):
    write_stills(tmp_path / "images", 1)
    write_stills(tmp_path / name.replace("-", "_") / "deeper", 1)
    scenes, problems = find_scenes([tmp_path])
    assert len(scenes) == 1
    assert len(problems) == 2


def test_a_folder_that_is_named_itself_is_taken_at_its_word(tmp_path):
    scenes, _ = find_scenes([write_stills(tmp_path / "masks", 2)])
    assert len(scenes) == 2


def test_a_broken_video_is_told_and_left_out(tmp_path, media):
    (tmp_path / "broken.mp4").write_bytes((media / "videos" / "street.mp4").read_bytes()[:900])
    write_stills(tmp_path, 1)
    scenes, problems = find_scenes([tmp_path])
    assert names(scenes) == [("still-a.png", 1)]
    assert len(problems) == 1
    assert "broken.mp4" in problems[0]


def test_hidden_files_are_passed_over(tmp_path):
    write_frames(tmp_path, moving_square(12))
    (tmp_path / "._00001.png").write_bytes(b"of another system")
    scenes, problems = find_scenes([tmp_path])
    assert names(scenes) == [(tmp_path.name, 12)]
    assert problems == []


def test_nothing_to_learn_from(tmp_path, media):
    with pytest.raises(TrainingError, match=r"there is nothing to learn from at .*nosuch"):
        find_scenes([media, tmp_path / "nosuch"])
    with pytest.raises(TrainingError, match="found no readable video or picture in"):
        find_scenes([tmp_path])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(TrainingError, match=r"the first of 1 problems: .*broken\.mp4"):
        find_scenes([tmp_path])
    with pytest.raises(TrainingError, match="give videos or pictures"):
        ClipDataset([], SMALL, 0)


def touch_pictures(folder, stems):
    paths = [folder / f"{stem}.png" for stem in stems]
    for path in paths:
        path.write_bytes(b"")
    return paths


@pytest.mark.parametrize(
    ("stems", "are_frames"),
    [
        ([f"{n:05}" for n in range(12)], True),
        ([f"frame_{n}" for n in range(12)], True),
        ([f"img{n:04}" for n in range(1, 24, 2)], True),
        ([f"{n:05}" for n in range(11)], False),  # too few
        ([f"{10 * n:05}" for n in range(12)], False),  # great gaps
        ([f"cat-{n}" for n in range(12)], False),  # a name of their own
        ([*[f"{n:05}" for n in range(12)], "cover"], False),
    ],
)
def test_frames_are_told_from_stills_by_their_names(tmp_path, stems, are_frames):
    assert clips._are_frames(touch_pictures(tmp_path, stems)) == are_frames


def test_numbered_photographs_of_several_sizes_are_stills(tmp_path):
    sizes = [(64, 80), (80, 64)] * 6
    for number, size in enumerate(sizes):
        write_picture(tmp_path / f"{number:06}.png", textured(number, *size))
    scenes, _ = find_scenes([tmp_path])
    assert [scene.frames for scene in scenes] == [1] * 12


# --- what is drawn


def dataset(media, **changes):
    scenes, _ = find_scenes([media])
    return ClipDataset(scenes, SMALL, **{"seed": 0, **changes})


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_a_batch_is_what_it_says(media, turn):
    batch = dataset(media)[Request(5, turn, 4)]
    assert batch.request == (5, turn, 4)
    assert batch.frames.shape == (3, turn + 1, 3, 64, 80)
    assert batch.frames.dtype == torch.uint8
    assert batch.frames.permute(0, 1, 3, 4, 2).is_contiguous()  # as OpenCV wants each
    assert batch.boxes.shape == (3, 4)
    assert batch.boxes.dtype == torch.float32
    assert (batch.boxes[:, :2] >= 0).all()
    assert (batch.boxes[:, 2:] <= torch.tensor([80.0, 64.0])).all()
    assert len(batch.names) == 3
    assert batch.problems == ()


def same(one, other):
    return torch.equal(one.frames, other.frames) and torch.equal(one.boxes, other.boxes)


def test_a_batch_depends_on_seed_and_request_alone(media):
    one, other = dataset(media), dataset(media)
    other[Request(3, 0, 0)]
    other[Request(8, 2, 2)]
    wanted = Request(4, 1, 3)
    assert same(one[wanted], other[wanted])
    assert not same(one[wanted], one[Request(5, 1, 3)])
    assert not same(one[wanted], dataset(media, seed=1)[wanted])


def test_a_chunk_serves_several_batches(media, monkeypatch):
    read = []
    monkeypatch.setattr(clips, "_decode", lambda path, first: read.append(path) or moving_square(3))
    data = dataset(media)
    monkeypatch.setattr(data._chunks, "capacity", 0)  # keeps only the latest
    drawn = [data._draw_scene(np.random.default_rng((0, 1, 0, n // 2))) for n in range(8)]
    assert drawn[::2] == drawn[1::2]


def test_frames_of_a_walk_lie_at_most_a_gap_apart_and_in_one_view():
    # Frame t is grey of level 3 t, so that a frame says which it is.
    images = [np.full((64, 80, 3), 3 * t, np.uint8) for t in range(40)]
    steps = set()
    for seed in range(60):
        random = np.random.default_rng(seed)
        frames, ahead = clips._walk(images, Request(0, 2, 5), (64, 80), random)
        levels = np.array([int(frame[32, 40, 0]) // 3 for frame in frames])
        assert len(set(np.diff(levels))) == 1
        steps.add(int(levels[1] - levels[0]))
        assert abs(int(ahead[32, 40, 0]) // 3 - levels[0]) == 3
    assert steps == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("count", [2, 3])
def test_a_short_video_gives_what_it_has(count):
    images = moving_square(count)
    frames, _ = clips._walk(images, Request(0, 4, 20), (64, 80), np.random.default_rng(0))
    assert len(frames) == 5


def test_a_still_drifts_and_zooms():
    image = textured(0)
    frames = clips._wander(image, Request(0, 3, 8), (64, 80), np.random.default_rng(0))
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert len(frames) == 4
    assert min(changes) > 0.5
    assert max(changes) < 40


def test_stills_have_their_share(media):
    data = dataset(media)
    draws = [data._draw_scene(np.random.default_rng(n)).frames for n in range(400)]
    assert 0.2 < draws.count(1) / 400 < 0.4
    only_stills = ClipDataset(data.stills, SMALL, 0)
    assert only_stills._draw_scene(np.random.default_rng(0)).frames == 1
    only_videos = ClipDataset(data.videos, SMALL, 0)
    assert only_videos._draw_scene(np.random.default_rng(0)).frames > 1


def test_annotations_are_never_opened(media, monkeypatch):
    """Watch every way in which Python opens a file while scenes are found and clips are drawn."""
    opened = []

    def watch(module, name):
        real = getattr(module, name)

        def wrapper(file, *args, **kwargs):
            opened.append(str(file))
            return real(file, *args, **kwargs)

        monkeypatch.setattr(module, name, wrapper)

    watch(builtins, "open")
    watch(io, "open")
    watch(os, "open")
    watch(clips, "read_image")
    watch(clips, "read_run")
    watch(clips, "probe")
    data = dataset(media)
    for number in range(8):
        data[Request(number, 1, 3)]
    ours = [Path(file) for file in opened if str(media) in file]
    assert len(ours) > 5
    kinds = {path.suffix for path in ours}
    assert kinds <= {"", ".png", ".mp4"}
    assert not [path for path in ours if "Annotations" in path.parts or path.suffix == ".txt"]


# --- what breaks on the way


def test_a_scene_that_breaks_is_told_and_another_stands_in(media):
    scenes, _ = find_scenes([media])
    gone = Scene(media / "videos" / "gone.mp4", 500)
    data = ClipDataset([*scenes, gone], SMALL, 0)
    batches = [data[Request(number, 1, 3)] for number in range(12)]
    told = {problem for batch in batches for problem in batch.problems}
    assert told
    assert all("gone.mp4" in problem for problem in told)
    assert "gone.mp4" not in {name for batch in batches for name in batch.names}


def test_a_still_that_breaks_is_told(media, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    scenes, problems = find_scenes([media / "stills", broken])
    assert problems == []  # stills are not opened yet
    data = ClipDataset(scenes, SMALL, 0)
    told = {problem for n in range(12) for problem in data[Request(n, 0, 0)].problems}
    assert len(told) == 1
    assert "broken.png" in told.pop()


def test_where_nothing_can_be_read_the_last_problem_is_told(tmp_path):
    data = ClipDataset([Scene(tmp_path / "gone.mp4", 100)], SMALL, 0)
    with pytest.raises(TrainingError, match=r"nothing can be read any more.*gone\.mp4") as caught:
        data[Request(0, 0, 0)]
    assert "\n" not in str(caught.value)


def test_a_broken_chunk_is_tried_once(tmp_path, monkeypatch):
    tries = []

    def decode(path, first):
        tries.append(first)
        raise SourceError("broken")

    monkeypatch.setattr(clips, "_decode", decode)
    cache = ChunkCache(100)
    for _ in range(3):
        with pytest.raises(SourceError, match="broken"):
            cache.read(tmp_path, 2)
    assert tries == [128]


def test_frames_of_several_sizes_in_one_chunk_are_a_problem(tmp_path):
    write_frames(tmp_path, [textured(0), textured(1, 64, 64)])
    with pytest.raises(SourceError, match="has frames of several sizes"):
        ChunkCache(10**6).read(tmp_path, 0)
    with pytest.raises(SourceError, match="holds no frame 64"):
        ChunkCache(10**6).read(tmp_path, 1)


def test_the_cache_forgets_the_longest_unused(monkeypatch):
    read = []
    chunk = [np.zeros((10, 10, 3), np.uint8)]  # 300 bytes
    monkeypatch.setattr(clips, "_decode", lambda path, first: read.append(path.name) or chunk)
    cache = ChunkCache(700)
    for name in "a b a c b a".split():
        cache.read(Path(name), 0)
    # a, b fit; a is used again, so c drives out b; b drives out a
    assert read == ["a", "b", "c", "b", "a"]
    assert cache.size == 600


def test_impossible_clips_are_refused():
    for wrong in ({"height": 32}, {"batch_size": 0}, {"reads": 0}):
        with pytest.raises(ValueError, match="canvas of 64"):
            ClipConfig(**wrong)
