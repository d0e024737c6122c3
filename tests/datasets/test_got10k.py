import numpy as np
import pytest

from cyclesiam.datasets.got10k import GOT10k
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, rows_of, write


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
