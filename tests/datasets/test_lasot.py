import numpy as np
import pytest

from cyclesiam.datasets.lasot import LASOT_ATTRIBUTES, LaSOT
from cyclesiam.errors import DatasetError
from support.annotations import constant_tags, make_frames, rows_of, write


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
    assert constant_tags(tags) == ["IV", "ARC"]
    assert tags["full_occlusion"].tolist() == [False, True, False]
    assert tags["out_of_view"].tolist() == [False, False, True]


def test_lasot_wrong_flags_are_named(tmp_path):
    make_lasot(tmp_path / "cat/cat-1")
    write(tmp_path / "cat/cat-1/full_occlusion.txt", "0,1")
    with pytest.raises(DatasetError, match=r"full_occlusion\.txt, line 1: expected 1 or 3"):
        LaSOT(tmp_path).read("cat-1")
