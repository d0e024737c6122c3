"""Image files of several pictures: all of them are frames, whatever the format."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclesiam.data.scenes import find_scenes
from cyclesiam.errors import SourceError
from cyclesiam.video import open_frames, opencv_files, probe, read_frames, read_image
from cyclesiam.video.stacks import find_stack
from support.media import textured


def pictures(count, mode="RGB"):
    return [Image.fromarray(textured(number, 48, 64)).convert(mode) for number in range(count)]


def save(path, images, **options):
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def read_all(source):
    with open_frames(source) as frames:
        return list(frames)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.tif", "RGB", {}),
        ("a.tiff", "L", {"compression": "tiff_lzw"}),
        ("a.tif", "RGB", {"big_tiff": True}),
        ("a.png", "RGB", {"duration": 40}),
        ("a.png", "RGBA", {"duration": 40}),
        ("a.webp", "RGB", {"duration": 40, "lossless": True}),
        ("a.apng", "RGB", {"duration": 40, "format": "PNG"}),
    ],
)
def test_all_pictures_of_a_file_are_frames(tmp_path, name, mode, options):
    images = pictures(30, mode)
    path = save(tmp_path / name, images, **options)
    frames = read_all(path)
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([t / 25 for t in range(30)])
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, np.asarray(image.convert("RGB")))
    assert (probe(path).frames, probe(path).width, probe(path).fps) == (30, 64, 25)
    for reader in (read_frames, opencv_files.read_frames):
        found = reader(path, 7, 3)
        np.testing.assert_array_equal(found, [frame.image for frame in frames[7:10]])
    assert len(read_frames(path, 28, 9)) == 2


def test_times_are_those_of_the_file(tmp_path):
    path = save(tmp_path / "a.webp", pictures(4), duration=[100, 300, 50, 100])
    assert [frame.time for frame in read_all(path)] == pytest.approx([0, 0.1, 0.4, 0.45])
    assert probe(path).fps == pytest.approx(10)


def test_an_animation_of_avif_is_read(tmp_path):
    try:
        path = save(tmp_path / "a.avif", pictures(5), duration=40)
    except (OSError, KeyError, ValueError):
        pytest.skip("this Pillow writes no AVIF")
    assert len(read_all(path)) == 5


def test_a_stack_of_sixteen_bits_and_colors_is_read(tmp_path):
    images = [np.full((48, 64, 3), 257 * (t + 200), np.uint16) for t in range(30)]
    for image in images:
        image[0, 1:] = 65535  # white, beside black
        image[1] = 0
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), images)
    values = [frame.image[0, 0, 0] for frame in read_all(tmp_path / "a.tif")]
    assert values == list(range(200, 230))


def test_large_pages_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", pictures(30))
    whole = read_all(path)
    for size in (1, 3 * 48 * 64 * 4):
        monkeypatch.setattr("cyclesiam.video.stacks.BLOCK_BYTES", size)
        for one, other in zip(read_all(path), whole, strict=True):
            np.testing.assert_array_equal(one.image, other.image)


def test_smaller_copies_of_a_photograph_are_no_frames(tmp_path):
    large, small = pictures(2)
    previews = [small.resize((32, 24)), small.resize((16, 12))]
    for image in previews:
        image.encoderinfo = {"tiffinfo": {254: 1}}
    path = tmp_path / "pyramid.tif"
    save(path, [large, *previews])
    assert len(read_all(path)) == 1
    path = save(tmp_path / "stereo.jpg", [large, small], format="MPO")
    assert len(read_all(path)) == 1


def test_the_still_of_an_animation_is_no_frame(tmp_path):
    images = pictures(4)
    path = save(tmp_path / "a.png", images, default_image=True, duration=40)
    frames = read_all(path)
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[0].image, np.asarray(images[1]))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_cut_file_gives_the_frames_before(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", pictures(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read = []
    with open_frames(path) as frames, pytest.raises(SourceError) as caught:
        read.extend(frame for frame in frames)
    assert 5 < len(read) < 30
    assert str(caught.value).startswith(f"{path}: reading broke at frame {len(read)}: ")


def test_a_stack_that_cannot_be_read_whole_is_refused(tmp_path):
    info = {270: "ImageJ=1.53t\nimages=9000\nslices=9000\n"}
    pictures(1)[0].save(tmp_path / "large.tif", tiffinfo=info)
    with pytest.raises(SourceError, match=r"large\.tif: announces 9000 pictures"):
        open_frames(tmp_path / "large.tif")


def test_a_folder_of_files_of_several_pictures_is_refused(tmp_path):
    save(tmp_path / "1.tif", pictures(3))
    assert len(read_all(tmp_path)) == 3  # the only file
    shutil.copy(tmp_path / "1.tif", tmp_path / "2.tif")
    with pytest.raises(SourceError, match="holds 3 pictures, but is one of 2 files"):
        read_all(tmp_path)


def test_an_image_of_one_picture_is_no_stack(tmp_path):
    for suffix in (".tif", ".png", ".webp", ".jpg", ".bmp", ".ppm"):
        pictures(1)[0].save(tmp_path / f"a{suffix}")
        assert find_stack(tmp_path / f"a{suffix}") is None
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    assert find_stack(tmp_path / "b.tif") is None


def test_training_draws_all_pictures_of_a_file(tmp_path):
    save(tmp_path / "a.tif", pictures(30))
    save(tmp_path / "b.webp", pictures(20))
    pictures(1)[0].save(tmp_path / "c.png")
    scenes, problems = find_scenes([tmp_path])
    assert [scene.frames for scene in scenes] == [30, 20, 1]
    assert problems == []
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif"), read_frames(scenes[0].path, 0, 1)[0]
    )
