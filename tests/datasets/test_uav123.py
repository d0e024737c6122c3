import numpy as np
import pytest

from cyclesiam.datasets.uav123 import UAV123, UAV123_ATTRIBUTES, UAV123_PARTS
from cyclesiam.errors import DatasetError
from support.annotations import constant_tags, make_frames, rows_of, write


def make_uav(root, video, numbers, annotations, version="UAV123_10fps"):
    make_frames(root / "data_seq" / version / video, numbers, digits=6)
    for name, rows in annotations.items():
        write(root / "anno" / version / f"{name}.txt", "\n".join(rows))


def test_uav123_takes_coordinates_as_they_are_and_nan_as_absent(tmp_path):
    make_uav(tmp_path, "wakeboard10", [1, 2], {"wakeboard10": ["5,6,10,9", "NaN,NaN,NaN,NaN"]})
    (sequence,) = UAV123(tmp_path).sequences()
    np.testing.assert_array_equal(sequence.boxes, [[5, 6, 15, 15], [np.nan] * 4])


@pytest.mark.parametrize(("version", "start"), [("UAV123", 775), ("UAV123_10fps", 259)])
def test_uav123_parts_share_the_images_of_one_video(tmp_path, version, start):
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


def test_uav123_images_after_the_annotation_are_left_out_where_known(tmp_path):
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
    assert constant_tags(tags) == ["SV", "ARC", "FM", "IV", "VC", "CM", "SOB"]


def test_uav123_annotation_without_images_is_an_error(tmp_path):
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
