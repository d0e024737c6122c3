"""Files whose frames can all be shown, although they are joined or damaged."""

import numpy as np
import pytest

from cyclesiam.data.scenes import find_scenes
from cyclesiam.errors import SourceError
from cyclesiam.video import open_frames, probe, read_frames
from support.media import encode, noise_frames

CODECS = {".mpg": "mpeg2video", ".vob": "mpeg2video", ".avi": "mjpeg", ".mjpeg": "mjpeg"}


def write(path, images):
    codec = CODECS.get(path.suffix, "libx264")
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return encode(path, images, codec=codec, pix_fmt=pix_fmt)


def read(source):
    events = []
    with open_frames(source, on_event=events.append) as frames:
        return list(frames), events, frames.damage


# ---- joined


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".mpg", ".vob", ".h264", ".mjpeg"])
def test_joined_streams_are_followed_through(tmp_path, suffix):
    images = noise_frames(60)
    parts = [
        write(tmp_path / f"{n}{suffix}", images[20 * n : 20 * n + 20]).read_bytes()
        for n in range(3)
    ]
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(b"".join(parts))
    frames, events, damage = read(path)
    assert len(frames) == 60
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 25
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(60) / 25, atol=0.06)
    assert not damage.frames
    assert all("joints" in event for event in events)
    assert probe(path).frames == 60
    for start in (0, 18, 45):
        found = read_frames(path, start, 5)
        np.testing.assert_array_equal(found, [frame.image for frame in frames[start : start + 5]])
    scenes, problems = find_scenes([path])
    assert [scene.frames for scene in scenes] == [60]
    assert problems == []


def test_a_part_that_begins_hours_later_goes_on_at_once(tmp_path):
    times = [90000 * 25 + t for t in range(20)]
    parts = [
        encode(tmp_path / "0.ts", noise_frames(20)).read_bytes(),
        encode(tmp_path / "1.ts", noise_frames(20), times=times).read_bytes(),
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    frames, _, _ = read(tmp_path / "joined.ts")
    assert len(frames) == 40
    assert frames[-1].time == pytest.approx(39 / 25, abs=0.06)


# ---- damaged


@pytest.mark.parametrize("suffix", [".avi", ".mjpeg", ".h264", ".ts", ".mpg"])
@pytest.mark.parametrize("where", [0.4, 0.6, 0.8])
def test_damage_inside_a_file_is_told(tmp_path, suffix, where):
    path = write(tmp_path / f"clip{suffix}", noise_frames(60, 240, 320))
    _, events, damage = read(path)
    assert not events
    assert not damage
    data = bytearray(path.read_bytes())
    start = int(where * len(data))
    data[start : start + 1500] = np.random.default_rng(0).bytes(1500)
    path.write_bytes(data)
    try:
        _, events, damage = read(path)
    except SourceError as error:  # the rest of the file cannot be found
        events = [str(error)]
    assert len(events) == 1
    assert "reading broke at frame" in events[0] or str(damage) in events[0]


def test_a_damaged_picture_is_shown_and_named(tmp_path):
    path = write(tmp_path / "clip.mjpeg", noise_frames(60, 240, 320))
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xda", len(data) // 2) + 2000  # within the pixels of a frame
    assert b"\xff\xd8" not in data[start : start + 300]
    data[start : start + 300] = bytes(value % 255 for value in range(300))
    path.write_bytes(data)
    frames, events, damage = read(path)
    assert len(frames) == 60
    assert len(damage.frames) == 1
    assert f"damaged frames: 1 (frame {damage.frames[0]})" in events[0]
