import json

import cv2
import numpy as np
import pytest

from cyclesiam.datasets.segmentation_sequences import BoxesFromMasks
from cyclesiam.datasets.youtube_vos import YouTubeVOS
from cyclesiam.errors import DatasetError
from support.annotations import labels_of, make_segmentation, write, write_labels

ONE = labels_of((3, 4, 10, 15))
TWO = labels_of((3, 4, 10, 15), (12, 2, 20, 9))
NONE = labels_of()


LATE = labels_of(None, (12, 2, 20, 9))  # object 2 alone


def make_youtube(root, name="003234408d"):
    maps = {"00000": ONE, "00005": None, "00010": LATE, "00015": None}
    make_segmentation(root / "JPEGImages" / name, root / "Annotations" / name, maps)
    return name


def write_meta(root, **objects):
    videos = {"003234408d": {"objects": {k[1:]: {"frames": v} for k, v in objects.items()}}}
    return write(root / "meta.json", json.dumps({"videos": videos}))


@pytest.mark.parametrize("folder", [".", "valid"])
@pytest.mark.parametrize("listed", [True, False])
def test_youtubevos_objects_may_come_later(tmp_path, folder, listed):
    name = make_youtube(tmp_path / folder)
    if listed:
        write_meta(tmp_path / folder, _1=["00000", "00005"], _2=["00010"])
    (sequence,) = YouTubeVOS(tmp_path).sequences()
    assert sequence.name == name
    assert dict(sequence.first_frames) == {1: 0, 2: 2}
    assert [path is None for path in sequence.annotations] == [False, True, False, True]
    np.testing.assert_array_equal(sequence.labels(2), LATE)
    _, late = BoxesFromMasks(YouTubeVOS(tmp_path)).sequences()
    np.testing.assert_array_equal(late.boxes, [[12, 2, 20, 9], [np.nan] * 4])


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("00010", r"00010\.png: object 1 begins in this frame, but its mask shows 2"),
        ("00005", "object 1 begins in frame 1, which has no annotation"),
        ("00007", r"meta\.json: an object of 003234408d begins in frame 00007, which is not in"),
    ],
)
def test_youtubevos_meta_and_masks_must_agree(tmp_path, first, problem):
    name = make_youtube(tmp_path)
    write_meta(tmp_path, _1=[first])
    with pytest.raises(DatasetError, match=problem):
        YouTubeVOS(tmp_path).read(name)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"videos":\n {"a": }}', "line 2: this is not JSON"),
        ('{"frames": 1}', "not of the form videos, NAME"),
        ('{"videos": {"a": {"objects": {"1": {"frames": []}}}}}', "not of the form videos, NAME"),
        ('{"videos": {"a": {"objects": {"cow": {"frames": ["0"]}}}}}', "not of the form videos"),
        ('{"videos": []}', "not of the form videos, NAME"),
        ('{"videos": {}}', "no sequence in"),
    ],
)
def test_youtubevos_meta_of_another_form_is_named(tmp_path, text, problem):
    make_youtube(tmp_path)
    write(tmp_path / "meta.json", text)
    with pytest.raises(DatasetError, match=rf"meta\.json.*{problem}|{problem}.*meta\.json"):
        YouTubeVOS(tmp_path)


def test_youtubevos_sequence_that_is_only_listed_is_an_error(tmp_path):
    make_youtube(tmp_path, "other")
    write_meta(tmp_path, _1=["00000"])
    with pytest.raises(DatasetError, match=r"JPEGImages.003234408d: this folder of frames is mis"):
        YouTubeVOS(tmp_path).read("003234408d")


def test_a_palette_that_was_lost_is_named(tmp_path):
    name = make_youtube(tmp_path)
    path = tmp_path / "Annotations" / name / "00010.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    with pytest.raises(DatasetError, match=r"00010\.png: this PNG has no palette"):
        YouTubeVOS(tmp_path).read(name)
    cv2.imwrite(str(path), cv2.imread(str(write_labels(path, LATE))))
    with pytest.raises(DatasetError, match=r"00010\.png: .* of the kind RGB"):
        YouTubeVOS(tmp_path).read(name)
