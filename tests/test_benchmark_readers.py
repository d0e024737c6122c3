import numpy as np
import pytest

from cyclesiam.data.benchmark_readers import BOX_READERS, SEGMENTATION_READERS
from cyclesiam.errors import DatasetError
from cyclesiam.video import is_picture
from made_annotations import labels_of, make_frames, make_segmentation, rows_of, write

READERS = [(kind, name) for kind in (BOX_READERS, SEGMENTATION_READERS) for name in kind]


@pytest.mark.parametrize(("kind", "name"), READERS, ids=[name for _, name in READERS])
@pytest.mark.parametrize("root", [".", "nowhere"])
def test_a_folder_of_something_else_is_named(tmp_path, kind, name, root):
    with pytest.raises(DatasetError, match=str(tmp_path / root)):
        kind[name](tmp_path / root)


ONE = labels_of((3, 4, 10, 15), (12, 2, 20, 9))
VID = "<annotation><object><trackid>0</trackid><bndbox>{}</bndbox></object></annotation>".format(
    "".join(f"<{corner}>5</{corner}>" for corner in ("xmin", "ymin", "xmax", "ymax"))
)


def make_davis(root):
    frames, masks = root / "JPEGImages/480p/cows", root / "Annotations/480p/cows"
    make_segmentation(frames, masks, {f"{number:05}": ONE for number in range(4)})
    return frames


def make_texts(root, frames, truth, first, digits=6):
    make_frames(root / frames, range(first, first + 4), digits)
    write(root / truth, "\n".join(rows_of(4)))
    return root / frames


def make_got10k(root):
    write(root / "val/list.txt", "cows")
    write(root / "val/cows/cover.label", "8\n0\n8\n1\n")
    return make_texts(root, "val/cows", "val/cows/groundtruth.txt", 1, 8)


def make_vid(root):
    for number in range(4):
        write(root / f"Annotations/VID/val/cows/{number:06}.xml", VID)
    make_frames(root / "Data/VID/val/cows", range(4), 6, "JPEG")
    return root / "Data/VID/val/cows"


def make_vot(root):
    write(root / "cows/camera_motion.tag", "0\n1\n1\n0\n")
    return make_texts(root, "cows/color", "cows/groundtruth.txt", 1, 8)


MAKERS = {
    "otb": lambda root: make_texts(root, "cows/img", "cows/groundtruth_rect.txt", 1, 4),
    "uav123": lambda root: make_texts(root, "data_seq/UAV123/cows", "anno/UAV123/cows.txt", 1),
    "lasot": lambda root: make_texts(root, "cow/cow-1/img", "cow/cow-1/groundtruth.txt", 1, 8),
    "got10k": make_got10k,
    "trackingnet": lambda root: make_texts(root, "TEST/frames/cows", "TEST/anno/cows.txt", 0, 1),
    "vot2018": make_vot,
    "vid": make_vid,
    "davis2016": make_davis,
    "davis2017": make_davis,
}


@pytest.mark.parametrize("benchmark", MAKERS)
def test_one_picture_will_do_to_score(tmp_path, benchmark):
    folder = MAKERS[benchmark](tmp_path)
    reader = BOX_READERS[benchmark](tmp_path)
    name = reader.names[0]
    whole = reader.read(name)
    pictures = sorted(path for path in folder.iterdir() if is_picture(path))
    assert len(pictures) == 4
    for path in pictures[1:]:
        path.unlink()
    with pytest.raises(DatasetError):
        reader.read(name)
    reader = BOX_READERS[benchmark](tmp_path)
    assert reader.names[0] == name
    truth = reader.read(name, pictures="some")
    assert truth.frames == whole.frames
    assert truth.regions == whole.regions
    np.testing.assert_array_equal(truth.boxes, whole.boxes)
    np.testing.assert_array_equal(truth.cover, whole.cover)
    np.testing.assert_equal(dict(truth.tags), dict(whole.tags))


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
