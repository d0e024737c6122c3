import numpy as np
import pytest

from cyclesiam.datasets.imagenet_vid import ImageNetVID
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, write

NAME = "ILSVRC2015_val_00000000"


def object_of(track, corners, **flags):
    tags = "xmax xmin ymax ymin".split()  # the files do not have them in the usual order
    places = dict(zip("xmin ymin xmax ymax".split(), corners, strict=True))
    bndbox = "".join(f"<{tag}>{places[tag]}</{tag}>" for tag in tags)
    rest = "".join(f"<{flag}>{value}</{flag}>" for flag, value in flags.items())
    return f"<object><trackid>{track}</trackid><bndbox>{bndbox}</bndbox>{rest}</object>"


def make_video(root, frames, split="val", name=NAME):
    """Frames are lists of objects."""
    make_frames(root / "Data/VID" / split / name, range(len(frames)), digits=6, suffix="JPEG")
    for number, objects in enumerate(frames):
        text = f"<annotation>\n<folder>a</folder>\n{''.join(objects)}\n</annotation>\n"
        write(root / "Annotations/VID" / split / name / f"{number:06}.xml", text)


def test_every_track_is_a_sequence(tmp_path):
    make_video(
        tmp_path,
        [
            [object_of(1, (0, 0, 9, 4), occluded=0)],
            [object_of(0, (5, 6, 7, 8), occluded=1, generated=0), object_of(1, (1, 0, 10, 4))],
            [],
            [object_of(0, (6, 6, 8, 8), occluded=0, generated=1)],
            [],
        ],
    )
    reader = ImageNetVID(tmp_path)
    assert reader.names == (f"{NAME}.0", f"{NAME}.1")
    late, early = reader.sequences()
    assert [path.name for path in late.frames] == ["000001.JPEG", "000002.JPEG", "000003.JPEG"]
    # both corners are pixels of the box
    np.testing.assert_array_equal(late.boxes, [[5, 6, 8, 9], [np.nan] * 4, [6, 6, 9, 9]])
    assert {tag: flags.tolist() for tag, flags in late.tags.items()} == {
        "occluded": [True, False, False],
        "generated": [False, False, True],
    }
    np.testing.assert_array_equal(early.boxes, [[0, 0, 10, 5], [1, 0, 11, 5]])


def test_a_track_of_one_frame_is_no_sequence(tmp_path):
    thing = object_of(0, (0, 0, 1, 1))
    make_video(tmp_path, [[thing], [thing, object_of(1, (0, 0, 1, 1))]])
    assert ImageNetVID(tmp_path).names == (f"{NAME}.0",)


def test_training_videos_lie_one_folder_deeper(tmp_path):
    name = "ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000001"
    make_video(tmp_path, [[object_of(2, (0, 0, 1, 1))]] * 2, "train", name)
    (sequence,) = ImageNetVID(tmp_path, "train").sequences()
    assert sequence.name == "ILSVRC2015_train_00000001.2"
    assert len(sequence) == 2


def test_every_frame_needs_its_annotation(tmp_path):
    make_video(tmp_path, [[object_of(0, (0, 0, 1, 1))]] * 3)
    (tmp_path / f"Annotations/VID/val/{NAME}/000001.xml").unlink()
    with pytest.raises(DatasetError, match=r"3 frames in .* and 2 XML files in"):
        ImageNetVID(tmp_path).read(f"{NAME}.0")


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        (object_of(0, (5, 0, 4, 1)), "the bndbox of track 0 must be .* got 5, 0, 4, 1"),
        (object_of(0, (5, 0, "nan", 1)), "the bndbox of track 0 must be .* got 5, 0, nan, 1"),
        (object_of(0, (5, 0, "", 1)), "the bndbox of track 0 must be"),
        ("<object><trackid>0</trackid></object>", "the bndbox of track 0 must be"),
        (object_of(0, (0, 0, 1, 1)) + "<", "line 3: this is not XML"),
    ],
)
def test_wrong_annotations_are_named(tmp_path, thing, problem):
    make_video(tmp_path, [[object_of(0, (0, 0, 1, 1))], [thing]])
    with pytest.raises(DatasetError, match=rf"000001\.xml.*{problem}"):
        ImageNetVID(tmp_path).read(f"{NAME}.0")
