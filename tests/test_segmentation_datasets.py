import cv2
import numpy as np
import pytest

from cyclesiam.data.segmentation_datasets import DAVIS2016
from cyclesiam.errors import DatasetError


def make_davis(root, name, masks):
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        folder = root / kind / "480p" / name
        folder.mkdir(parents=True)
        for number, mask in enumerate(masks):
            cv2.imwrite(str(folder / f"{number:05}.{suffix}"), mask)
    return root


def mask_of(x0, y0, x1, y1, *channels):
    mask = np.zeros((20, 30, *channels), np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def test_davis_boxes_are_the_extent_of_its_masks(tmp_path):
    masks = [mask_of(3, 4, 10, 15), mask_of(0, 0, 0, 0), mask_of(1, 2, 3, 4, 3)]
    (sequence,) = DAVIS2016(make_davis(tmp_path, "cows", masks)).sequences()
    np.testing.assert_array_equal(sequence.boxes, [[3, 4, 10, 15], [np.nan] * 4, [1, 2, 3, 4]])
    assert [path.name for path in sequence.frames] == ["00000.jpg", "00001.jpg", "00002.jpg"]


def test_davis_split_names_the_sequences(tmp_path):
    for name in ("cows", "bear", "dog"):
        make_davis(tmp_path, name, [mask_of(1, 1, 2, 2)])
    assert DAVIS2016(tmp_path).names == ("bear", "cows", "dog")  # no list
    listing = tmp_path / "ImageSets/480p/val.txt"
    listing.parent.mkdir(parents=True)
    line = "/JPEGImages/480p/{0}/0000{1}.jpg /Annotations/480p/{0}/0000{1}.png\n"
    listing.write_text("".join(line.format(n, i) for n in ("dog", "cows") for i in range(2)) + "\n")
    assert DAVIS2016(tmp_path).names == ("dog", "cows")
    assert DAVIS2016(tmp_path, "train").names == ("bear", "cows", "dog")


def test_davis_list_of_something_else_is_named(tmp_path):
    listing = tmp_path / "ImageSets/480p/val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("cows\n")
    with pytest.raises(DatasetError, match=r"val\.txt, line 1: expected a path"):
        DAVIS2016(tmp_path)
    listing.write_text("")
    with pytest.raises(DatasetError, match=r"no sequence in .*val\.txt"):
        DAVIS2016(tmp_path)


def test_davis_every_frame_needs_its_mask(tmp_path):
    make_davis(tmp_path, "cows", [mask_of(1, 1, 2, 2)] * 3)
    (tmp_path / "Annotations/480p/cows/00001.png").unlink()
    with pytest.raises(DatasetError, match=r"cows: 3 frames .* and 2 masks"):
        DAVIS2016(tmp_path).read("cows")


def test_davis_broken_mask_is_named(tmp_path):
    make_davis(tmp_path, "cows", [mask_of(1, 1, 2, 2)])
    (tmp_path / "Annotations/480p/cows/00000.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"00000\.png: the mask cannot be read"):
        DAVIS2016(tmp_path).read("cows")


def test_davis_wrong_root_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"DAVIS-2016: .*Annotations.480p is not a folder"):
        DAVIS2016(tmp_path)


@pytest.mark.shared
def test_real_davis(shared):
    reader = DAVIS2016(shared / "data/eval/davis2016")
    assert len(reader.names) == 10
    sequence = reader.read("scooter-black")
    assert len(sequence) == 43
    assert (sequence.boxes[:, 2:] <= (854, 480)).all()
