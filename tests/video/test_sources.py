import shutil
import struct
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest

from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.video import (
    VideoWriter,
    is_image,
    is_url,
    is_video,
    open_frames,
    opencv_files,
    probe,
    read_frames,
    read_image,
)
from support.media import encode, noise_frames


def read_all(source):
    with open_frames(source) as frames:
        return [frame.image for frame in frames]


def break_of(source):
    """Read until it raises; return the number of frames before and the message."""
    with open_frames(source) as frames:
        read = 0
        try:
            for frame in frames:
                assert frame.index == read
                read += 1
        except SourceError as error:
            return read, str(error)
    pytest.fail(f"{source} should break, but gave {read} frames")


# ---- video files


def test_write_then_read(tmp_path, made_frames):
    path = tmp_path / "made.mp4"
    with VideoWriter(path, fps=12.5) as writer:
        for image in made_frames:
            writer.write(image)
    with open_frames(path) as frames:
        assert (frames.fps, frames.count, frames.size) == (12.5, 12, (64, 48))
        read = list(frames)
    assert [frame.index for frame in read] == list(range(12))
    assert [frame.time for frame in read] == pytest.approx([t / 12.5 for t in range(12)])
    for frame, image in zip(read, made_frames, strict=True):
        assert frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - image).mean() < 4  # also: colors keep their place


def test_frames_are_shown_when_their_time_has_come(tmp_path, made_frames):
    path = tmp_path / "made.mp4"
    with VideoWriter(path, fps=10) as writer:
        for image, time in zip(made_frames, (0, 0.1, 0.5, 0.52, None, 0.3), strict=False):
            writer.write(image, time)
    with open_frames(path) as frames:
        times = [frame.time for frame in frames]
    assert times == pytest.approx([0, 0.1, 0.5, 0.6, 0.7, 0.8])  # none before the one before it


def test_written_file_plays_anywhere(tmp_path, made_frames):
    path = tmp_path / "made.mp4"
    with VideoWriter(path, fps=29.97) as writer:
        writer.write(made_frames[0])
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts before it is loaded whole
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30000, 1001)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (47, 64), (48, 63), (51, 37)])
def test_odd_sizes_are_padded_to_even(tmp_path, height, width):
    image = np.full((height, width, 3), (200, 40, 90), np.uint8)
    with VideoWriter(tmp_path / "odd.mp4", fps=25) as writer:
        writer.write(image)
    (read,) = read_all(tmp_path / "odd.mp4")
    assert read.shape == (height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(read, np.broadcast_to((200, 40, 90), read.shape), atol=4)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "gray", "yuv444p10le"])
def test_odd_and_grey_and_deep_videos_come_out_as_rgb(tmp_path, pix_fmt):
    grey = np.repeat(noise_frames(3, 35, 37)[0][..., :1], 3, axis=-1)
    codec = "ffv1" if pix_fmt == "gray" else "libx264"
    path = encode(tmp_path / "clip.mkv", [grey] * 3, codec=codec, pix_fmt=pix_fmt, x264="qp=4")
    images = read_all(path)
    assert len(images) == 3
    assert images[0].shape == (35, 37, 3)
    assert np.abs(images[0].astype(int) - grey).mean() < 3


@pytest.mark.parametrize(
    ("matrix", "turned"),  # a, b, c, d: (x, y) is shown at (ax + cy, bx + dy)
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # a phone held upright: clockwise
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),  # a mirror: selfie cameras
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_rotation_flags_are_applied(tmp_path, matrix, turned):
    path = encode(tmp_path / "clip.mp4", noise_frames(4))
    upright = read_all(path)[0]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # the matrix of a version 0 track header
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_all(path)[0], turned(upright))
    np.testing.assert_array_equal(read_frames(path, 0, 1)[0], turned(upright))
    info = probe(path)
    assert (info.height, info.width) == turned(upright).shape[:2]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("ratio", [Fraction(16, 11), Fraction(8, 9), Fraction(1)])
def test_pixels_that_are_not_square_stay_so(tmp_path, made_frames, suffix, ratio):
    path = tmp_path / f"made{suffix}"
    with VideoWriter(path, fps=25, pixel_aspect=ratio) as writer:
        for image in made_frames:
            writer.write(image)
    with open_frames(path) as frames:
        assert frames.size == (64, 48)  # in pixels
        assert frames.pixel_aspect == ratio
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == ratio


def test_pixels_turn_with_their_picture(tmp_path, made_frames):
    path = tmp_path / "made.mp4"
    with VideoWriter(path, fps=25, pixel_aspect=Fraction(4, 3)) as writer:
        writer.write(made_frames[0])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with open_frames(path) as frames:
        assert frames.size == (48, 64)
        assert frames.pixel_aspect == Fraction(3, 4)


# ---- damage


# An AVI cut at 0.93 lacks three frames only: as many as a header may announce too much.
@pytest.mark.parametrize(
    ("suffix", "kept"),
    [
        *product([".mp4", ".mkv", ".avi"], [0.5, 0.8, 0.9]),
        *product([".mp4", ".mkv"], [0.93]),
    ],
)
def test_the_error_of_a_cut_file_names_the_frame(tmp_path, suffix, kept):
    whole = encode(tmp_path / f"whole{suffix}", noise_frames(60))
    data = whole.read_bytes()
    if suffix == ".mp4":  # with its index in front, as files that are cut in transfer
        with VideoWriter(whole, fps=25) as writer:
            for image in noise_frames(60):
                writer.write(image)
        data = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[: int(len(data) * kept)])
    read, message = break_of(cut)
    assert 0 < read < 60
    assert message.startswith(f"{cut}: reading broke at frame {read}:")
    with pytest.raises(SourceError, match="reading broke at about frame"):
        probe(cut)


def test_a_cut_transport_stream_gives_what_is_there(tmp_path):
    whole = encode(tmp_path / "whole.ts", noise_frames(60))
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    assert 0 < len(read_all(cut)) < 60  # this container announces no length
    assert len(read_all(whole)) == 60


def test_overwritten_bytes_are_noticed(tmp_path):
    path = encode(tmp_path / "clip.mp4", noise_frames(60))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    read, message = break_of(path)
    assert f"frame {read}" in message


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_uneven_times_are_not_damage(tmp_path, suffix):
    times = [t + 7 * (t > 10) + 30 * (t > 35) for t in range(40)]
    if suffix == ".avi":  # its frames have numbers, not times
        times = list(range(40))
    path = encode(tmp_path / f"clip{suffix}", noise_frames(40), times=times)
    with open_frames(path) as frames:
        read = list(frames)
    assert [round(frame.time * 25) for frame in read] == times
    assert probe(path).frames == 40


def test_a_longer_sound_track_is_not_damage(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for image in noise_frames(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 40000), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    assert len(read_all(path)) == 10


def test_sources_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "notes.txt").write_text("no image")
    (tmp_path / "words.mp4").write_text("no video")
    (tmp_path / "void.mp4").write_bytes(b"")
    (tmp_path / "words.jpg").write_text("no image")
    (tmp_path / "void.png").write_bytes(b"")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode())
    for name, words in {
        "missing.mp4": "[Nn]o such file",
        "missing.jpg": "check the path",
        "empty": "no images",
        "words": "no images",
        "words.mp4": "cannot be opened",
        "void.mp4": "cannot be opened",
        "words.jpg": "not an image",
        "void.png": "not an image",
        "sound.wav": "no video",
    }.items():
        for read in (open_frames, probe, lambda path: read_frames(path, 0, 2)):
            with pytest.raises(SourceError, match=words) as caught:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value)
            assert "\n" not in str(caught.value)
            assert isinstance(caught.value, CycleSiamError)


def test_cameras_and_streams_that_are_not_there():
    with pytest.raises(SourceError, match="/dev/video98"):
        open_frames(98)
    with pytest.raises(SourceError, match="/dev/video98"):
        open_frames("98")
    with pytest.raises(SourceError, match="refused"):
        open_frames("rtsp://127.0.0.1:9/live")


def test_a_folder_named_by_a_number_is_a_folder(tmp_path, monkeypatch):
    (tmp_path / "0001").mkdir()
    write_image(tmp_path / "0001" / "1.png", np.zeros((4, 6, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert len(read_all("0001")) == 1


def test_a_stream_is_read_like_a_file(tmp_path):
    path = encode(tmp_path / "clip.mp4", noise_frames(12))
    streamed = read_all(path.as_uri())
    np.testing.assert_array_equal(streamed, read_all(path))


# ---- names


@pytest.mark.parametrize(
    "name",
    [
        *("2024-01-01T12:00:00.mp4", "take:1/c.mp4", "http:/c.mp4", "file:c.mp4", "concat:a|b.mp4"),
        *("a%05d.mp4", "-.mp4", "a?b#c.mp4", "a b.mp4", "pipe:1.mp4", "[x]*.mp4"),
    ],
)
def test_a_path_is_a_file_whatever_its_name(tmp_path, monkeypatch, made_frames, name):
    monkeypatch.chdir(tmp_path)  # relative: nothing comes before the colon
    Path(name).parent.mkdir(exist_ok=True)
    with VideoWriter(name, 25) as writer:
        for image in made_frames:
            writer.write(image)
    assert not is_url(name)
    assert Path(name).is_file()
    assert len(read_all(name)) == probe(name).frames == len(made_frames)
    assert len(read_frames(name, 3, 4)) == len(opencv_files.read_frames(name, 3, 4)) == 4
    assert opencv_files.probe(name).frames == len(made_frames)


def test_urls_have_a_known_scheme_and_are_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("rtsp://a/b", "HTTP://a/b.mp4", "srt://a:9000?mode=caller", "udp://@:1234"):
        assert is_url(url)
    for name in ("a.mp4", "take://1.mp4", "12:30://x", "://", "C:/a.mp4", 0, "x" * 5000):
        assert not is_url(name)
    (tmp_path / "http:" / "a").mkdir(parents=True)
    assert not is_url("http://a")
    with pytest.raises(SourceError, match=r"take://1\.mp4: there is no such file"):
        open_frames("take://1.mp4")


# ---- images


def write_image(path, image):
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


@pytest.mark.parametrize(
    "pixels",  # as OpenCV stores them: BGR(A) or gray
    [
        np.full((5, 7), 77, np.uint8),
        np.full((5, 7), 77 * 257, np.uint16),
        np.full((5, 7, 3), 77 * 257, np.uint16),
        np.full((5, 7, 4), 77, np.uint8),
    ],
)
def test_every_kind_of_image_becomes_rgb8(tmp_path, pixels):
    image = read_image(write_image(tmp_path / "a.png", pixels))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.full((5, 7, 3), 77))


@pytest.mark.parametrize(
    "name",
    "a.jpe a.jfif a.jp2 a.avif a.tga a.pbm a.pam a.ras a.dib a.webp".split(),
)
def test_seldom_formats_are_read_alone_and_in_folders(tmp_path, name):
    gray = np.full((16, 32, 3), 255, np.uint8)
    try:
        if name in ("a.pam", "a.ras"):
            (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, gray)[1].tobytes())
        else:
            image = PIL.Image.fromarray(gray)
            (image.convert("1") if name == "a.pbm" else image).save(tmp_path / name)
    except (cv2.error, ValueError, OSError):
        pytest.skip("cannot be written here")
    for source in (tmp_path / name, tmp_path):
        (image,) = read_all(source)
        assert image.shape == gray.shape
        assert image.mean() > 250


def test_colors_and_transparency(tmp_path):
    red = np.zeros((4, 6, 4), np.uint8)
    red[..., 2], red[..., 3] = 200, 10
    image = read_image(write_image(tmp_path / "a.png", red))
    np.testing.assert_array_equal(image, np.broadcast_to((200, 0, 0), (4, 6, 3)))


def test_sixteen_bits_reach_both_ends(tmp_path):
    ramp = np.array([[0, 128, 129, 65535]], np.uint16)
    image = read_image(write_image(tmp_path / "a.png", ramp))
    assert image[0, :, 0].tolist() == [0, 0, 1, 255]


def test_exif_orientation_is_applied(tmp_path):
    jpeg = cv2.imencode(".jpg", np.zeros((16, 32, 3), np.uint8))[1].tobytes()
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn clockwise
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    segment = b"Exif\0\0" + tiff
    marked = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(marked)
    assert read_image(path).shape == (32, 16, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_cut_image_is_refused(tmp_path, suffix):
    path = write_image(tmp_path / f"a{suffix}", noise_frames(1)[0])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match="damaged"):
        read_image(path)


def test_a_folder_is_read_in_natural_order(tmp_path):
    names = ["img2.png", "img10.png", "img1.png", "IMG3.PNG", "img010b.png"]
    for value, name in enumerate(names):
        path = tmp_path / name
        path.write_bytes(cv2.imencode(".png", np.full((4, 6, 3), value, np.uint8))[1].tobytes())
    (tmp_path / ".img0.png").write_text("hidden")
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4")
    for name in names:
        assert is_image(tmp_path / name)
    with open_frames(tmp_path) as frames:
        assert (frames.count, frames.size) == (5, (6, 4))
        order = [names[frame.image[0, 0, 0]] for frame in frames]
    assert order == ["IMG3.PNG", "img1.png", "img2.png", "img10.png", "img010b.png"]
    assert [image[0, 0, 0] for image in read_frames(tmp_path, 1, 2)] == [2, 0]
    info = probe(tmp_path)
    assert (info.frames, info.width, info.height) == (5, 6, 4)


def test_a_folder_has_one_size(tmp_path):
    for index, width in enumerate([6, 6, 7]):
        write_image(tmp_path / f"{index}.png", np.zeros((4, width, 3), np.uint8))
    read, message = break_of(tmp_path)
    assert read == 2
    assert message.startswith(f"{tmp_path / '2.png'}: is 7 x 4, but the first frame is 6 x 4")


def test_a_single_image_is_one_frame(tmp_path):
    path = write_image(tmp_path / "a.bmp", np.full((4, 6, 3), 9, np.uint8))
    (image,) = read_all(path)
    assert image.shape == (4, 6, 3)
    assert probe(path).frames == 1
    assert len(read_frames(path, 0, 4)) == 1


def test_suffixes():
    assert is_video("a/b.MP4")
    assert not is_video("b.txt")
    assert is_image(Path("a.JPG"))
    assert not is_image("a.mp4")


# ---- ranges of frames


@pytest.mark.parametrize(
    ("suffix", "x264"),
    [
        (".mp4", "keyint=12"),
        (".mp4", "keyint=10:open-gop=1:bframes=3:b-adapt=0"),
        (".mp4", "keyint=250:min-keyint=250"),
        (".mkv", "keyint=7:bframes=2"),
        (".ts", "keyint=9:open-gop=1"),
        (".avi", "keyint=8"),
    ],
)
def test_ranges_equal_sequential_reading(tmp_path, suffix, x264):
    path = encode(tmp_path / f"clip{suffix}", noise_frames(40), x264=x264)
    whole = read_all(path)
    assert len(whole) == 40
    for start, count in [(0, 1), (0, 40), (11, 3), (12, 3), (17, 9), (29, 5), (38, 9), (40, 1)]:
        run = read_frames(path, start, count)
        assert len(run) == len(whole[start : start + count])
        for image, expected in zip(run, whole[start : start + count], strict=True):
            np.testing.assert_array_equal(image, expected)


def test_impossible_ranges_are_refused(tmp_path):
    path = encode(tmp_path / "clip.mp4", noise_frames(4))
    assert read_frames(path, 2, 0) == []
    with pytest.raises(ValueError, match="-1"):
        read_frames(path, -1, 2)


@pytest.mark.shared
def test_ranges_of_real_clips_equal_sequential_reading(shared):
    for path in sorted((shared / "data" / "train" / "clips").glob("*.mp4"))[::20]:
        whole = read_all(path)
        assert probe(path).frames == len(whole)
        start = len(whole) * 2 // 3
        np.testing.assert_array_equal(read_frames(path, start, 5), whole[start : start + 5])


# ---- writing


def test_a_writer_without_frames_leaves_nothing(tmp_path):
    with VideoWriter(tmp_path / "none.mp4", fps=25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_writer_refuses(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    for path in ["missing/a.mp4", "folder.mp4", "a.txt"]:
        with pytest.raises(SourceError, match=path):
            VideoWriter(tmp_path / path, fps=25)
    with pytest.raises(ValueError, match="above zero"):
        VideoWriter(tmp_path / "a.mp4", fps=0)
    with VideoWriter(tmp_path / "a.mp4", fps=25) as writer:
        with pytest.raises(ValueError, match="float"):
            writer.write(np.zeros((4, 4, 3)))
        writer.write(np.zeros((4, 6, 3), np.uint8))
        with pytest.raises(SourceError, match="frame 1 is 7 x 4, but the first was 6 x 4"):
            writer.write(np.zeros((4, 7, 3), np.uint8))
    assert len(read_all(tmp_path / "a.mp4")) == 1


def test_a_path_that_cannot_be_written_is_named():
    if not Path("/proc/self").exists():
        pytest.skip("needs a folder that nobody may write to")
    with pytest.raises(SourceError, match=r"/proc/a\.mp4: cannot be written .*another place"):
        VideoWriter("/proc/a.mp4", fps=25)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_video_plays_that_was_never_closed(tmp_path, made_frames, suffix):
    """As after `kill -9`: what is in the file then is all there is."""
    path, left = tmp_path / f"made{suffix}", tmp_path / f"left{suffix}"
    with VideoWriter(path, fps=25) as writer:
        for image in made_frames * 3:
            writer.write(image)
        shutil.copy(path, left)
    assert len(read_all(left)) >= 24
    assert len(read_all(path)) == 36
    assert {file.name for file in tmp_path.iterdir()} == {path.name, left.name}
