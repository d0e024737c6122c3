"""`cyclesiam evaluate` and `cyclesiam score` on made-up benchmarks, with tiny trackers."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from cyclesiam.cli import main
from cyclesiam.evaluation.results.evaluation import read_evaluations
from support.benchmark_folders import labels, make_davis, make_otb, make_vot
from support.trackers import Drift, Still

BOX = (11, 6, 10, 10)


@pytest.fixture
def otb(tmp_path):
    return make_otb(tmp_path / "otb", {"A": [BOX] * 3, "B": [BOX] * 3})


@pytest.fixture
def vot(tmp_path):
    """The target of `Jump` leaves."""
    jump = [BOX] * 3 + [(61, 6, 10, 10)] * 9
    return make_vot(tmp_path / "vot", {"Jump": jump, "Rest": [BOX] * 12})


def command(*words):
    return main([str(word) for word in words])


def without_speed(content):
    """Scores as JSON, without what differs from run to run."""
    for evaluation in content.get("evaluations", [content]):
        for numbers in (evaluation, evaluation["mean"], *evaluation["sequences"]):
            for key in ("fps", "command", "results"):
                numbers.pop(key, None)
    return content


def test_resets_of_several_trackers_side_by_side(capsys, tmp_path, vot):
    scores, results = tmp_path / "scores.json", tmp_path / "r"
    trackers = ("support.trackers:Still", "support.trackers:Drift")
    status = command(
        *("evaluate", "vot2018", "--root", vot, "--tracker", *trackers),
        *("--results", results, "--json", scores),
    )
    assert status == 0
    said = capsys.readouterr()
    assert "vot2018, reset" in said.out
    still, drift = json.loads(scores.read_text())["evaluations"]
    assert (still["tracker"], drift["tracker"]) == ("Still", "Drift")
    assert still["mean"]["failures"] == 1
    assert drift["mean"]["failures"] > 1
    assert still["command"].split()[0] == "cyclesiam"
    assert still["date"]
    assert still["machine"]
    lines = (results / "Still/baseline/Jump/Jump_001.txt").read_text().splitlines()
    assert [line for line in lines if "," not in line] == ["1", "2", "0", "0", "0", "0", "1"]

    again = tmp_path / "again.json"
    assert command("score", "vot2018", "--root", vot, "--results", results, "--json", again) == 0
    by_name = {e.run.tracker: e for e in read_evaluations(again)}
    assert by_name["Still"].to_json() == still  # the speed too: all of it is on disk
    assert by_name["Drift"].to_json() == drift


def test_scores_of_several_folders(capsys, tmp_path, otb):
    for tracker in ("Still", "Drift"):
        options = ("--tracker", f"support.trackers:{tracker}", "--results", tmp_path / tracker)
        assert command("evaluate", "otb", "--root", otb, *options) == 0
    folders = ("--results", tmp_path / "Still", "--results", tmp_path / "Drift" / "Drift")
    scores = tmp_path / "scores.json"
    capsys.readouterr()
    assert command("score", "otb", "--root", otb, *folders, "--json", scores) == 0
    still, drift = read_evaluations(scores)
    assert (still.run.tracker, drift.run.tracker) == ("Still", "Drift")
    assert still.mean["auc"] > drift.mean["auc"]
    assert "otb, ope" in capsys.readouterr().out


def test_segmentation_from_boxes_and_masks(capsys, tmp_path):
    round_ = labels((10, 10, 30, 30))
    round_[10:14, 10:14] = 0
    root = make_davis(tmp_path / "davis", {"one": [round_] * 4})
    scores = tmp_path / "scores.json"
    options = ("evaluate", "davis2017", "--root", root, "--protocol", "segmentation")
    for initial, j in (("box", 384 / 400), ("mask", 1)):
        asked = (
            "--tracker",
            "support.trackers:Masks",
            "--initial-input",
            initial,
            "--json",
            scores,
        )
        assert command(*options, *asked) == 0
        assert f"Masks on davis2017, segmentation, init {initial}" in capsys.readouterr().out
        read = json.loads(scores.read_text())
        assert read["initial_input"] == initial
        assert read["mean"]["j_mean"] == pytest.approx(j)
        assert read["objects"][0]["name"] == "one_1"


def test_a_finished_sequence_is_not_run_again(capsys, tmp_path, otb):
    results = tmp_path / "r"
    options = ("evaluate", "otb", "--root", otb, "--results", results)
    still = ("--tracker", "support.trackers:Still")
    assert command(*options, *still, "--sequences", "A") == 0
    capsys.readouterr()
    assert command(*options, *still) == 0
    said = capsys.readouterr().err
    assert "1 of 2: A is there already" in said
    assert "2 of 2: B, 3 frames" in said
    # Another tracker under the same name is not taken for it.
    assert command(*options, "--tracker", "Still=support.trackers:Drift", "--starts", "2") == 1
    assert "holds results of other settings (starts 1 there, 2 now)" in capsys.readouterr().err


def test_an_error_in_one_sequence_is_told_at_the_end(capsys, tmp_path, otb):
    (otb / "A/img/0002.jpg").write_bytes(b"no picture")
    scores = tmp_path / "scores.json"
    options = ("--tracker", "support.trackers:Still", "--json", scores, "--results", tmp_path / "r")
    assert command("evaluate", "otb", "--root", otb, *options) == 1
    said = capsys.readouterr()
    *_, place, last = said.err.splitlines()
    assert place.startswith("A: Still on otb, sequence A: ")
    assert "0002.jpg" in place
    assert last.startswith("cyclesiam evaluate: 1 sequence failed, see above; the others are kept")
    assert "mean of 1 of 2" in said.out
    read = json.loads(scores.read_text())
    assert [s["name"] for s in read["sequences"]] == ["B"]
    assert [e["name"] for e in read["errors"]] == ["A"]


def test_one_tracker_that_fails_wholly_stops_no_other(capsys, tmp_path, otb):
    trackers = ("--tracker", "support.trackers:NoUpdate", "support.trackers:Still")
    assert command("evaluate", "otb", "--root", otb, *trackers) == 1
    said = capsys.readouterr()
    assert "Still on otb, ope" in said.out
    assert (
        "NoUpdate on otb, sequence A: support.trackers:NoUpdate makes a NoUpdate without update"
        in said.err
    )


def test_wrong_results_are_named_with_file_and_line(capsys, tmp_path, otb):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "A.txt").write_text("11,6,10,10\n" * 3)
    (folder / "B.txt").write_text("11,6,10,10\n11,nan,10,10\n11,6,10,10\n")
    scores = tmp_path / "scores.json"
    options = ("score", "otb", "--root", otb, "--results", folder)
    assert command(*options, "--json", scores) == 1
    said = capsys.readouterr().err
    assert f"B: {folder / 'B.txt'}, line 2: got '11,nan,10,10', but every number must be" in said
    assert said.endswith(
        "1 sequence failed, see above; mend them, or leave them out with --sequences\n"
    )
    assert [s["name"] for s in json.loads(scores.read_text())["sequences"]] == ["A"]
    assert command(*options, "--sequences", "A") == 0
    assert command("score", "otb", "--root", otb, "--results", tmp_path / "none") == 1
    assert "this folder of results is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--protocol", "reset"), "otb cannot be run by the protocol 'reset'; choose ope"),
        (("--flavour", "vot_toolkit"), "no flavour 'vot_toolkit'; choose pysot or got10k"),
        (("--tracker", "no_such_module:T"), "cannot be imported"),
        (("--tracker", "nano"), "needs 2 --model-files"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(capsys, otb, options, complaint):
    still = () if "--tracker" in options else ("--tracker", "support.trackers:Still")
    assert command("evaluate", "otb", "--root", otb, *still, *options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_an_interruption_says_what_is_kept(capsys, monkeypatch, tmp_path, otb):
    updates = []

    def update(self, image):
        updates.append(1)
        if len(updates) == 3:  # in the second sequence
            signal.raise_signal(signal.SIGINT)
        return self.box

    monkeypatch.setattr(Still, "update", update)
    options = ("evaluate", "otb", "--root", otb, "--tracker", "support.trackers:Still")
    assert command(*options) == 130
    folder = kept_folder(
        capsys.readouterr().err,
        r"evaluate: interrupted; 1 sequence done, kept in (\S+); the same command with "
        r"--results \1 continues from there\n$",
    )
    assert command(*options, "--results", folder) == 0
    assert "1 of 2: A is there already" in capsys.readouterr().err
    shutil.rmtree(folder)
    updates.clear()
    assert command(*options, "--results", tmp_path / "r") == 130
    assert "kept in" in capsys.readouterr().err
    assert command(*options, "--results", tmp_path / "r") == 0
    assert "1 of 2: A is there already" in capsys.readouterr().err


def kept_folder(printed: str, sentence: str) -> Path:
    found = re.search(sentence, printed)
    assert found, printed
    return Path(found[1])


def test_what_was_computed_is_kept_where_one_sequence_is_bad(capsys, monkeypatch, tmp_path, otb):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (otb / "A/img/0002.jpg").write_bytes(b"no picture")
    options = ("evaluate", "otb", "--root", otb)
    assert command(*options, "--tracker", "support.trackers:Still") == 1
    folder = kept_folder(
        capsys.readouterr().err,
        r"1 sequence failed, see above; the others are kept in (\S+); the same command with "
        r"--results \1 runs only what is missing\n$",
    )
    assert (folder / "Still/B.txt").is_file()
    shutil.rmtree(folder)
    # What is wrong with one tracker does not hide what is wrong with another.
    trackers = ("--tracker", "support.trackers:NoUpdate", "support.trackers:Still")
    assert command(*options, *trackers) == 1
    assert re.search("NoUpdate without update.*; 1 sequence failed", capsys.readouterr().err)
    for left in (tmp_path / "temporary").iterdir():
        shutil.rmtree(left)
    # Where nothing was computed, nothing is left and nothing is promised.
    assert command(*options, "--tracker", "support.trackers:NoUpdate") == 1
    assert "kept" not in capsys.readouterr().err
    (otb / "A/img/0002.jpg").write_bytes((otb / "A/img/0001.jpg").read_bytes())
    assert command(*options, "--tracker", "support.trackers:Still") == 0
    assert not list((tmp_path / "temporary").iterdir())


def test_scores_of_finished_trackers_outlive_an_interruption(capsys, monkeypatch, tmp_path, otb):
    def update(self, image):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Drift, "update", update)
    trackers = ("--tracker", "support.trackers:Still", "support.trackers:Drift")
    options = ("--results", tmp_path / "r", "--json", tmp_path / "scores.json")
    assert command("evaluate", "otb", "--root", otb, *trackers, *options) == 130
    said = capsys.readouterr()
    assert "Still on otb, ope" in said.out
    assert "no sequence was done" in said.err
    (still,) = read_evaluations(tmp_path / "scores.json")
    assert still.run.tracker == "Still"


SLOW = """
import time
from pathlib import Path
from support.trackers import Drift

class Slow(Drift):
    def update(self, image):
        time.sleep(0.05)
        return super().update(image)
"""


def test_a_killed_run_goes_on_with_any_number_of_workers(tmp_path, monkeypatch):
    rows = [BOX] * 6
    root = make_otb(tmp_path / "otb", dict.fromkeys("ABCD", rows))
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    options = ["evaluate", "otb", "--root", str(root), "--tracker", "slow:Slow"]
    run = [sys.executable, "-c", "import sys; sys.path[:0] = sys.argv.pop(1).split(':')\n"]
    run[-1] += "from cyclesiam.cli import run; run()"
    run += [":".join(path for path in sys.path if path), *options]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([*run, "--results", str(killed)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (killed / "Slow/A.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (killed / "Slow/D.txt").exists()
    scores = [tmp_path / f"{name}.json" for name in ("killed", "whole")]
    more = ("--results", killed, "--json", scores[0], "--workers", 2)
    assert command(*options, *more) == 0
    assert command(*options, "--results", whole, "--json", scores[1]) == 0
    one, two = (without_speed(json.loads(path.read_text())) for path in scores)
    assert one == two
    boxes = np.loadtxt(killed / "Slow/D.txt", delimiter=",")
    np.testing.assert_array_equal(boxes[:, 0], [11, 14, 17, 20, 23, 26])


def test_a_report_of_several_trackers(capsys, tmp_path, vot):
    pytest.importorskip("matplotlib")
    trackers = ("support.trackers:Still", "support.trackers:Drift")
    options = ("--tracker", *trackers, "--report", tmp_path / "report")
    assert command("evaluate", "vot2018", "--root", vot, *options) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Still" in page
    assert "Drift" in page
    assert "Report: " in capsys.readouterr().out
    (tmp_path / "file").touch()
    assert command("evaluate", "vot2018", "--root", vot, "--report", tmp_path / "file") == 1
    assert "is a file, not a folder; choose another --report" in capsys.readouterr().err
