import numpy as np
import pytest

from cyclesiam.data.benchmark_readers import BOX_READERS, SEGMENTATION_READERS
from cyclesiam.errors import DatasetError

READERS = [(kind, name) for kind in (BOX_READERS, SEGMENTATION_READERS) for name in kind]


@pytest.mark.parametrize(("kind", "name"), READERS, ids=[name for _, name in READERS])
@pytest.mark.parametrize("root", [".", "nowhere"])
def test_a_folder_of_something_else_is_named(tmp_path, kind, name, root):
    with pytest.raises(DatasetError, match=str(tmp_path / root)):
        kind[name](tmp_path / root)


# the real thing


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "folder", "frames"),
    [
        ("otb", "otb", [350, 659, 291, 120, 113, 307, 307, 164, 81]),
        ("uav123", "uav123", [157]),
        ("uav123_10fps", "uav123", [157]),
        ("vot2016", "vot2018", [105, 175, 742]),
        ("vot2018", "vot2018", [105, 175, 742]),
        ("davis2016", "davis2016", [50, 84, 75, 104, 60, 50, 50, 49, 80, 43]),
        ("davis2017", "davis2016", None),  # its masks have no labels
    ],
)
def test_real_boxes(shared, name, folder, frames):
    reader = BOX_READERS[name](shared / "data/eval" / folder)
    if frames is None:
        with pytest.raises(DatasetError, match=r"00000\.png: the first mask must show"):
            reader.read(reader.names[0])
        return
    sequences = list(reader.sequences())
    assert [len(sequence) for sequence in sequences] == frames
    for sequence in sequences:
        height, width, _ = next(sequence.images()).shape
        assert (sequence.boxes[0, :2] >= 0).all()
        assert (sequence.boxes[0, 2:] <= (width, height)).all()


@pytest.mark.shared
def test_real_regions_and_tags(shared):
    book, folder = None, shared / "data/eval/vot2018"
    for sequence in BOX_READERS["vot2018"](folder).sequences():
        assert {len(region) for region in sequence.regions} == {8}
        assert "camera_motion" in sequence.tags
        book = sequence if sequence.name == "book" else book
    text = (folder / "book/camera_motion.tag").read_text().split()
    assert book.tags["camera_motion"].tolist() == [word == "1" for word in text]


@pytest.mark.shared
def test_real_masks(shared):
    for sequence in SEGMENTATION_READERS["davis2016"](shared / "data/eval/davis2016").sequences():
        labels = sequence.labels(0)
        assert labels.shape == next(sequence.images()).shape[:2]
        assert np.unique(labels).tolist() == [0, 1]
