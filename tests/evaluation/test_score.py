"""Raw results scored: numbers worked out by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import select_sequences
from cyclesiam.evaluation.protocols.registry import make_protocol
from cyclesiam.evaluation.report.sequences import load_frame_results
from cyclesiam.evaluation.results.evaluation import FailedSequence, RunInfo
from cyclesiam.evaluation.results.files import write_boxes, write_regions, write_times
from cyclesiam.evaluation.results.label_maps import write_labels
from cyclesiam.evaluation.score import score_results
from support.benchmark_folders import (
    labels,
    make_davis,
    make_got10k,
    make_otb,
    make_vot,
    write_images,
)

BOX = (20.0, 10.0, 10.0, 10.0)
OFF = (25.0, 10.0, 10.0, 10.0)  # half the box: overlap 1/3, center 5 px off


def score(protocol, root, folder, *, names=None, rules="pysot", **options):
    dataset = protocol.open(root)
    run = RunInfo(
        benchmark=protocol.benchmark.name,
        protocol=protocol.name,
        tracker="made",
        flavour=rules,
        results=str(folder),
    )
    selected = select_sequences(dataset.names, names, run.benchmark)
    results = protocol.results(folder)
    return score_results(protocol, dataset, results, run, names=selected, **options)


def frame_results(evaluation, protocol, root, name):
    return load_frame_results(evaluation, protocol.open(root), name)


# One pass

OTB = make_protocol("otb", "ope")


@pytest.fixture
def otb(tmp_path):
    """`Half` is off in two of its four frames, `Rest` never; only `Half` has the attribute OCC."""
    root = make_otb(tmp_path / "otb", {"Half": [BOX] * 4, "Rest": [BOX] * 2})
    (root / "Half" / "attrs.txt").write_text("OCC\n")
    (root / "Rest" / "attrs.txt").write_text("")
    write_boxes(tmp_path / "r" / "Half.txt", np.array([BOX, BOX, OFF, OFF]))
    write_boxes(tmp_path / "r" / "Rest.txt", np.array([BOX, BOX]))
    write_times(tmp_path / "r" / "times" / "Half_time.txt", np.full((4, 1), 0.125))
    return root


def test_one_pass_by_hand(otb, tmp_path):
    events = []
    evaluation = score(OTB, otb, tmp_path / "r", on_sequence=lambda *event: events.append(event))
    half, rest = evaluation.sequences
    # Overlap 1/3 is above the 7 thresholds 0 to 0.3, overlap 1 above 20 of 21.
    assert half.numbers["auc"] == pytest.approx((20 + 7) / 2 / 21)
    assert half.numbers["precision_20"] == 1
    assert half.numbers["norm_precision_20"] == 0.5  # 5 px are half a target
    assert half.numbers["fps"] == 8
    assert rest.numbers["auc"] == pytest.approx(20 / 21)
    assert math.isnan(rest.numbers["fps"])
    assert list(evaluation.mean) == ["auc", "precision_20", "norm_precision_20", "fps"]
    assert evaluation.mean["auc"] == pytest.approx((13.5 + 20) / 2 / 21)  # by sequence
    assert evaluation.mean["fps"] == 8
    assert evaluation.curve("success").y[10] == 0.75
    assert evaluation.curve("precision").x[-1] == 50
    assert evaluation.curve("norm_precision").y[-1] == 1
    (attribute,) = evaluation.attributes
    assert (attribute.name, attribute.frames) == ("OCC", 4)
    assert attribute.numbers["auc"] == half.numbers["auc"]
    assert [(done, count, outcome.name) for done, count, outcome in events] == [
        (1, 2, "Half"),
        (2, 2, "Rest"),
    ]


def test_one_pass_by_the_rules_of_got10k(otb, tmp_path):
    write_boxes(tmp_path / "r" / "Rest.txt", np.array([OFF, BOX]))  # the first does not count
    evaluation = score(OTB, otb, tmp_path / "r", names=["Rest"], rules="got10k")
    assert evaluation.mean["auc"] == pytest.approx(20 / 21)
    assert evaluation.curve("norm_precision") is None


def test_later_starts_count_as_much_as_the_first(otb, tmp_path):
    write_boxes(tmp_path / "r" / "starts" / "Half_000002.txt", np.array([OFF, OFF]))
    evaluation = score(OTB, otb, tmp_path / "r", names=["Half"])
    assert evaluation.mean["auc"] == pytest.approx(((20 + 7) / 2 + 7) / 2 / 21)


def test_a_start_behind_the_end_is_refused(otb, tmp_path):
    write_boxes(tmp_path / "r" / "starts" / "Half_000009.txt", np.array([OFF]))
    with pytest.raises(CycleSiamError, match=r"Half_000009\.txt: begins behind the end"):
        score(OTB, otb, tmp_path / "r", names=["Half"])


def test_frame_results_of_one_pass(otb, tmp_path):
    evaluation = score(OTB, otb, tmp_path / "r")
    found = frame_results(evaluation, OTB, otb, "Half")
    np.testing.assert_allclose(found.overlaps, [1, 1, 1 / 3, 1 / 3])
    np.testing.assert_array_equal(found.boxes[3], [24, 9, 34, 19])  # continuous pixels
    np.testing.assert_array_equal(found.truth[3], [19, 9, 29, 19])
    assert found.frames[0].name == "0001.jpg"
    nowhere = replace(evaluation, run=replace(evaluation.run, results=None))
    with pytest.raises(CycleSiamError, match="not on record"):
        frame_results(nowhere, OTB, otb, "Half")


def test_one_broken_result_loses_no_other(otb, tmp_path):
    (tmp_path / "r" / "Half.txt").write_text("1,2,3,4\n1,2,x,4\n")
    evaluation = score(OTB, otb, tmp_path / "r")
    assert [s.name for s in evaluation.sequences] == ["Rest"]
    assert evaluation.mean["auc"] == pytest.approx(20 / 21)
    assert evaluation.attributes == ()
    (error,) = evaluation.errors
    assert error.name == "Half"
    assert "Half.txt, line 2: expected 4 numbers" in error.message


def test_what_failed_before_is_not_scored(otb, tmp_path):
    failure = FailedSequence(name="Half", message="the tracker stopped")
    evaluation = score(OTB, otb, tmp_path / "r", failures=[failure])
    assert evaluation.errors == (failure,)
    assert len(evaluation.sequences) == 1


def test_nothing_to_score_is_an_error(otb, tmp_path):
    with pytest.raises(CycleSiamError, match=r"Half\.txt: there is no result.*and 1 more"):
        score(OTB, otb, tmp_path / "none")


def test_rules_of_another_protocol_are_refused(otb, tmp_path):
    with pytest.raises(CycleSiamError, match="no flavour 'vot_toolkit'; choose pysot or got10k"):
        score(OTB, otb, tmp_path / "r", rules="vot_toolkit")


def test_scoring_needs_one_frame_of_a_sequence(tmp_path):
    protocol = make_protocol("vot2018", "reset")
    root = make_vot(tmp_path / "vot", {"A": [BOX] * 14})
    for picture in sorted((root / "A" / "color").iterdir())[1:]:
        picture.unlink()
    write_regions(tmp_path / "r" / "baseline/A/A_001.txt", trajectory("i" + "x" * 13))
    assert score(protocol, root, tmp_path / "r").mean["accuracy"] == 1


def test_got10k_by_hand(tmp_path):
    protocol = make_protocol("got10k", "ope")
    root = make_got10k(tmp_path / "got", {"A": [BOX] * 4, "B": [BOX] * 4}, cover=[8, 8, 0, 8])
    for name, rows in {"A": [BOX, BOX, OFF, OFF], "B": [OFF, BOX, OFF, BOX]}.items():
        write_boxes(tmp_path / "r" / name / f"{name}_001.txt", np.array(rows))
    evaluation = score(protocol, root, tmp_path / "r")
    # Two frames of each count: neither the first nor the hidden one.
    assert evaluation.mean["ao"] == pytest.approx((1 + 1 / 3 + 1 + 1) / 4)
    assert evaluation.mean["sr_50"] == evaluation.mean["sr_75"] == 0.75
    assert evaluation.sequences[0].numbers["ao"] == pytest.approx(2 / 3)
    assert evaluation.sequences[1].numbers["sr_50"] == 1


def test_ground_truth_that_the_benchmark_keeps_is_named(tmp_path):
    root = tmp_path / "got"
    make_got10k(root, {"A": [BOX]}, cover=[8])
    (root / "val").rename(root / "test")
    write_images(root / "test" / "A", 3)
    (root / "test" / "A" / "cover.label").unlink()
    write_boxes(tmp_path / "r" / "A" / "A_001.txt", np.array([BOX] * 3))
    with pytest.raises(CycleSiamError, match="only the first frame has a box"):
        score(make_protocol("got10k", "ope"), root, tmp_path / "r")


# Resets

VOT = make_protocol("vot2018", "reset")
CODES = {"i": 1.0, "f": 2.0, "-": 0.0}


def trajectory(frames):
    """By letters: i initialized, f failed, - skipped, x on the target, h half off."""
    regions = {"x": np.array(BOX), "h": np.array(OFF)}
    return [np.array([CODES[f]]) if f in CODES else regions[f] for f in frames]


@pytest.fixture
def vot(tmp_path):
    """22 frames that are all on target but one failure, and 12 without failure."""
    tags = [("long", "occlusion", [0] * 15 + [1] * 7), ("short", "occlusion", [0] * 12)]
    root = make_vot(tmp_path / "vot", {"long": [BOX] * 22, "short": [BOX] * 12}, tags=tags)
    long = trajectory("i" + "x" * 11 + "h" * 3 + "f----ix")
    write_regions(tmp_path / "r" / "baseline/long/long_001.txt", long)
    seconds = np.array([[0.5]] * 16 + [[0]] * 4 + [[0.5]] * 2)
    write_times(tmp_path / "r" / "baseline/long/long_time.txt", seconds)
    write_regions(tmp_path / "r" / "baseline/short/short_001.txt", trajectory("i" + "x" * 11))
    return root


HALF = 6 * 11 / (16 * 11)  # 11 columns and rows each, 6 columns are shared


def test_resets_by_hand(vot, tmp_path):
    evaluation = score(VOT, vot, tmp_path / "r")
    long, short = evaluation.sequences
    # Ten frames from an initialization do not count: two are on target, three half.
    assert long.numbers["accuracy"] == pytest.approx((2 + 3 * HALF) / 5)
    assert long.numbers["failures"] == 1
    assert long.numbers["failures_per_100_frames"] == pytest.approx(100 / 22)
    assert long.numbers["fps"] == 2  # of the frames that it was asked for
    assert short.numbers["accuracy"] == 1
    assert evaluation.mean["accuracy"] == pytest.approx((4 + 3 * HALF) / 7)  # frames are pooled
    assert evaluation.mean["failures"] == 1
    assert evaluation.mean["failures_per_100_frames"] == pytest.approx(100 / 34)
    assert evaluation.eao_interval == (100, 356)
    assert math.isnan(evaluation.mean["eao"])  # no sequence is as long
    curve = evaluation.curve("eao")
    assert curve.x[:2] == (1, 2)
    assert curve.y[:2] == (1, 1)
    # After 15 frames only `long`'s first fragment is left, which failed: 11 full, 3 half frames.
    assert curve.y[15] == pytest.approx((11 + 3 * HALF) / 15)


def test_attributes_of_frames(vot, tmp_path):
    (occlusion,) = score(VOT, vot, tmp_path / "r").attributes
    assert (occlusion.name, occlusion.frames) == ("occlusion", 7)
    assert occlusion.numbers["failures"] == 1
    assert math.isnan(occlusion.numbers["accuracy"])  # all of them in a burn-in


def test_resets_by_the_rules_of_the_toolkit(vot, tmp_path):
    evaluation = score(VOT, vot, tmp_path / "r", rules="vot_toolkit")
    third = 1 / 3  # ten columns, five are shared
    long = (2 + 3 * third) / 5
    assert evaluation.sequences[0].numbers["accuracy"] == pytest.approx(long)
    assert evaluation.mean["accuracy"] == pytest.approx((22 * long + 12 * 1) / 34)
    assert evaluation.mean["failures_weighted"] == pytest.approx(22 / 34)
    assert evaluation.mean["reliability"] == pytest.approx(math.exp(-30 * (22 / 34) / 17))
    assert evaluation.curve("eao").x[0] == 0


def test_repetitions_are_averaged(vot, tmp_path):
    write_regions(tmp_path / "r" / "baseline/long/long_002.txt", trajectory("i" + "x" * 21))
    evaluation = score(VOT, vot, tmp_path / "r", names=["long"])
    assert evaluation.mean["failures"] == 0.5


def test_frame_results_with_resets(vot, tmp_path):
    found = frame_results(score(VOT, vot, tmp_path / "r"), VOT, vot, "long")
    assert found.failures == (15,)
    assert np.isnan(found.overlaps[:10]).all()
    np.testing.assert_allclose(found.overlaps[10:15], [1, 1, HALF, HALF, HALF])
    assert np.isnan(found.boxes[15:20]).all()
    np.testing.assert_array_equal(found.boxes[14], [25, 10, 35, 20])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("nan,1,2,3", "line 3: .*finite"), ("7", "line 3: 7 is no code"), ("1,2,3", "line 3: exp")],
)
def test_a_broken_trajectory_is_named(vot, tmp_path, line, complaint):
    path = tmp_path / "r" / "baseline/short/short_001.txt"
    lines = path.read_text().splitlines()
    lines[2] = line
    path.write_text("\n".join(lines))
    (error,) = score(VOT, vot, tmp_path / "r").errors
    assert error.message.startswith(str(path))
    with pytest.raises(CycleSiamError, match=complaint):
        score(VOT, vot, tmp_path / "r", names=["short"])


# Segmentation

DAVIS = make_protocol("davis2017", "segmentation")
TRUTH = labels((10, 10, 30, 30), (60, 10, 80, 30))


@pytest.fixture
def davis(tmp_path):
    """Two objects in `two`, one of them half found; one in `one`, found."""
    root = make_davis(tmp_path / "davis", {"two": [TRUTH] * 4, "one": [np.minimum(TRUTH, 1)] * 4})
    half = labels((10, 10, 30, 30), (60, 10, 70, 30))
    for name, found in {"two": half, "one": np.minimum(TRUTH, 1)}.items():
        (tmp_path / "r" / name).mkdir(parents=True)
        for frame in range(4):
            write_labels(tmp_path / "r" / name / f"{frame:05}.png", found)
    return root


def test_segmentation_by_hand(davis, tmp_path):
    evaluation = score(DAVIS, davis, tmp_path / "r")
    objects = {o.name: o for o in evaluation.objects}
    assert objects["two_1"].numbers["j_and_f"] == 1
    assert objects["two_2"].numbers["j_mean"] == 0.5
    assert objects["two_2"].numbers["j_recall"] == 0  # not above a half
    assert objects["two_2"].numbers["j_decay"] == 0
    assert objects["two_2"].frames == 2  # neither the first nor the last
    assert 0.5 < objects["two_2"].numbers["f_mean"] < 1
    assert evaluation.mean["j_mean"] == pytest.approx((1 + 0.5 + 1) / 3)  # by object
    two = next(s for s in evaluation.sequences if s.name == "two")
    assert two.numbers["j_mean"] == 0.75
    assert two.frames == 4


@pytest.mark.parametrize("label", [2, 200])
def test_labels_that_no_mask_shows_are_no_objects(tmp_path, label):
    truth = np.where(TRUTH == 2, np.uint8(label), np.uint8(0))
    root = make_davis(tmp_path / "davis", {"one": [truth] * 4})
    (tmp_path / "r" / "one").mkdir(parents=True)
    found = label * labels((60, 10, 70, 30))  # half of it
    for frame in range(4):
        write_labels(tmp_path / "r" / "one" / f"{frame:05}.png", found)
    evaluation = score(DAVIS, root, tmp_path / "r")
    assert [each.name for each in evaluation.objects] == [f"one_{label}"]
    assert evaluation.mean["j_mean"] == 0.5
    assert frame_results(evaluation, DAVIS, root, "one").overlaps[1] == 0.5
    official = score(DAVIS, root, tmp_path / "r", rules="davis2017")
    assert len(official.objects) == label  # the others are always absent, and perfect
    assert official.mean["j_mean"] == pytest.approx((label - 0.5) / label)
    assert frame_results(official, DAVIS, root, "one").overlaps[1] > 0.7


def test_one_object_of_davis_2016(tmp_path):
    protocol = make_protocol("davis2016", "segmentation")
    root = make_davis(tmp_path / "davis", {"one": [TRUTH] * 3}, year=2016)  # both are the object
    (tmp_path / "r" / "one").mkdir(parents=True)
    for frame in range(3):
        write_labels(tmp_path / "r" / "one" / f"{frame:05}.png", np.uint8(255) * (TRUTH == 1))
    evaluation = score(protocol, root, tmp_path / "r")
    assert evaluation.mean["j_mean"] == 0.5
    assert [o.name for o in evaluation.objects] == ["one_1"]


def test_frame_results_of_segmentation(davis, tmp_path):
    found = frame_results(score(DAVIS, davis, tmp_path / "r"), DAVIS, davis, "two")
    np.testing.assert_array_equal(found.overlaps, [np.nan, 0.75, 0.75, np.nan])
    np.testing.assert_array_equal(found.truth[1], [10, 10, 80, 30])
    np.testing.assert_array_equal(found.boxes[1], [10, 10, 70, 30])
    assert found.label_maps[0] == tmp_path / "r" / "two" / "00000.png"


def test_a_missing_label_map_and_a_missing_sequence_are_named(davis, tmp_path):
    (tmp_path / "r" / "two" / "00002.png").unlink()
    (error,) = score(DAVIS, davis, tmp_path / "r").errors
    assert "00002.png: this label map is missing" in error.message
    with pytest.raises(CycleSiamError, match=f"{Path('none')}.*no result of the sequence one"):
        score(DAVIS, davis, tmp_path / "none", names=["one"])
