import numpy as np
import pytest

from cyclesiam.datasets.registry import SEGMENTATION_DATASETS, TRACKING_DATASETS
from cyclesiam.errors import DatasetError
from cyclesiam.video import is_image
from support.annotations import MAKERS

READERS = [(kind, name) for kind in (TRACKING_DATASETS, SEGMENTATION_DATASETS) for name in kind]


@pytest.mark.parametrize(("kind", "name"), READERS, ids=[name for _, name in READERS])
@pytest.mark.parametrize("root", [".", "nowhere"])
def test_a_folder_of_something_else_is_named(tmp_path, kind, name, root):
    with pytest.raises(DatasetError, match=str(tmp_path / root)):
        kind[name](tmp_path / root)


@pytest.mark.parametrize("benchmark", MAKERS)
def test_one_picture_will_do_to_score(tmp_path, benchmark):
    folder = MAKERS[benchmark](tmp_path)
    reader = TRACKING_DATASETS[benchmark](tmp_path)
    name = reader.names[0]
    whole = reader.read(name)
    images = sorted(path for path in folder.iterdir() if is_image(path))
    assert len(images) == 4
    for path in images[1:]:
        path.unlink()
    with pytest.raises(DatasetError):
        reader.read(name)
    reader = TRACKING_DATASETS[benchmark](tmp_path)
    assert reader.names[0] == name
    truth = reader.read(name, require="some")
    assert truth.frames == whole.frames
    assert truth.regions == whole.regions
    np.testing.assert_array_equal(truth.boxes, whole.boxes)
    np.testing.assert_array_equal(truth.visibility, whole.visibility)
    np.testing.assert_equal(dict(truth.tags), dict(whole.tags))


# the real thing


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "folder", "frames"),
    [
        ("otb", "otb", [350, 659, 291, 120, 113, 307, 307, 164, 81]),
        ("uav123", "uav123", [157]),
        ("uav123_10fps", "uav123", [157]),
        ("vot2016", "vot2018", [105, 175, 742, 270, 348, 271, 374]),
        ("vot2018", "vot2018", [105, 175, 742, 270, 348, 271, 374]),
        ("davis2016", "davis2016", [50, 84, 75, 104, 60, 50, 50, 49, 80, 43]),
        ("davis2017", "davis2016", None),  # its masks have no labels
    ],
)
def test_real_boxes(suite, name, folder, frames):
    reader = TRACKING_DATASETS[name](suite / folder)
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
def test_real_regions_and_tags(suite):
    book, folder = None, suite / "vot2018"
    for sequence in TRACKING_DATASETS["vot2018"](folder).sequences():
        corners = 4 if sequence.name.endswith("_2013") else 8  # that year has rectangles, no tags
        assert {len(region) for region in sequence.regions} == {corners}
        assert ("camera_motion" in sequence.tags) == (corners == 8)
        book = sequence if sequence.name == "book" else book
    text = (folder / "book/camera_motion.tag").read_text().split()
    assert book.tags["camera_motion"].tolist() == [word == "1" for word in text]


@pytest.mark.shared
def test_real_masks(suite):
    for sequence in SEGMENTATION_DATASETS["davis2016"](suite / "davis2016").sequences():
        labels = sequence.labels(0)
        assert labels.shape == next(sequence.images()).shape[:2]
        assert np.unique(labels).tolist() == [0, 1]
