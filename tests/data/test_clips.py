import builtins
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cyclesiam.data import chunks, scenes
from cyclesiam.data.clips import BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.errors import TrainingError
from cyclesiam.synthetic.compositing import CompositingConfig
from support.media import (
    moving_square,
    textured,
    write_frames,
    write_image,
    write_stills,
    write_video,
)

SMALL = ClipConfig(height=64, width=80, batch_size=3, batches_per_chunk=2)


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


# --- what is drawn


def dataset(media, config=SMALL, **changes):
    found, _ = find_scenes([media])
    return ClipDataset(found, config, **{"seed": 0, **changes})


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_a_batch_is_what_it_says(media, turn):
    batch = dataset(media)[BatchRequest(5, turn, 4)]
    assert batch.request == (5, turn, 4)
    assert batch.frames.shape == (3, turn + 1, 3, 64, 80)
    assert batch.frames.dtype == torch.uint8
    assert batch.frames.permute(0, 1, 3, 4, 2).is_contiguous()  # as OpenCV wants each
    assert batch.boxes.shape == (3, turn + 1, 4)
    assert batch.boxes.dtype == torch.float32
    assert (batch.boxes[:, 0, :2] >= 0).all()
    assert (batch.boxes[:, 0, 2:] <= torch.tensor([80.0, 64.0])).all()
    assert len(batch.names) == 3
    assert batch.problems == ()


def same(one, other):
    boxes = one.boxes.nan_to_num(-1), other.boxes.nan_to_num(-1)
    return torch.equal(one.frames, other.frames) and torch.equal(*boxes)


def test_a_batch_depends_on_seed_and_request_alone(media):
    one, other = dataset(media), dataset(media)
    other[BatchRequest(3, 0, 0)]
    other[BatchRequest(8, 2, 2)]
    request = BatchRequest(4, 1, 3)
    assert same(one[request], other[request])
    assert not same(one[request], one[BatchRequest(5, 1, 3)])
    assert not same(one[request], dataset(media, seed=1)[request])


def test_a_chunk_serves_several_batches(media, monkeypatch):
    read = []
    monkeypatch.setattr(
        chunks, "read_chunk", lambda path, first: read.append(path) or moving_square(3)
    )
    config = replace(SMALL, compositing=CompositingConfig(probability=0))
    for number in range(8):
        data = ClipDataset(find_scenes([media])[0], config, 0, rows=[0])
        data[BatchRequest(number, 0, 0)]
    assert read[::2] == read[1::2]
    assert len({*read}) > 1


def test_boxes_are_known_where_clips_are_synthetic(media):
    data = dataset(media)
    plain = CompositingConfig(probability=0)
    only_videos = ClipDataset(data.chunks.videos, replace(SMALL, compositing=plain), 0)
    boxes = only_videos[BatchRequest(0, 2, 3)].boxes
    assert boxes[:, 0].isfinite().all()
    assert boxes[:, 1:].isnan().all()
    only_stills = ClipDataset(data.chunks.stills, replace(SMALL, compositing=plain), 0)
    assert only_stills[BatchRequest(0, 2, 3)].boxes.isfinite().all()
    composed = ClipDataset(
        data.chunks.videos, replace(SMALL, compositing=CompositingConfig(probability=1)), 0
    )
    assert composed[BatchRequest(0, 1, 3)].boxes[:, 0].isfinite().all()


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
    watch(scenes, "read_image")
    watch(chunks, "read_frames")
    watch(scenes, "probe")
    data = dataset(media)
    for number in range(8):
        data[BatchRequest(number, 1, 3)]
    ours = [Path(file) for file in opened if str(media) in file]
    assert len(ours) > 5
    kinds = {path.suffix for path in ours}
    assert kinds <= {"", ".png", ".mp4"}
    assert not [path for path in ours if "Annotations" in path.parts or path.suffix == ".txt"]


# --- what breaks on the way


def test_a_scene_that_breaks_is_reported_and_another_replaces_it(media):
    found, _ = find_scenes([media])
    gone = Scene(media / "videos" / "gone.mp4", 500)
    data = ClipDataset([*found, gone], SMALL, 0)
    batches = [data[BatchRequest(number, 1, 3)] for number in range(12)]
    problems = {problem for batch in batches for problem in batch.problems}
    assert problems
    assert all("gone.mp4" in problem for problem in problems)
    assert "gone.mp4" not in {name for batch in batches for name in batch.names}


def test_a_still_that_breaks_is_reported(media, tmp_path):
    broken = tmp_path / "broken.png"
    whole = write_image(broken, textured(9)).read_bytes()
    broken.write_bytes(whole[:60])
    found, problems = find_scenes([media / "stills", broken])
    assert problems == []  # its header is whole
    data = ClipDataset(found, SMALL, 0)
    problems = {problem for n in range(12) for problem in data[BatchRequest(n, 0, 0)].problems}
    assert len(problems) == 1
    assert "broken.png" in problems.pop()


def test_where_nothing_can_be_read_the_last_problem_is_reported(tmp_path):
    data = ClipDataset([Scene(tmp_path / "gone.mp4", 100)], SMALL, 0)
    with pytest.raises(TrainingError, match=r"nothing can be read any more.*gone\.mp4") as caught:
        data[BatchRequest(0, 0, 0)]
    assert "\n" not in str(caught.value)


def test_impossible_clips_are_refused():
    for wrong in (
        {"height": 32},
        {"batch_size": 0},
        {"batches_per_chunk": 0},
        {"samples_per_clip": 3},
    ):
        with pytest.raises(ValueError, match=r"canvas of 64|samples_per_clip must be"):
            ClipConfig(**wrong)
    with pytest.raises(ValueError, match="length_exponent"):
        ClipConfig(length_exponent=-1)


def test_two_samples_of_a_clip_run_both_ways(media):
    config = replace(
        SMALL, batch_size=4, samples_per_clip=2, compositing=CompositingConfig(probability=1.0)
    )
    one_each = dataset(media, config=replace(config, batch_size=2, samples_per_clip=1))
    both = dataset(media, config=config)[request := BatchRequest(2, 2, 3)]
    forward, back = slice(0, 2), slice(2, 4)
    assert torch.equal(both.frames[forward], one_each[request].frames)
    assert torch.equal(both.frames[back], both.frames[forward].flip(1))
    assert torch.equal(both.boxes[back], both.boxes[forward].flip(1))
    assert (both.masks[back] == 255).any()
    some = dataset(media, config=config, rows=[3])[request]
    assert torch.equal(some.frames, both.frames[3:])


def test_a_clip_whose_end_is_unknown_is_not_shown_back(media):
    videos = replace(
        SMALL, batch_size=2, samples_per_clip=2, compositing=CompositingConfig(probability=0.0)
    )
    clips = ClipDataset(find_scenes([media / "videos"])[0], videos, 0)
    batch = clips[BatchRequest(0, 1, 2)]
    assert same(
        batch._replace(frames=batch.frames[:1], boxes=batch.boxes[:1]),
        batch._replace(frames=batch.frames[1:], boxes=batch.boxes[1:]),
    )
