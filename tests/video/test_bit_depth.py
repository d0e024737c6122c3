"""Sixteen bits of which fewer are in use: found from the data, scaled alike for a whole source."""

import cv2
import numpy as np
import pytest

from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.video import open_frames, read_frames, read_image, read_images
from cyclesiam.video.bit_depth import Levels, measure_levels
from cyclesiam.video.images import read_pixels
from support.media import textured


def gray(seed=0):
    return cv2.cvtColor(textured(seed, 96, 128), cv2.COLOR_RGB2GRAY)


def write(path, image):
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def read_all(source):
    with open_frames(source) as frames:
        return [frame.image for frame in frames]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_bits_that_are_not_used_are_found(tmp_path, bits, suffix):
    image = gray()
    image[0], image[1] = 0, 255
    deep = (image.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    for number in range(3):
        write(tmp_path / f"{number}{suffix}", deep)
    images = [*read_all(tmp_path), *read_frames(tmp_path, 1, 2)]
    for found in (*images, read_image(tmp_path / f"0{suffix}")):
        assert np.abs(found[..., 0].astype(int) - image).max() <= 1


def test_all_frames_of_a_source_are_scaled_alike(tmp_path):
    files = []
    for number in range(20):  # it grows brighter: the first frames would do with 8 bits
        deep = gray().astype(np.uint16) * (1 + 15 * number // 19)
        files.append(write(tmp_path / f"{number}.png", deep))
    expected = [gray().astype(float) * (1 + 15 * number // 19) / 16.06 for number in range(20)]
    for images in (read_all(tmp_path), [*read_images(files)], read_frames(tmp_path, 0, 20)):
        np.testing.assert_allclose([image[..., 0] for image in images], expected, atol=1)
    np.testing.assert_array_equal(read_frames(tmp_path, 3, 2), read_all(tmp_path)[3:5])
    sequence = TrackingSequence(name="a", frames=tuple(files), boxes=np.full((20, 4), 5.0))
    np.testing.assert_array_equal([*sequence.images(2)], read_all(tmp_path)[2:])
    stack = [read_pixels(file) for file in files]
    assert cv2.imwritemulti(str(tmp_path / "stack.tif"), stack)
    np.testing.assert_array_equal(read_all(tmp_path / "stack.tif"), [*read_images(files)])


def test_temperatures_fill_the_levels(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.png", 29000 + 4 * gray().astype(np.uint16))
    images = np.array(read_all(tmp_path))
    assert np.ptp(images) > 120
    assert images.min() > 20  # with room for what is colder or hotter later
    assert images.max() < 235


def test_a_few_hot_pixels_do_not_count():
    image = gray().astype(np.uint16) * 16
    whole = measure_levels([np.tile(image, (10, 10))])
    image = np.tile(image, (10, 10))
    image[5, 5], image[7, 7] = 65535, 0
    assert measure_levels([image]) == whole == Levels(0, 4095)


def test_flat_and_black_images_have_levels():
    for value in (0, 1, 300, 65535):
        image = np.full((8, 8), value, np.uint16)
        assert measure_levels([image]).white >= max(255, value)
        assert measure_levels([image]).black == 0


def test_eight_bits_stay_as_they_are(tmp_path):
    write(tmp_path / "0.png", gray() // 8)
    np.testing.assert_array_equal(read_all(tmp_path)[0][..., 0], gray() // 8)
