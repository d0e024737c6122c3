import numpy as np
import pytest

from cyclesiam.data.tracking_datasets import OTB, OTB_RANGES, UAV123, UAV123_PARTS, VOT2018
from cyclesiam.errors import DatasetError


def make_frames(folder, numbers, digits=4):
    """Empty files: readers list frames, only `images()` opens them."""
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"{number:0{digits}}.jpg").touch()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_otb(root, name, rows, numbers, truth="groundtruth_rect.txt"):
    make_frames(root / name / "img", numbers)
    write(root / name / truth, "\n".join(rows))


def make_uav(root, video, numbers, annotations, version="UAV123_10fps"):
    make_frames(root / "data_seq" / version / video, numbers, digits=6)
    for name, rows in annotations.items():
        write(root / "anno" / version / f"{name}.txt", "\n".join(rows))


def rows_of(count):
    return [f"{n},1,5,5" for n in range(1, count + 1)]


# OTB


@pytest.mark.parametrize("separator", [",", "\t", " ", "  ", ", "])
def test_otb_reads_every_separator_and_starts_at_pixel_one(tmp_path, separator):
    rows = [separator.join(row) for row in (("1", "1", "10", "5"), ("3.5", "2", "10", "5"))]
    make_otb(tmp_path, "Mine", rows, [1, 2])
    (sequence,) = OTB(tmp_path).sequences()
    assert sequence.name == "Mine"
    assert [path.name for path in sequence.frames] == ["0001.jpg", "0002.jpg"]
    np.testing.assert_array_equal(sequence.boxes, [[0, 0, 10, 5], [2.5, 1, 12.5, 6]])


def test_otb_accepts_windows_lines_blank_ends_and_a_byte_order_mark(tmp_path):
    make_otb(tmp_path, "Mine", [], [1, 2])
    (tmp_path / "Mine/groundtruth_rect.txt").write_bytes(b"\xef\xbb\xbf1,1,2,2\r\n1,1,2,2,\r\n\r\n")
    assert len(OTB(tmp_path).read("Mine")) == 2


def test_otb_numbers_the_targets_of_one_video(tmp_path):
    make_otb(tmp_path, "Jogging", ["1,1,2,2"], [1], "groundtruth_rect.1.txt")
    write(tmp_path / "Jogging/groundtruth_rect.2.txt", "5,5,2,2")
    (tmp_path / "results").mkdir()  # a folder without truth is no sequence
    reader = OTB(tmp_path)
    assert reader.names == ("Jogging.1", "Jogging.2")
    np.testing.assert_array_equal(reader.read("Jogging.2").boxes, [[4, 4, 6, 6]])
    assert reader.read("Jogging.1").frames == reader.read("Jogging.2").frames


@pytest.mark.parametrize(("name", "first", "last"), [(n, *r) for n, r in OTB_RANGES.items()])
def test_otb_official_ranges_apply_where_counts_disagree(tmp_path, name, first, last):
    make_otb(tmp_path, name, rows_of(last - first + 1), range(1, last + 3))
    frames = OTB(tmp_path).read(name).frames
    assert frames[0].name == f"{first:04}.jpg"
    assert frames[-1].name == f"{last:04}.jpg"


def test_otb_official_ranges_rest_where_counts_agree(tmp_path):
    make_otb(tmp_path, "Tiger1", rows_of(354), range(1, 355))
    assert len(OTB(tmp_path).read("Tiger1")) == 354


def test_otb_counts_must_agree(tmp_path):
    make_otb(tmp_path, "Mine", rows_of(2), [1, 2, 3])
    with pytest.raises(DatasetError, match=r"Mine: 3 frames, but 2 boxes in .*groundtruth_rect"):
        OTB(tmp_path).read("Mine")


@pytest.mark.parametrize("line", ["1,2,3", "1,2,3,4,5", "1,2,three,4", "", "\udcff,1,1,1"])
def test_otb_bad_line_is_named(tmp_path, line):
    make_otb(tmp_path, "Mine", [], [1, 2, 3])
    text = f"1,1,2,2\n{line}\n1,1,2,2\n".encode(errors="surrogateescape")
    (tmp_path / "Mine/groundtruth_rect.txt").write_bytes(text)
    with pytest.raises(DatasetError, match=r"groundtruth_rect\.txt, line 2: expected 4 numbers"):
        OTB(tmp_path).read("Mine")


def test_otb_empty_annotation_is_an_error(tmp_path):
    make_otb(tmp_path, "Mine", [], [1])
    with pytest.raises(DatasetError, match="is empty"):
        OTB(tmp_path).read("Mine")


@pytest.mark.parametrize("reader", [OTB, UAV123, VOT2018])
def test_wrong_roots_are_errors(tmp_path, reader):
    with pytest.raises(DatasetError, match="root"):
        reader(tmp_path)
    with pytest.raises(DatasetError, match="nowhere"):
        reader(tmp_path / "nowhere")


# UAV123


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


# VOT


def test_vot_polygon_becomes_the_box_around_it(tmp_path):
    make_frames(tmp_path / "ball/color", [1, 2], digits=8)
    write(tmp_path / "ball/groundtruth.txt", "5,1,9,5,5,9,1,5\n2,3,4,5\n")
    write(tmp_path / "list.txt", "ball\n")
    (sequence,) = VOT2018(tmp_path).sequences()
    np.testing.assert_array_equal(sequence.boxes, [[1, 1, 9, 9], [2, 3, 6, 8]])


def test_vot_without_a_list_takes_every_folder_with_a_truth(tmp_path):
    for name in ("zebra", "ant"):
        make_frames(tmp_path / name, [1])  # frames beside the truth
        write(tmp_path / name / "groundtruth.txt", "2,3,4,5")
    (tmp_path / "other").mkdir()
    assert VOT2018(tmp_path).names == ("ant", "zebra")
    assert len(VOT2018(tmp_path).read("ant")) == 1


def test_vot_list_gives_the_order_and_must_be_true(tmp_path):
    write(tmp_path / "list.txt", "zebra\nant\n")
    reader = VOT2018(tmp_path)
    assert reader.names == ("zebra", "ant")
    with pytest.raises(DatasetError, match=r"zebra.groundtruth\.txt.*cannot be read"):
        reader.read("zebra")


# the real thing


@pytest.mark.shared
@pytest.mark.parametrize(
    ("reader", "folder", "frames"),
    [
        (OTB, "otb", [350, 659, 291, 120, 113, 307, 307, 164, 81]),
        (UAV123, "uav123", [157]),
        (VOT2018, "vot2018", [105, 175, 742]),
    ],
)
def test_real_benchmarks(shared, reader, folder, frames):
    sequences = list(reader(shared / "data/eval" / folder).sequences())
    assert sorted(len(sequence) for sequence in sequences) == sorted(frames)
    for sequence in sequences:
        height, width, _ = next(sequence.images()).shape
        assert (sequence.boxes[0, :2] >= 0).all()
        assert (sequence.boxes[0, 2:] <= (width, height)).all()
