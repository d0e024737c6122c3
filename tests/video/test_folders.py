"""Which files of a folder are frames, in which order; patterns; what is told about the others."""

import random

import numpy as np
import pytest

from cyclesiam.cli.track import default_output
from cyclesiam.errors import SourceError
from cyclesiam.video import open_frames, opencv_files, probe, read_frames
from cyclesiam.video.folders import is_pattern, list_images
from support.media import textured, write_image


def make(folder, names):
    """Write one picture, and copies of it under shuffled names."""
    folder.mkdir(parents=True, exist_ok=True)
    content = write_image(folder / "first.png", textured(0, 32, 32)).read_bytes()
    (folder / "first.png").unlink()
    for name in random.Random(0).sample(names, len(names)):
        (folder / name).write_bytes(content)
    return folder


def read(source, **options):
    events = []
    with open_frames(source, on_event=events.append, **options) as frames:
        return [frame.index for frame in frames], events


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.png" for n in range(-12, 12)],
        [f"t{n}.png" for n in range(-12, 12)],
        [f"frame_{n}.png" for n in range(-12, 0)],
        [f"frame-{n}.png" for n in range(12)],  # here the hyphen separates
        [f"2024-01-{n}.png" for n in range(1, 31)],
        [f"{n:x}.png" for n in range(40)],
        [f"{n:03x}.png" for n in range(0, 600, 7)],
        [f"frame_{n:04X}.png" for n in range(0, 600, 7)],
        [f"img0x{n:x}.png" for n in range(40)],
        [f"{n}{side}.png" for n in range(8, 12) for side in "ab"],
        [f"{n / 100:g}.png" for n in range(0, 120, 3)],
        [f"1305031102.{n:06}.png" for n in range(0, 999999, 33333)],
        [f"s{s}f{f}.png" for s in range(8, 12) for f in range(8, 12)],
        ["1.png", "1a.png", "2.png", "10.png"],
    ],
    ids=lambda names: names[-1],
)
def test_names_are_in_the_order_of_their_numbers(tmp_path, names):
    assert [path.name for path in list_images(make(tmp_path, names))] == names


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("%05d.png", 12), ("%d.png", 12), ("*.png", 12), ("0000[0-4].png", 5), ("*1.pn?", 2)],
)
def test_patterns_choose_files(tmp_path, pattern, count):
    folder = make(tmp_path / "walk", [f"{n:05}.png" for n in range(12)])
    make(folder, [f"{n:05}_mask.bmp" for n in range(12)])
    source = folder / pattern
    assert is_pattern(source)
    assert read(source) == ([*range(count)], [])
    assert probe(source).frames == opencv_files.probe(source).frames == count
    assert len(read_frames(source, 1, 3)) == min(3, count - 1)
    assert default_output(str(source)).name == "walk.jsonl"


def test_a_pattern_without_images_is_refused(tmp_path):
    make(tmp_path, ["1.png"])
    (tmp_path / "1.mp4").write_bytes(b"")
    for pattern in ("%05d.png", "*.jpg", "*.mp4", "nosuch/%d.png", "[x"):
        with pytest.raises(SourceError, match="no image matches this pattern") as caught:
            open_frames(tmp_path / pattern)
        assert "give the folder itself" in str(caught.value)


def test_a_file_may_be_named_like_a_pattern(tmp_path):
    make(tmp_path, ["%05d.png", "*.png", "1.png"])
    assert read(tmp_path / "%05d.png")[0] == [0]
    assert read(tmp_path / "*.png")[0] == [0]


@pytest.mark.parametrize(
    "second", ["{:05}.bmp", "{:05}_mask.png", "mask_{:05}.png", "right{:05}.png"]
)
def test_two_kinds_of_files_are_told(tmp_path, second):
    make(tmp_path, [f"{n:05}.png" for n in range(8)] + [second.format(n) for n in range(8)])
    numbers, events = read(tmp_path)
    assert numbers == [*range(16)]
    (event,) = events
    assert "two kinds of files" in event
    assert second.format(0) in event
    assert "give a pattern such as" in event


def test_odd_and_even_frames_of_two_formats_are_told(tmp_path):
    make(tmp_path, [f"{n:05}.{'png' if n % 2 else 'bmp'}" for n in range(12)])
    assert "two kinds of files" in read(tmp_path)[1][0]


@pytest.mark.parametrize(
    "names",
    [
        [f"{n:05}.png" for n in range(12)],
        [f"frame{n}.png" for n in range(12)],
        [*(f"{n:05}.png" for n in range(12)), "cover.png", "thumb1.png"],
        [f"s{s}_f{f}.png" for s in range(3) for f in range(4)],
        [*(f"a{n}.png" for n in range(6)), *(f"b{n}.png" for n in range(6, 12))],
    ],
    ids=lambda names: names[-1],
)
def test_one_kind_of_files_needs_no_word(tmp_path, names):
    assert read(make(tmp_path, names))[1] == []


def test_pictures_that_cannot_be_read_are_told(tmp_path):
    folder = make(tmp_path / "a", ["1.png", "2.png"])
    for name in ("3.heic", "4.heic", "5.gif", "notes.txt", ".6.heic"):
        (folder / name).write_bytes(b"")
    assert "(1 .gif, 2 .heic)" in read(folder)[1][0]
    for name in ("1.png", "2.png"):
        (folder / name).unlink()
    with pytest.raises(SourceError, match=r"holds no images that can be read \(1 \.gif, 2 \.heic"):
        open_frames(folder)


@pytest.mark.parametrize("broken", [[0], [5], [0, 1, 11], [11]])
def test_broken_images_can_be_left_out(tmp_path, broken):
    folder = make(tmp_path, [f"{n:05}.png" for n in range(12)])
    for number in broken:
        (folder / f"{number:05}.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match="is not an image, or is damaged"):
        read(folder)
    numbers, events = read(folder, skip_broken=True)
    assert numbers == [n for n in range(12) if n not in broken]  # of their files
    assert len(events) == len(broken)
    assert events[0].startswith(f"left out: {folder / f'{broken[0]:05}.png'}: is not an image")


def test_times_of_images_left_out_stay(tmp_path):
    folder = make(tmp_path, [f"{n}.png" for n in range(4)])
    (folder / "2.png").write_bytes(b"")
    with open_frames(folder, skip_broken=True) as frames:
        assert [frame.time for frame in frames] == [0, 0.04, 0.12]
        assert frames.damage.missing == [2]
    for number in range(4):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(SourceError, match="nothing can be decoded"):
        open_frames(folder, skip_broken=True)


def test_images_of_another_size_are_not_left_out(tmp_path):
    folder = make(tmp_path, ["0.png", "1.png"])
    write_image(folder / "2.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SourceError, match="all frames must have one size"):
        read(folder, skip_broken=True)
