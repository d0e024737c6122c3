"""Unusual files among thousands: used, or reported and left out."""

import io
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclesiam.cli import main
from cyclesiam.data.clips import BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.scenes import find_scenes
from cyclesiam.errors import TrainingError
from support.media import moving_square, textured, write_frames, write_image, write_video

LIVE = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00"
)
SOUND = LIVE + b"\x02\x00\x10\x00data\x00\x10\x00\x00" + bytes(4096)  # a second of silence


LATIN = os.fsdecode(b"caf\xe9.png")  # from an old disk; not UTF-8


def write_bytes(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def huge_bmp() -> bytes:
    """Return a header that declares 60000 x 60000 pixels, without them."""
    size = (60000).to_bytes(4, "little")
    head = (54).to_bytes(4, "little") + (40).to_bytes(4, "little") + size + size
    return b"BM" + bytes(8) + head + b"\x01\x00\x18\x00" + bytes(24)


def write_bad(folder):
    """Write files that cannot be used; return the names that must be reported."""
    write_video(folder / "whole.mp4", moving_square(12))
    whole = (folder / "whole.mp4").read_bytes()
    (folder / "whole.mp4").unlink()
    write_bytes(folder / "truncated.mp4", whole[: len(whole) // 2])
    write_bytes(folder / "empty.mp4", b"")
    write_bytes(folder / "text.mp4", b"this is no video\n")
    write_bytes(folder / "sound.mov", SOUND)
    write_bytes(folder / "empty.png", b"")
    write_bytes(folder / "text.jpg", b"this is no image\n")
    write_bytes(folder / "huge.bmp", huge_bmp())
    write_image(folder / "pixel.png", np.zeros((1, 1, 3), np.uint8))
    write_image(folder / "line.png", np.zeros((1, 400, 3), np.uint8))
    write_video(folder / "tiny.mkv", [np.zeros((2, 2, 3), np.uint8)] * 5)
    write_bytes(folder / "none.y4m", b"YUV4MPEG2 W64 H64 F25:1 Ip A1:1 C420\n")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "round.png").symlink_to(folder / "round.png")
    return "truncated.mp4 empty.mp4 text.mp4 sound.mov empty.png text.jpg huge.bmp pixel.png \
line.png tiny.mkv gone.mp4 round.png none.y4m pipe.mp4".split()


def write_odd(folder):
    """Write unusual files that can be used; return the number of their scenes."""
    write_bytes(folder / "film.mp4" / "notes.txt", b"a folder called like a video")
    write_frames(folder / "film.mp4", moving_square(14))
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    deep = textured(1).astype(np.uint16) * 257
    cv2.imwrite(str(folder / "deep.png"), deep)
    cv2.imwrite(str(folder / "gray.png"), textured(2)[..., 0])
    cv2.imwrite(str(folder / "alpha.png"), np.dstack((textured(3), textured(4)[..., :1])))
    images = [Image.fromarray(frame) for frame in moving_square(6)]
    images[0].save(folder / "moving.gif", save_all=True, append_images=images[1:], duration=40)
    images[0].save(folder / "moving.webp", save_all=True, append_images=images[1:], duration=40)
    (folder / "gray.png").rename(folder / LATIN)
    write_video(folder / "video.mp4", moving_square(8)).rename(folder / f"{LATIN}.mp4")
    return 7


def clips_of(scenes, batches=3):
    dataset = ClipDataset(
        scenes, ClipConfig(batch_size=4, height=64, width=64, batches_per_chunk=1), 0
    )
    return [dataset[BatchRequest(number, 1, 2)] for number in range(batches)]


def test_what_is_odd_is_used(tmp_path):
    count = write_odd(tmp_path)
    scenes, problems = find_scenes([tmp_path])
    assert problems == []
    assert len(scenes) == count
    assert {scene.path.name: scene.frames for scene in scenes if scene.frames > 1} == {
        "film.mp4": 14,
        "moving.gif": 6,
        "moving.webp": 6,
        f"{LATIN}.mp4": 8,
    }
    for batch in clips_of(scenes):
        assert batch.problems == ()
        assert batch.boxes[:, 0].isfinite().all()


def test_what_is_bad_is_reported_and_left_out(tmp_path):
    bad = write_bad(tmp_path)
    count = write_odd(tmp_path)
    scenes, problems = find_scenes([tmp_path])
    reported = " ".join(problems)
    reported += " ".join(problem for batch in clips_of(scenes, 40) for problem in batch.problems)
    assert [name for name in bad if name not in reported] == []
    assert len(problems) == len(bad)
    assert len(scenes) == count


def test_a_folder_of_nothing_else_stops_with_one_line(tmp_path, capsys):
    bad = write_bad(tmp_path / "bad")
    with pytest.raises(TrainingError, match=f"the first of {len(bad)} problems"):
        find_scenes([tmp_path / "bad"])
    assert main(["train", str(tmp_path / "bad"), "--output", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"the first of {len(bad)} problems" in message


@pytest.mark.parametrize("place", ["a folder", "a file"])
def test_what_may_not_be_read_is_reported(tmp_path, monkeypatch, place):
    """Root may read everything, so the refusal is simulated."""
    write_frames(tmp_path / "open", moving_square(12))
    write_image(tmp_path / "closed" / "secret.png", textured(0))
    denied_path = tmp_path / "closed" if place == "a folder" else tmp_path / "closed" / "secret.png"
    refuse(monkeypatch, denied_path)
    scenes, problems = find_scenes([tmp_path])
    assert [scene.path.name for scene in scenes] == ["open"]
    assert len(problems) == 1
    assert str(denied_path) in problems[0]
    assert "Permission denied" in problems[0]


def refuse(monkeypatch, denied_path):
    """Deny the listing of a folder, or the opening of a file."""
    listing, opening = os.listdir, io.open

    def denied(path):
        if os.fspath(path) == str(denied_path):
            raise PermissionError(13, "Permission denied", str(path))

    def listdir(path="."):
        denied(path)
        return listing(path)

    def open_file(path, *more, **options):
        denied(path)
        return opening(path, *more, **options)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(io, "open", open_file)
