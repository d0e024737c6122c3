import numpy as np
import pytest

from cyclesiam.datasets.vot import VOT
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, write

SQUARE = "2,2,6,2,6,6,2,6"


def make_vot(root, name, lines, frames="color"):
    make_frames(root / name / frames, range(1, len(lines) + 1), digits=8)
    write(root / name / "groundtruth.txt", "\n".join(lines) + "\n")


def test_vot_regions_are_those_of_the_file(tmp_path):
    lines = ["5,1,9,5,5,9,1,5", "2,3,4,5", "0,0,4.25,0,4.25,3", "-1.5,0,3,4,1,9,0,9,0,8"]
    make_vot(tmp_path, "ball", lines)
    write(tmp_path / "list.txt", "ball\n")
    (sequence,) = VOT(tmp_path).sequences()
    assert sequence.regions == tuple(tuple(map(float, line.split(","))) for line in lines)
    np.testing.assert_array_equal(
        sequence.boxes, [[1, 1, 9, 9], [2, 3, 6, 8], [0, 0, 4.25, 3], [-1.5, 0, 3, 9]]
    )


def test_vot_without_a_list_takes_every_folder_with_a_truth(tmp_path):
    for name in ("zebra", "ant"):
        make_vot(tmp_path, name, ["2,3,4,5"], frames=".")  # frames beside the truth
    (tmp_path / "other").mkdir()
    assert VOT(tmp_path).names == ("ant", "zebra")
    assert len(VOT(tmp_path).read("ant")) == 1


def test_vot_list_gives_the_order_and_must_be_true(tmp_path):
    write(tmp_path / "list.txt", "zebra\nant\n")
    reader = VOT(tmp_path)
    assert reader.names == ("zebra", "ant")
    with pytest.raises(DatasetError, match=r"zebra.groundtruth\.txt.*cannot be read"):
        reader.read("zebra")


@pytest.mark.parametrize("listing", ["sequences/list.txt", "list.txt"])
@pytest.mark.parametrize("channel", ["rgb/%08d.jpg", "rgb/", "rgb\\%08d.jpg"])
def test_vot_workspace_of_the_toolkit(tmp_path, listing, channel):
    make_vot(tmp_path / "sequences", "ball", [SQUARE] * 2, frames="rgb")
    truth = tmp_path / "sequences/ball/groundtruth.txt"
    truth.rename(truth.with_name("regions.txt"))
    write(tmp_path / listing, "ball\n")
    properties = f"# made by hand\nchannels.color={channel}\ngroundtruth=regions.txt\nfps=30\n"
    write(tmp_path / "sequences/ball/sequence", properties)
    (sequence,) = VOT(tmp_path).sequences()
    assert [path.parent.name for path in sequence.frames] == ["rgb", "rgb"]


def test_vot_properties_that_are_none_are_named(tmp_path):
    make_vot(tmp_path, "ball", [SQUARE])
    write(tmp_path / "ball/sequence", "name=ball\ncolor\n")
    with pytest.raises(DatasetError, match=r"ball.sequence, line 2: expected key=value"):
        VOT(tmp_path).read("ball")


def test_vot_tags_by_name(tmp_path):
    make_vot(tmp_path, "ball", [SQUARE] * 3)
    write(tmp_path / "ball/camera_motion.tag", "0\n1\n1\n")
    write(tmp_path / "ball/occlusion.label", "1\n")  # the frames after its last line have a 0
    write(tmp_path / "ball/practical.value", "0.1\n0.2\n0.3\n")  # no tag
    tags = VOT(tmp_path).read("ball").tags
    assert {tag: flags.tolist() for tag, flags in tags.items()} == {
        "camera_motion": [False, True, True],
        "occlusion": [True, False, False],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [("0\n1\n2\n", "line 3: expected one of 0, 1"), ("0\n1\n1\n1\n", "expected 3 numbers, got 4")],
)
def test_vot_wrong_tags_are_named(tmp_path, text, problem):
    make_vot(tmp_path, "ball", [SQUARE] * 3)
    write(tmp_path / "ball/size_change.tag", text)
    with pytest.raises(DatasetError, match=rf"size_change\.tag.*{problem}"):
        VOT(tmp_path).read("ball")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1,2,3", "expected 4 or 6 or 8 or 10 ... numbers"),
        ("1,2,3,4,5,6,7", "expected 4 or 6 or 8 or 10 ... numbers"),
        ("m4,5,3,3,0,9", "a mask; only rectangles and polygons are read"),
        ("nan,nan,nan,nan", "got .* but every number must be finite"),
        ("0", "expected 4 or 6 or 8"),
        ("1,2,3,x", "expected 4 or 6 or 8"),
    ],
)
def test_vot_wrong_regions_are_named(tmp_path, line, problem):
    make_vot(tmp_path, "ball", [SQUARE, line, SQUARE])
    with pytest.raises(DatasetError, match=rf"groundtruth\.txt, line 2: {problem}"):
        VOT(tmp_path).read("ball")


def test_vot_first_region_must_have_an_area(tmp_path):
    make_vot(tmp_path, "ball", ["1,1,1,5,1,9,1,2", SQUARE])
    with pytest.raises(DatasetError, match=r"groundtruth\.txt, line 1: the first region has no ar"):
        VOT(tmp_path).read("ball")
    make_vot(tmp_path, "flat", [SQUARE, "1,1,1,5,1,9,1,2"])
    assert np.isnan(VOT(tmp_path).read("flat").boxes[1]).all()


def test_vot_counts_must_agree(tmp_path):
    make_vot(tmp_path, "ball", [SQUARE] * 3)
    (tmp_path / "ball/color/00000002.jpg").unlink()
    with pytest.raises(DatasetError, match=r"ball: 2 frames, but 3 boxes in .*groundtruth\.txt"):
        VOT(tmp_path).read("ball")
