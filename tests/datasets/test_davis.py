import cv2
import numpy as np
import pytest

from cyclesiam.datasets.davis import DAVIS2016, DAVIS2017
from cyclesiam.datasets.segmentation_sequences import BoxesFromMasks
from cyclesiam.errors import DatasetError
from support.annotations import labels_of, make_segmentation, write, write_photo

ONE = labels_of((3, 4, 10, 15))
TWO = labels_of((3, 4, 10, 15), (12, 2, 20, 9))
NONE = labels_of()


def make_davis(root, name, maps):
    frames, masks = root / "JPEGImages/480p" / name, root / "Annotations/480p" / name
    make_segmentation(frames, masks, {f"{number:05}": labels for number, labels in enumerate(maps)})
    return root


def mask_file(root, name, number):
    return root / "Annotations/480p" / name / f"{number:05}.png"


# DAVIS-2016


def test_davis2016_masks_are_gray_colored_or_labels(tmp_path):
    make_davis(tmp_path, "cows", [ONE, NONE, TWO, ONE])
    cv2.imwrite(str(mask_file(tmp_path, "cows", 0)), 255 * ONE)
    cv2.imwrite(str(mask_file(tmp_path, "cows", 3)), np.dstack((0 * ONE, 255 * ONE, 0 * ONE)))
    (sequence,) = DAVIS2016(tmp_path).sequences()
    assert sequence.objects == (1,)
    for frame, labels in enumerate((ONE, NONE, TWO, ONE)):
        np.testing.assert_array_equal(sequence.labels(frame), labels > 0)
    (boxes,) = BoxesFromMasks(DAVIS2016(tmp_path)).sequences()
    assert boxes.name == "cows"
    np.testing.assert_array_equal(
        boxes.boxes, [[3, 4, 10, 15], [np.nan] * 4, [3, 2, 20, 15], [3, 4, 10, 15]]
    )


def test_davis2016_split_names_the_sequences(tmp_path):
    for name in ("cows", "bear", "dog"):
        make_davis(tmp_path, name, [ONE])
    assert DAVIS2016(tmp_path).names == ("bear", "cows", "dog")  # no list
    line = "/JPEGImages/480p/{0}/0000{1}.jpg /Annotations/480p/{0}/0000{1}.png\n"
    lines = [line.format(name, number) for name in ("dog", "cows") for number in range(2)]
    write(tmp_path / "ImageSets/480p/val.txt", "".join(lines) + "\n")
    assert DAVIS2016(tmp_path).names == ("dog", "cows")
    assert DAVIS2016(tmp_path, "train").names == ("bear", "cows", "dog")


def test_davis2016_in_the_folder_of_davis2017(tmp_path):
    for name in ("cows", "bear"):
        make_davis(tmp_path, name, [TWO])
    write(tmp_path / "ImageSets/2016/val.txt", "cows\n")
    write(tmp_path / "ImageSets/2017/val.txt", "bear\ncows\n")
    (sequence,) = DAVIS2016(tmp_path).sequences()
    np.testing.assert_array_equal(sequence.labels(0), TWO > 0)


def test_davis2016_list_of_something_else_is_named(tmp_path):
    listing = write(tmp_path / "ImageSets/480p/val.txt", "cows\n")
    with pytest.raises(DatasetError, match=r"val\.txt, line 1: expected a path"):
        DAVIS2016(tmp_path)
    listing.write_text("")
    with pytest.raises(DatasetError, match=r"no sequence in .*val\.txt"):
        DAVIS2016(tmp_path)


# what all of DAVIS has in common


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_every_frame_needs_its_mask(tmp_path, reader):
    make_davis(tmp_path, "cows", [ONE, None, ONE])
    with pytest.raises(DatasetError, match=r"cows: 3 frames, but 2 masks; 00001\.jpg is the first"):
        reader(tmp_path).read("cows")


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_every_mask_needs_its_frame(tmp_path, reader):
    make_davis(tmp_path, "cows", [ONE] * 2)
    (tmp_path / "JPEGImages/480p/cows/00001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"cows.00001\.png: this mask has no frame in"):
        reader(tmp_path).read("cows")


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_masks_have_the_size_of_their_frames(tmp_path, reader):
    make_davis(tmp_path, "cows", [ONE] * 2)
    write_photo(tmp_path / "JPEGImages/480p/cows/00001.jpg", height=40, width=60)
    with pytest.raises(DatasetError, match=r"01\.png: this mask has 30x20 .*01\.jpg has 60x40"):
        reader(tmp_path).read("cows")


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_first_mask_must_not_be_empty(tmp_path, reader):
    make_davis(tmp_path, "cows", [NONE, ONE])
    with pytest.raises(DatasetError, match=r"cows.00000\.png: "):
        reader(tmp_path).read("cows")


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_broken_mask_is_named(tmp_path, reader):
    make_davis(tmp_path, "cows", [ONE])
    mask_file(tmp_path, "cows", 0).write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"00000\.png: this image cannot be read"):
        reader(tmp_path).read("cows")


@pytest.mark.parametrize("reader", [DAVIS2016, DAVIS2017])
def test_davis_missing_sequence_is_named(tmp_path, reader):
    make_davis(tmp_path, "cows", [ONE])
    write(tmp_path / "ImageSets/2016/val.txt", "cows\nbear\n")
    write(tmp_path / "ImageSets/2017/val.txt", "cows\nbear\n")
    with pytest.raises(DatasetError, match=r"JPEGImages.480p.bear: this folder of frames is miss"):
        reader(tmp_path).read("bear")


# DAVIS-2017


def test_davis2017_objects_are_those_of_the_first_mask(tmp_path):
    make_davis(tmp_path, "cows", [TWO, ONE, labels_of(None, (1, 1, 3, 3), (5, 5, 9, 9))])
    write(tmp_path / "ImageSets/2017/val.txt", "cows\n")
    (sequence,) = DAVIS2017(tmp_path).sequences()
    assert sequence.objects == (1, 2)
    assert dict(sequence.first_frames) == {1: 0, 2: 0}
    np.testing.assert_array_equal(sequence.labels(0), TWO)
    first, second = BoxesFromMasks(DAVIS2017(tmp_path)).sequences()
    assert (first.name, second.name) == ("cows_1", "cows_2")
    np.testing.assert_array_equal(second.boxes, [[12, 2, 20, 9], [np.nan] * 4, [1, 1, 3, 3]])


def test_davis2017_masks_of_davis2016_have_no_labels(tmp_path):
    make_davis(tmp_path, "cows", [ONE])
    cv2.imwrite(str(mask_file(tmp_path, "cows", 0)), 255 * ONE)
    with pytest.raises(DatasetError, match=r"00000\.png: the first mask must show the objects"):
        DAVIS2017(tmp_path).read("cows")


def test_davis2017_test_sets_have_the_first_mask_only(tmp_path):
    make_davis(tmp_path, "cows", [TWO, None, None])
    write(tmp_path / "ImageSets/2017/test-dev.txt", "cows\n")
    (sequence,) = DAVIS2017(tmp_path, "test-dev").sequences()
    assert [path is None for path in sequence.annotations] == [False, True, True]
    mask_file(tmp_path, "cows", 0).rename(mask_file(tmp_path, "cows", 1))
    with pytest.raises(DatasetError, match=r"cows.00000\.png: the first mask must show"):
        DAVIS2017(tmp_path, "test-dev").read("cows")
