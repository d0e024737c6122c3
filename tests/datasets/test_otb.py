import numpy as np
import pytest

from cyclesiam.datasets.otb import OTB, OTB_ATTRIBUTES, OTB_RANGES, OTB_SKIPPED_FRAMES, OTB_SUBSETS
from cyclesiam.errors import DatasetError
from support.annotations import make_frames, rows_of, write


def make_otb(root, name, rows, numbers, truth="groundtruth_rect.txt"):
    make_frames(root / name / "img", numbers)
    write(root / name / truth, "\n".join(rows))


def numbers_of(sequence):
    return [int(path.stem) for path in sequence.frames]


def test_otb_starts_at_pixel_one(tmp_path):
    make_otb(tmp_path, "Mine", ["1\t1\t10\t5", "3.5\t2\t10\t5"], [1, 2])
    (sequence,) = OTB(tmp_path).sequences()
    assert sequence.name == "Mine"
    assert [path.name for path in sequence.frames] == ["0001.jpg", "0002.jpg"]
    np.testing.assert_array_equal(sequence.boxes, [[0, 0, 10, 5], [2.5, 1, 12.5, 6]])
    assert sequence.regions is None
    assert sequence.tags == {}


def test_otb_numbers_the_targets_of_one_video(tmp_path):
    make_otb(tmp_path, "Jogging", ["1,1,2,2"], [1], "groundtruth_rect.1.txt")
    write(tmp_path / "Jogging/groundtruth_rect.2.txt", "5,5,2,2")
    (tmp_path / "results").mkdir()  # a folder without truth is no sequence
    reader = OTB(tmp_path)
    assert reader.names == ("Jogging.1", "Jogging.2")
    np.testing.assert_array_equal(reader.read("Jogging.2").boxes, [[4, 4, 6, 6]])
    assert reader.read("Jogging.1").frames == reader.read("Jogging.2").frames


def test_otb_target_beside_an_empty_annotation_has_the_name_of_its_video(tmp_path):
    make_otb(tmp_path, "Human4", ["7,7,2,2"], [1], "groundtruth_rect.2.txt")
    write(tmp_path / "Human4/groundtruth_rect.1.txt", b"\xef\xbb\xbf\r\n")
    (sequence,) = OTB(tmp_path).sequences()
    assert sequence.name == "Human4"
    np.testing.assert_array_equal(sequence.boxes, [[6, 6, 8, 8]])


def test_otb_empty_annotation_is_an_error(tmp_path):
    make_otb(tmp_path, "Mine", [], [1])
    with pytest.raises(DatasetError, match=r"Mine.groundtruth_rect\.txt: .*is empty"):
        OTB(tmp_path).read("Mine")


@pytest.mark.parametrize(("name", "first", "last"), [(n, *r) for n, r in OTB_RANGES.items()])
def test_otb_official_ranges_apply_where_counts_disagree(tmp_path, name, first, last):
    make_otb(tmp_path, name, rows_of(last - first + 1), range(1, last + 3))
    sequence = OTB(tmp_path).read(name)
    assert numbers_of(sequence) == list(range(first, last + 1))
    assert len(sequence.boxes) == last - first + 1


@pytest.mark.parametrize("name", sorted(OTB_RANGES.keys() - OTB_SKIPPED_FRAMES.keys()))
def test_otb_official_ranges_rest_where_counts_agree(tmp_path, name):
    make_otb(tmp_path, name, rows_of(800), range(1, 801))
    assert numbers_of(OTB(tmp_path).read(name)) == list(range(1, 801))


@pytest.mark.parametrize(("rows", "first"), [(354, 1), (349, 6)])
def test_tiger1_begins_where_its_target_is_seen(tmp_path, rows, first):
    # five frames go where all are annotated; none where the annotation begins at the sixth
    make_otb(tmp_path, "Tiger1", rows_of(354)[-rows:], range(first, 355))
    sequence = OTB(tmp_path).read("Tiger1")
    assert numbers_of(sequence) == list(range(6, 355))
    np.testing.assert_array_equal(sequence.boxes[0], [5, 0, 10, 5])  # the row of frame 6


@pytest.mark.parametrize(("name", "rows"), [("Tiger1", 354), ("David", 471), ("BlurCar1", 742)])
def test_otb_official_ranges_with_one_picture(tmp_path, name, rows):
    first, last = OTB_RANGES[name]
    make_otb(tmp_path, name, rows_of(rows), [first])
    sequence = OTB(tmp_path).read(name, require="some")
    assert numbers_of(sequence) == list(range(first, last + 1))


def test_board_has_five_digits(tmp_path):
    make_frames(tmp_path / "Board/img", [1, 2], digits=5)
    write(tmp_path / "Board/groundtruth_rect.txt", "\n".join(rows_of(2)))
    assert numbers_of(OTB(tmp_path).read("Board")) == [1, 2]


def test_otb_counts_must_agree(tmp_path):
    make_otb(tmp_path, "Mine", rows_of(2), [1, 2, 3])
    with pytest.raises(DatasetError, match=r"Mine: 3 frames, but 2 boxes in .*groundtruth_rect"):
        OTB(tmp_path).read("Mine")


def test_otb_attributes_by_name_and_by_number(tmp_path):
    for name in ("Words", "Numbers"):
        make_otb(tmp_path, name, rows_of(2), [1, 2])
    write(tmp_path / "Words/attrs.txt", "IV, OPR\nBC\n")
    write(tmp_path / "anno/att/Numbers.txt", "1,1,0,0,0,0,0,0,0,1,0")  # IV, OPR, BC
    reader = OTB(tmp_path)
    for name in reader.names:
        tags = reader.read(name).tags
        assert tuple(tags) == OTB_ATTRIBUTES
        assert [tag for tag in tags if tags[tag].all()] == ["IV", "OPR", "BC"]
        assert {len(flags) for flags in tags.values()} == {2}


def test_otb_unknown_attribute_is_named(tmp_path):
    make_otb(tmp_path, "Mine", rows_of(1), [1])
    write(tmp_path / "Mine/attrs.txt", "IV\nXY\n")
    with pytest.raises(DatasetError, match=r"attrs\.txt, line 2: no attribute is called 'XY'"):
        OTB(tmp_path).read("Mine")


@pytest.mark.parametrize(("subset", "targets"), [("otb2013", 51), ("otb50", 50), ("otb100", 100)])
def test_otb_subsets_have_the_official_number_of_targets(tmp_path, subset, targets):
    for name in {*OTB_SUBSETS[subset], "Mine"}:
        make_otb(tmp_path, name, rows_of(1), [1])
        if name in ("Jogging", "Skating2"):
            (tmp_path / name / "groundtruth_rect.txt").unlink()
            for number in (1, 2):
                write(tmp_path / name / f"groundtruth_rect.{number}.txt", rows_of(1)[0])
    names = OTB(tmp_path, subset).names
    assert len(names) == targets
    assert "Mine" not in names
    assert "Mine" in OTB(tmp_path).names


def test_otb_subset_that_is_not_whole_is_an_error(tmp_path):
    make_otb(tmp_path, "Bolt", rows_of(1), [1])
    with pytest.raises(DatasetError, match=r"otb2013: .* lacks 49 of its 50 folders: Basketball,"):
        OTB(tmp_path, "otb2013")
