import numpy as np
import pytest

from cyclesiam.datasets.tracking_datasets import (
    LASOT_ATTRIBUTES,
    UAV123,
    UAV123_ATTRIBUTES,
    UAV123_PARTS,
    GOT10k,
    LaSOT,
    TrackingNet,
)
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, rows_of, write


def held(tags):
    """Attributes that hold in every frame."""
    return [tag for tag, flags in tags.items() if flags.all()]


# UAV123


def make_uav(root, video, numbers, annotations, version="UAV123_10fps"):
    make_frames(root / "data_seq" / version / video, numbers, digits=6)
    for name, rows in annotations.items():
        write(root / "anno" / version / f"{name}.txt", "\n".join(rows))


def test_uav123_takes_coordinates_as_they_are_and_nan_as_absent(tmp_path):
    make_uav(tmp_path, "wakeboard10", [1, 2], {"wakeboard10": ["5,6,10,9", "NaN,NaN,NaN,NaN"]})
    (sequence,) = UAV123(tmp_path).sequences()
    np.testing.assert_array_equal(sequence.boxes, [[5, 6, 15, 15], [np.nan] * 4])


@pytest.mark.parametrize(("version", "start"), [("UAV123", 775), ("UAV123_10fps", 259)])
def test_uav123_parts_share_the_pictures_of_one_video(tmp_path, version, start):
    annotations = {"bird1_1": rows_of(4), "bird1_2": rows_of(3)}
    make_uav(tmp_path, "bird1", range(1, 800), annotations, version)
    reader = UAV123(tmp_path)
    assert reader.names == ("bird1_1", "bird1_2")
    first, second = ([int(path.stem) for path in reader.read(name).frames] for name in reader.names)
    assert first == [1, 2, 3, 4]
    assert second == [start, start + 1, start + 2]


def test_uav123_rates_sample_the_same_moments():
    # frame 1 + 3k at 30 frames/s is frame 1 + k at 10 frames/s, so every part starts at such a k
    assert all((start - 1) % 3 == 0 for starts in UAV123_PARTS.values() for start in starts)


def test_uav123_pictures_after_the_annotation_are_left_out_where_known(tmp_path):
    make_uav(tmp_path, "truck2", range(1, 9), {"truck2": rows_of(5)})
    assert len(UAV123(tmp_path).read("truck2")) == 5
    make_uav(tmp_path, "mine", range(1, 9), {"mine": rows_of(5)})
    with pytest.raises(DatasetError, match="mine: 8 frames, but 5 boxes"):
        UAV123(tmp_path).read("mine")


def test_uav123_attributes_hold_in_every_frame(tmp_path):
    make_uav(tmp_path, "bike1", [1, 2], {"bike1": rows_of(2)})
    write(tmp_path / "anno/UAV123_10fps/att/bike1.txt", "1,1,0,1,0,0,0,0,1,1,1,1")
    reader = UAV123(tmp_path)
    assert reader.names == ("bike1",)  # the folder of attributes is no sequence
    tags = reader.read("bike1").tags
    assert tuple(tags) == UAV123_ATTRIBUTES
    assert held(tags) == ["SV", "ARC", "FM", "IV", "VC", "CM", "SOB"]


def test_uav123_annotation_without_pictures_is_an_error(tmp_path):
    make_uav(tmp_path, "bike1", [1], {"bike1": rows_of(1), "bike2": rows_of(1)})
    with pytest.raises(DatasetError, match=r"UAV123_10fps.bike2.*missing"):
        UAV123(tmp_path).read("bike2")


def test_uav123_version_that_is_not_there_is_an_error(tmp_path):
    make_uav(tmp_path, "bike1", [1], {"bike1": rows_of(1)})
    with pytest.raises(DatasetError, match="no annotation in"):
        UAV123(tmp_path, "UAV123")


def test_uav123_of_thirty_frames_a_second_comes_first(tmp_path):
    for version in ("UAV123_10fps", "UAV123"):
        make_uav(tmp_path, "bike1", [1], {"bike1": rows_of(1)}, version)
    assert UAV123(tmp_path).version == "UAV123"
    assert UAV123(tmp_path, "UAV123_10fps").version == "UAV123_10fps"


# LaSOT


def make_lasot(folder, count=3):
    make_frames(folder / "img", range(1, count + 1), digits=8)
    write(folder / "groundtruth.txt", "\n".join(rows_of(count)))


@pytest.mark.parametrize("parent", ["airplane", "."])
def test_lasot_with_or_without_folders_of_classes(tmp_path, parent):
    make_lasot(tmp_path / parent / "airplane-9")
    (sequence,) = LaSOT(tmp_path).sequences()
    assert sequence.name == "airplane-9"
    np.testing.assert_array_equal(sequence.boxes[2], [3, 1, 8, 6])  # coordinates as they are


def test_lasot_testing_set_names_the_sequences(tmp_path):
    for number in (1, 2, 3):
        make_lasot(tmp_path / "dog" / f"dog-{number}")
    assert LaSOT(tmp_path).names == ("dog-1", "dog-2", "dog-3")
    write(tmp_path / "testing_set.txt", "dog-3\r\ndog-1\r\ndog-7\r\n")
    reader = LaSOT(tmp_path)
    assert reader.names == ("dog-3", "dog-1", "dog-7")
    assert len(reader.read("dog-3")) == 3
    with pytest.raises(DatasetError, match=r"dog.dog-7: this sequence is missing"):
        reader.read("dog-7")


def test_lasot_tags(tmp_path):
    make_lasot(tmp_path / "cat/cat-1")
    write(tmp_path / "cat/cat-1/full_occlusion.txt", "0,1,0")
    write(tmp_path / "cat/cat-1/out_of_view.txt", "0,0,1\n")
    write(tmp_path / "att/cat-1.txt", "1,0,0,0,0,0,0,0,0,0,0,0,0,1")
    tags = LaSOT(tmp_path).read("cat-1").tags
    assert tuple(tags) == (*LASOT_ATTRIBUTES, "full_occlusion", "out_of_view")
    assert held(tags) == ["IV", "ARC"]
    assert tags["full_occlusion"].tolist() == [False, True, False]
    assert tags["out_of_view"].tolist() == [False, False, True]


def test_lasot_wrong_flags_are_named(tmp_path):
    make_lasot(tmp_path / "cat/cat-1")
    write(tmp_path / "cat/cat-1/full_occlusion.txt", "0,1")
    with pytest.raises(DatasetError, match=r"full_occlusion\.txt, line 1: expected 1 or 3"):
        LaSOT(tmp_path).read("cat-1")


# GOT-10k


def make_got10k(root, split, name, rows, frames):
    make_frames(root / split / name, range(1, frames + 1), digits=8)
    write(root / split / name / "groundtruth.txt", "\n".join(rows))
    write(root / split / "list.txt", f"{name}\n")


def test_got10k_cover_and_tags(tmp_path):
    make_got10k(tmp_path, "val", "GOT-10k_Val_000001", rows_of(3), 3)
    folder = tmp_path / "val/GOT-10k_Val_000001"
    write(folder / "cover.label", "8\n0\n3\n")
    write(folder / "absence.label", "0\n1\n0\n")
    write(folder / "cut_by_image.label", "1\n0\n0\n")
    write(folder / "meta_info.ini", "[METAINFO]\n")
    (sequence,) = GOT10k(tmp_path).sequences()
    assert sequence.visibility.tolist() == [8, 0, 3]
    assert {tag: flags.tolist() for tag, flags in sequence.tags.items()} == {
        "absence": [False, True, False],
        "cut_by_image": [True, False, False],
    }
    np.testing.assert_array_equal(sequence.boxes[2], [3, 1, 8, 6])


@pytest.mark.parametrize("root", [".", "test"])
def test_got10k_test_has_the_first_box_only(tmp_path, root):
    make_got10k(tmp_path, "test", "GOT-10k_Test_000001", rows_of(1), 3)
    (sequence,) = GOT10k(tmp_path / root).sequences()
    assert sequence.visibility is None
    np.testing.assert_array_equal(np.isnan(sequence.boxes[:, 0]), [False, True, True])


def test_got10k_validation_has_all_boxes(tmp_path):
    make_got10k(tmp_path, "val", "GOT-10k_Val_000001", rows_of(1), 3)
    with pytest.raises(DatasetError, match=r"3 frames, but 1 boxes in .*groundtruth\.txt"):
        GOT10k(tmp_path).read("GOT-10k_Val_000001")


def test_got10k_cover_must_be_eighths(tmp_path):
    make_got10k(tmp_path, "val", "GOT-10k_Val_000001", rows_of(2), 2)
    write(tmp_path / "val/GOT-10k_Val_000001/cover.label", "8\n9\n")
    with pytest.raises(DatasetError, match=r"cover\.label, line 2: expected one of 0, 1, .* got 9"):
        GOT10k(tmp_path).read("GOT-10k_Val_000001")


def test_got10k_splits(tmp_path):
    for split in ("train", "test", "val"):
        make_got10k(tmp_path, split, f"GOT-10k_{split}", rows_of(1), 1)
    assert GOT10k(tmp_path).names == ("GOT-10k_val",)
    assert GOT10k(tmp_path, "train").names == ("GOT-10k_train",)
    assert GOT10k(tmp_path / "test").names == ("GOT-10k_test",)
    with pytest.raises(DatasetError, match=r"train.list\.txt is missing"):
        GOT10k(tmp_path / "val", "train")


# TrackingNet


def make_trackingnet(root, chunk, name, rows, frames):
    make_frames(root / chunk / "frames" / name, range(frames), digits=1)
    write(root / chunk / "anno" / f"{name}.txt", "\n".join(rows))


@pytest.mark.parametrize("root", [".", "TEST"])
def test_trackingnet_test_has_the_first_box_only(tmp_path, root):
    make_trackingnet(tmp_path, "TEST", "-9d0Z_0", ["1.5,2,3,4"], 11)
    (sequence,) = TrackingNet(tmp_path / root).sequences()
    assert sequence.name == "-9d0Z_0"
    assert [path.stem for path in sequence.frames] == [str(number) for number in range(11)]
    np.testing.assert_array_equal(sequence.boxes[0], [1.5, 2, 4.5, 6])
    assert np.isnan(sequence.boxes[1:]).all()


def test_trackingnet_training_has_all_boxes(tmp_path):
    make_trackingnet(tmp_path, "TRAIN_11", "abc_0", rows_of(2), 3)
    with pytest.raises(DatasetError, match=r"abc_0: 3 frames, but 2 boxes"):
        TrackingNet(tmp_path, "TRAIN_11").read("abc_0")
    with pytest.raises(DatasetError, match=r"no annotation in .*TEST.anno"):
        TrackingNet(tmp_path)


def test_hidden_copies_are_no_sequences(tmp_path):
    make_trackingnet(tmp_path, "TEST", "abc_0", rows_of(1), 1)
    write(tmp_path / "TEST/anno/._abc_0.txt", b"\0\5\x16\7")
    assert TrackingNet(tmp_path).names == ("abc_0",)
