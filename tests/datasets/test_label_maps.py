import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclesiam.datasets.label_maps import image_size, read_label_map, read_mask
from cyclesiam.errors import DatasetError
from support.annotations import labels_of, write, write_labels, write_photo

LABELS = labels_of((3, 4, 10, 15), (12, 2, 20, 9))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_packed(path, bits, color, pixels):
    """A PNG of one row of `bits` a pixel, which no library here writes for gray."""
    joined = "".join(f"{value:0{bits}b}" for value in pixels)
    joined += "0" * (-len(joined) % 8)
    row = b"\0" + int(joined, 2).to_bytes(len(joined) // 8, "big")
    header = struct.pack(">IIBBBBB", len(pixels), 1, bits, color, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(3 * 2**bits))) if color == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(row))
    return write(path, b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))


def test_a_palette_gives_its_indices(tmp_path):
    path = write_labels(tmp_path / "map.png", LABELS)
    colors = cv2.imread(str(path))
    assert set(np.unique(colors)) == {0, 128}  # what is shown is not what is meant
    np.testing.assert_array_equal(read_label_map(path), LABELS)
    assert read_label_map(path).dtype == np.uint8


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("color", [0, 3], ids=["gray", "palette"])
def test_few_bits_a_pixel(tmp_path, bits, color):
    values = [0, 1, *([2, 3] if bits > 1 else []), 1]
    path = write_packed(tmp_path / "map.png", bits, color, values)
    np.testing.assert_array_equal(read_label_map(path), [values])
    np.testing.assert_array_equal(read_mask(path), [[value > 0 for value in values]])


def test_gray_labels_are_believed_if_they_can_be_labels(tmp_path):
    labels = np.array([[0, 1, 2, 32, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / "map.png"), labels)
    np.testing.assert_array_equal(read_label_map(tmp_path / "map.png"), labels)


def test_a_palette_turned_to_gray_is_found_out(tmp_path):
    path = write_labels(tmp_path / "map.png", LABELS)
    Image.open(path).convert("L").save(path)
    with pytest.raises(DatasetError, match=r"map\.png: this PNG has no palette, and its value 38 "):
        read_label_map(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_are_no_labels_but_may_be_one_object(tmp_path, mode):
    path = write_labels(tmp_path / "map.png", LABELS)
    Image.open(path).convert(mode).save(path)
    with pytest.raises(DatasetError, match=rf"map\.png: .* of the kind {mode}"):
        read_label_map(path)
    np.testing.assert_array_equal(read_mask(path), LABELS > 0)


def test_sixteen_bits_are_no_labels(tmp_path):
    cv2.imwrite(str(tmp_path / "map.png"), LABELS.astype(np.uint16))
    with pytest.raises(DatasetError, match=r"map\.png: .* of the kind I;16"):
        read_label_map(tmp_path / "map.png")


def test_a_black_index_that_is_not_zero_is_an_object(tmp_path):
    image = Image.frombytes("P", (2, 1), bytes([0, 1]))
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.save(tmp_path / "map.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "map.png"), [[False, True]])


@pytest.mark.parametrize("read", [read_label_map, read_mask])
def test_a_lossy_picture_is_refused(tmp_path, read):
    with pytest.raises(DatasetError, match=r"map\.jpg: a mask must be a PNG, this is JPEG"):
        read(write_photo(tmp_path / "map.jpg"))


@pytest.mark.parametrize("read", [read_label_map, read_mask, image_size])
@pytest.mark.parametrize("data", [None, b"", b"no image"])
def test_what_cannot_be_read_is_named(tmp_path, read, data):
    path = tmp_path / "map.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"map\.png: this image cannot be read"):
        read(path)


@pytest.mark.parametrize("read", [read_label_map, read_mask])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_off_picture_is_named(tmp_path, read, kept):
    noise = np.random.default_rng(0).integers(0, 33, (64, 64), dtype=np.uint8)
    path = write_labels(tmp_path / "map.png", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DatasetError, match=r"map\.png: this image cannot be read"):
        read(path)


def test_the_size_is_width_and_height(tmp_path):
    assert image_size(write_labels(tmp_path / "map.png", LABELS)) == (30, 20)
