import os
from functools import partial

import numpy as np
import pytest

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import ProtocolSettings
from cyclesiam.evaluation.protocols.registry import make_protocol
from cyclesiam.evaluation.results.files import read_boxes, read_times, read_trajectory
from cyclesiam.evaluation.runner import EvaluationJob, run_sequences
from support.benchmark_folders import labels, make_davis, make_otb, make_vot
from support.trackers import Counted, Drift, Fragile, Jitter, Masks, Still

ROWS = [(11, 6, 10, 10)] * 4


@pytest.fixture
def otb(tmp_path):
    return make_otb(tmp_path / "otb", {"A": ROWS, "B": ROWS, "C": ROWS})


def job(root, make, folder, benchmark="otb", protocol=None, **settings):
    return EvaluationJob(
        protocol=make_protocol(benchmark, protocol, ProtocolSettings(**settings)),
        root=root,
        make_tracker=make,
        tracker="made",
        folder=folder,
    )


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "time" not in path.name
    }


def test_one_pass_is_written_in_the_benchmarks_coordinates(otb, tmp_path):
    events = []
    failures = run_sequences(
        job(otb, Drift, tmp_path / "r"), "AB", on_sequence=lambda *event: events.append(event)
    )
    assert failures == ()
    assert [(done, count, ran.name, ran.frames) for done, count, ran in events] == [
        (1, 2, "A", 4),
        (2, 2, "B", 4),
    ]
    boxes = read_boxes(tmp_path / "r" / "A.txt", 4)  # from 1, as in the annotation
    np.testing.assert_array_equal(boxes[:, 0], [11, 14, 17, 20])
    np.testing.assert_array_equal(boxes[:, 1:], [[6, 10, 10]] * 4)
    assert (read_times(tmp_path / "r" / "times" / "A_time.txt", 4) >= 0).all()


def test_one_pass_from_other_frames(otb, tmp_path):
    run_sequences(job(otb, Drift, tmp_path / "r", starts=2), ["A"])
    later = read_boxes(tmp_path / "r" / "starts" / "A_000002.txt", 2)
    np.testing.assert_array_equal(later[:, 0], [11, 14])
    times = read_times(tmp_path / "r" / "times" / "A_time.txt", 4)
    assert times.shape == (4, 2)
    assert (times[:2, 1] == 0).all()


def test_repetitions_differ_and_are_reproducible(tmp_path):
    root = make_vot(tmp_path / "vot", {"A": [(20, 10, 20, 20)] * 8})
    for name in ("first", "second"):
        run_sequences(job(root, Jitter, tmp_path / name, "vot2018", repetitions=2), ["A"])
    one, two = files(tmp_path / "first").values()
    assert one != two
    assert files(tmp_path / "first") == files(tmp_path / "second")
    assert len(read_trajectory(tmp_path / "first/baseline/A/A_002.txt", 8)) == 8


def test_label_maps_have_the_names_of_frames(tmp_path):
    root = make_davis(tmp_path / "davis", {"A": [labels((5, 5, 15, 15))] * 3})
    run_sequences(job(root, Masks, tmp_path / "r", "davis2017", "segmentation"), ["A"])
    assert sorted(path.name for path in (tmp_path / "r" / "A").iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
    ]


def test_several_workers_write_the_same_and_one_death_loses_no_other(tmp_path):
    rows = [(11, 6, 10, 10)] * 3
    root = make_otb(tmp_path / "otb", {"A": rows, "D": rows})
    make_otb(root, {"B": rows}, value=[0, 200, 200])  # the tracker stops
    make_otb(root, {"C": rows}, value=[0, 255, 255])  # its process dies
    events = []
    failures = run_sequences(
        job(root, Fragile, tmp_path / "two"),
        "ABCD",
        workers=2,
        on_sequence=lambda done, count, outcome: events.append((done, count, outcome.name)),
    )
    assert [failure.name for failure in failures] == ["B", "C"]
    assert failures[0].message == (
        "made on otb, sequence B: the tracker stopped with RuntimeError: too bright"
    )
    assert failures[1].message.endswith("its process ended with status SIGKILL")
    assert sorted(name for *_, name in events) == list("ABCD")
    assert [(done, count) for done, count, _ in events] == [(n, 4) for n in range(1, 5)]
    run_sequences(job(root, Fragile, tmp_path / "one"), "AD")
    assert list(files(tmp_path / "two")) == ["A.txt", "D.txt"]
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_an_error_in_one_sequence_is_events_with_its_place(otb, tmp_path):
    (otb / "B/img/0003.jpg").write_bytes(b"no picture")
    failures = run_sequences(job(otb, Still, tmp_path / "r"), "ABC")
    assert [failure.name for failure in failures] == ["B"]
    assert failures[0].message.startswith("made on otb, sequence B: ")
    assert "0003.jpg" in failures[0].message
    assert list(files(tmp_path / "r")) == ["A.txt", "C.txt"]


def test_what_is_finished_is_not_run_again(otb, tmp_path, monkeypatch):
    monkeypatch.setattr(Counted, "log", tmp_path / "log")
    starts = lambda: len((tmp_path / "log").read_text().splitlines())  # noqa: E731
    run_sequences(job(otb, Counted, tmp_path / "r"), "AB")
    assert starts() == 2
    events = []
    run_sequences(
        job(otb, Counted, tmp_path / "r"), "ABC", on_sequence=lambda *event: events.append(event[2])
    )
    assert starts() == 3
    assert [ran.is_new for ran in events] == [False, False, True]


@pytest.mark.parametrize("damage", ["cut", "no times", "more starts"])
def test_what_is_not_whole_is_run_again(otb, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(Counted, "log", tmp_path / "log")
    run_sequences(job(otb, Counted, tmp_path / "r"), "A")
    whole = files(tmp_path / "r")["A.txt"]
    if damage == "cut":
        (tmp_path / "r" / "A.txt").write_bytes(whole[:50])
    if damage == "no times":
        (tmp_path / "r" / "times" / "A_time.txt").unlink()
    run_sequences(job(otb, Counted, tmp_path / "r", starts=1 + (damage == "more starts")), "A")
    assert len((tmp_path / "log").read_text().splitlines()) == 2 + (damage == "more starts")
    assert files(tmp_path / "r")["A.txt"] == whole


def test_an_interrupted_run_keeps_what_is_finished(otb, tmp_path):
    class Interrupted(Still):
        updates = 0

        def update(self, image):
            Interrupted.updates += 1
            if Interrupted.updates == 5:  # in the second sequence
                raise KeyboardInterrupt
            return self.box

    with pytest.raises(KeyboardInterrupt):
        run_sequences(job(otb, Interrupted, tmp_path / "r"), "ABC")
    assert list(files(tmp_path / "r")) == ["A.txt"]
    run_sequences(job(otb, Interrupted, tmp_path / "r"), "ABC")
    run_sequences(job(otb, Still, tmp_path / "whole"), "ABC")
    assert files(tmp_path / "r") == files(tmp_path / "whole")


def test_a_tracker_that_cannot_be_sent_is_named(otb, tmp_path):
    with pytest.raises(CycleSiamError, match="made cannot be sent to other processes"):
        run_sequences(job(otb, lambda: Still(), tmp_path / "r"), "A", workers=2)


def test_processes_that_cannot_start_stop_the_run(otb, tmp_path):
    with pytest.raises(CycleSiamError, match=r"made: its process ended .* before it could begin"):
        run_sequences(job(otb / "none", Still, tmp_path / "r"), "A", workers=2)


def test_boxes_of_masks_are_the_smallest_around_them(otb, tmp_path):
    assert run_sequences(job(otb, Masks, tmp_path / "r"), "A") == ()
    assert read_boxes(tmp_path / "r" / "A.txt", 4)[3].tolist() == [11, 6, 10, 10]


def test_settings_count_from_one(otb, tmp_path):
    with pytest.raises(ValueError, match="at least one start"):
        ProtocolSettings(starts=0)
    with pytest.raises(ValueError, match="at least one worker"):
        run_sequences(job(otb, Still, tmp_path), "A", workers=0)


def test_the_environment_is_left_as_it_was(otb, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    run_sequences(job(otb, partial(Still), tmp_path / "r"), "A", workers=2)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
