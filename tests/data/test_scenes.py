import shutil
from pathlib import Path

import pytest

from cyclesiam.data.scenes import Scene, find_scenes, split_scenes
from cyclesiam.errors import TrainingError
from support.media import (
    encode,
    moving_square,
    textured,
    write_frames,
    write_image,
    write_stills,
    write_video,
)


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


def names(found):
    return [(scene.path.name, scene.frames) for scene in found]


# --- what is found


def test_videos_frame_folders_and_stills_are_found(media):
    found, problems = find_scenes([media])
    assert names(found) == [
        ("walk", 14),
        ("still-a.png", 1),
        ("still-b.png", 1),
        ("street.mp4", 20),
    ]
    assert problems == [
        f"{media / folder}: left out, because its name says annotations"
        for folder in ("Annotations", "Annotations/walk")
    ]


def test_a_single_file_or_frame_folder_is_a_source(media):
    sources = [media / "videos" / "street.mp4", str(media / "frames" / "walk")]
    found, problems = find_scenes([*sources, media / "stills" / "still-a.png"])
    assert names(found) == [("street.mp4", 20), ("walk", 14), ("still-a.png", 1)]
    assert problems == []


@pytest.mark.parametrize(
    "name", ["annotations", "Masks", "labels_train", "GT", "ground-truth", "SegmentationClass"]
)
def test_folders_named_like_annotations_are_left_out(tmp_path, name):
    write_stills(tmp_path / "images", 1)
    write_stills(tmp_path / name.replace("-", "_") / "deeper", 1)
    found, problems = find_scenes([tmp_path])
    assert len(found) == 1
    assert len(problems) == 2


def test_a_folder_that_is_given_itself_is_searched(tmp_path):
    found, _ = find_scenes([write_stills(tmp_path / "masks", 2)])
    assert len(found) == 2


def test_a_broken_video_is_reported_and_left_out(tmp_path, media):
    (tmp_path / "broken.mp4").write_bytes((media / "videos" / "street.mp4").read_bytes()[:900])
    write_stills(tmp_path, 1)
    found, problems = find_scenes([tmp_path])
    assert names(found) == [("still-a.png", 1)]
    assert len(problems) == 1
    assert "broken.mp4" in problems[0]


def test_hidden_files_are_left_out(tmp_path):
    write_frames(tmp_path, moving_square(12))
    (tmp_path / "._00001.png").write_bytes(b"of another system")
    found, problems = find_scenes([tmp_path])
    assert names(found) == [(tmp_path.name, 12)]
    assert problems == []


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        *((f"a.{suffix}", "mpeg2video", "yuv420p") for suffix in ("vob", "mxf", "m2v")),
        *((f"a.{suffix}", "libx264", "yuv420p") for suffix in ("h264", "f4v", "3g2", "nut")),
        ("a.mjpeg", "mjpeg", "yuvj420p"),
        ("a.apng", "apng", "rgb24"),
        ("a.asf", "wmv2", "yuv420p"),
    ],
)
def test_what_can_be_tracked_is_trained_on(tmp_path, name, codec, pix_fmt):
    encode(tmp_path / name, moving_square(20), codec=codec, pix_fmt=pix_fmt)
    found, problems = find_scenes([tmp_path])
    assert names(found) == [(name, 20)]
    assert problems == []


def test_files_whose_names_say_nothing_are_tried(tmp_path):
    video = write_video(tmp_path / "a.mp4", moving_square(20))
    for name in ("a.dav", "b.recording", "c", "2024-01-01T12.30"):
        shutil.copy(video, tmp_path / name)
    for name in ("d.unknown", "e"):
        (tmp_path / name).write_bytes(b"neither a video nor an image")
    for name in ("notes.txt", "boxes.csv", "clip.json"):
        (tmp_path / name).write_text("0")
    found, problems = find_scenes([tmp_path])
    assert [path for path, _ in names(found)] == [
        *("2024-01-01T12.30", "a.dav", "a.mp4", "b.recording", "c")
    ]
    assert len(problems) == 2
    assert "d.unknown" in problems[0]
    assert str(tmp_path / "e") in problems[1]


def test_nothing_to_train_on(tmp_path, media):
    with pytest.raises(TrainingError, match=r"there is nothing to train on at .*nosuch"):
        find_scenes([media, tmp_path / "nosuch"])
    with pytest.raises(TrainingError, match="found no readable video or image in"):
        find_scenes([tmp_path])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(TrainingError, match=r"the first of 1 problems: .*broken\.mp4"):
        find_scenes([tmp_path])


@pytest.mark.parametrize(
    ("stems", "are_frames"),
    [
        ([f"{n:05}" for n in range(12)], True),
        ([f"frame_{n}" for n in range(12)], True),
        ([f"img{n:04}" for n in range(1, 24, 2)], True),
        ([f"{n:05}" for n in range(11)], False),  # too few
        ([f"{10 * n:05}" for n in range(12)], False),  # wide gaps
        ([f"cat-{n}" for n in range(12)], False),  # a name of their own
        ([*[f"{n:05}" for n in range(12)], "cover"], False),
    ],
)
def test_names_tell_whether_images_are_frames(tmp_path, stems, are_frames):
    image = textured(0, 32, 32)
    for stem in stems:
        write_image(tmp_path / f"{stem}.png", image)
    found, _ = find_scenes([tmp_path])
    assert [scene.frames for scene in found] == ([12] if are_frames else [1] * len(stems))


def test_numbered_photographs_of_several_sizes_are_stills(tmp_path):
    sizes = [(64, 80), (80, 64)] * 6
    for number, size in enumerate(sizes):
        write_image(tmp_path / f"{number:06}.png", textured(number, *size))
    found, _ = find_scenes([tmp_path])
    assert [scene.frames for scene in found] == [1] * 12


def test_what_is_held_out_depends_on_names_alone():
    videos = [Scene(Path(f"{number}.mp4"), 40) for number in range(20)]
    stills = [Scene(Path(f"{number}.png"), 1) for number in range(30)]
    kept, held = split_scenes([*videos, *stills], 0.1)
    assert [sum(scene.frames > 1 for scene in part) for part in (kept, held)] == [18, 2]
    assert [sum(scene.frames == 1 for scene in part) for part in (kept, held)] == [27, 3]
    assert [scene for scene in [*videos, *stills] if scene in kept] == kept
    assert not set(kept) & set(held)
    elsewhere = [Scene(Path("other") / scene.path, scene.frames) for scene in reversed(videos)]
    again = split_scenes(elsewhere, 0.1)[1]
    assert {scene.path.name for scene in again} == {s.path.name for s in held if s.frames > 1}


@pytest.mark.parametrize(("ratio", "held"), [(0, 0), (0.01, 1), (0.5, 2), (1, 2)])
def test_something_is_left_to_train_on(ratio, held):
    videos = [Scene(Path(f"{number}.mp4"), 40) for number in range(3)]
    assert [len(part) for part in split_scenes(videos, ratio)] == [3 - held, held]
    assert split_scenes(videos[:1], 1) == (videos[:1], [])
