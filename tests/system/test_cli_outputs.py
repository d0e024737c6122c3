"""What commands write: never over a source or other results, by one process, tried before."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from cyclesiam.cli import main
from cyclesiam.tracking.results import ResultWriter, read_results
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import VideoWriter, probe
from support import ROOT

fcntl = pytest.importorskip("fcntl")

pytestmark = pytest.mark.usefixtures("one_thread")

BOX = "--box=10,14,16,16"


@pytest.fixture
def folders(tmp_path, made_frames):
    """Two folders of images with the same name, a/img and b/img."""
    for name in "ab":
        folder = tmp_path / name / "img"
        folder.mkdir(parents=True)
        for number, frame in enumerate(made_frames[:3]):
            cv2.imwrite(str(folder / f"{number}.png"), frame)
    return tmp_path


@pytest.fixture
def track(monkeypatch, tmp_path, weights):
    """Return a function that runs `track`; no tracker runs if `works` is false."""
    monkeypatch.chdir(tmp_path)

    def run(source, *options, works=True):
        def fail(*arguments):
            pytest.fail("this was to be found before the work")

        with monkeypatch.context() as patch:
            if not works:
                patch.setattr(Tracker, "start", fail)
            return main(["track", str(source), BOX, "--weights", weights, *map(str, options)])

    return run


# --- results over results ------------------------------------------------------------------------


def test_results_are_not_replaced_silently(capsys, track, folders):
    assert track("a/img") == 0
    first = (folders / "img.jsonl").read_bytes()
    assert track("b/img", works=False) == 1
    assert "img.jsonl: exists already" in capsys.readouterr().err
    assert (folders / "img.jsonl").read_bytes() == first
    assert track("b/img", "--overwrite", "--end-frame", 1) == 0
    assert len([*read_results("img.jsonl")]) == 2


@pytest.mark.parametrize("option", ["--output=old.csv", "--video=old.mp4"])
def test_named_outputs_are_not_replaced_silently(capsys, track, folders, option):
    old = folders / option.split("=")[1]
    old.write_text("precious")
    assert track("a/img", option, works=False) == 1
    assert "exists already; name another file, or give --overwrite" in capsys.readouterr().err
    assert old.read_text() == "precious"
    assert track("a/img", option, "--overwrite") == 0


def test_an_empty_file_may_be_written(track, folders):
    (folders / "made.jsonl").touch()  # as by mktemp
    assert track("a/img", "--output", "made.jsonl") == 0
    assert len([*read_results("made.jsonl")]) == 3


# --- the source itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--output", "--video"])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_no_link_to_the_source_is_written(capsys, track, tmp_path, clip, option, link):
    link(clip, tmp_path / "linked.mp4")
    before = clip.read_bytes()
    for source in (clip, f"file://{clip}"):
        assert track(source, option, "linked.mp4", "--overwrite", works=False) == 2
        assert "would be overwritten" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_no_frame_of_a_folder_is_written(capsys, track, folders):
    os.link(folders / "a/img/2.png", folders / "linked.jsonl")
    for output in ("a/img/1.png", "linked.jsonl"):
        assert track("a/img", "--output", output, "--overwrite", works=False) == 2
        assert "would be overwritten" in capsys.readouterr().err


def test_two_names_of_one_output(capsys, track, tmp_path, clip):
    (tmp_path / "one.mp4").touch()
    os.link("one.mp4", "other.mp4")
    assert track(clip, "--output", "one.mp4", "--video", "other.mp4", works=False) == 2
    assert "name the same file" in capsys.readouterr().err


def test_no_other_command_writes_over_its_source(capsys, tmp_path, clip, weights):
    os.link(clip, tmp_path / "linked")
    before = clip.read_bytes()
    commands = [
        ["validate", clip, "--weights", weights, "--json", tmp_path / "linked"],
        ["discover", clip, "--sheet", tmp_path / "linked"],
        ["bench", "--source", clip, BOX, "--weights", weights, "--json", tmp_path / "linked"],
        ["export", "--weights", weights, "--output", weights],
        ["evaluate", "otb", "--root", tmp_path, "--tracker", "kcf", "--json", clip],
        ["score", "otb", "--root", tmp_path, "--results", tmp_path, "--json", clip],
    ]
    for words in commands:
        assert main([*map(str, words)]) in (1, 2)
        said = capsys.readouterr().err
        assert "would be overwritten" in said or "exists already" in said
    assert clip.read_bytes() == before


# --- two runs, one output ------------------------------------------------------------------------


@contextmanager
def locked(path):
    """Lock a file as another process does that writes it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("option", ["--output=shared.jsonl", "--video=shared.mp4"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_second_run_into_one_output_is_refused(capsys, track, tmp_path, clip, option, more):
    with locked(tmp_path / option.split("=")[1]):
        assert track(clip, option, *more, works=False) == 1
    assert "another process is writing it" in capsys.readouterr().err


def test_a_second_training_into_one_folder_is_refused(capsys, tmp_path, made_frames):
    for number, frame in enumerate(made_frames[:2]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(frame, (320, 240)))
    output = tmp_path / "run"
    output.mkdir()
    descriptor = os.open(output, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        words = ["train", str(tmp_path), "--recipe", "smoke", "--output", str(output)]
        assert main(words) == 1
    finally:
        os.close(descriptor)
    assert "another process is writing it" in capsys.readouterr().err
    assert [*output.iterdir()] == []


def test_of_two_writers_the_first_one_writes(tmp_path, made_frames):
    first, second = (VideoWriter(tmp_path / "a.mp4", 25) for _ in range(2))
    for image in made_frames[:3]:
        first.write(image)
    with pytest.raises(Exception, match="another process is writing it"):
        second.write(made_frames[0])
    second.close()
    first.close()
    assert probe(tmp_path / "a.mp4").frames == 3
    with VideoWriter(tmp_path / "a.mp4", 25) as third:  # nobody writes it any more
        third.write(made_frames[0])
    assert probe(tmp_path / "a.mp4").frames == 1


# --- late failures -------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs a folder nobody writes to")
@pytest.mark.parametrize("option", ["--output=/proc/x.jsonl", "--video=/proc/x.mp4"])
def test_outputs_are_tried_before_the_work(capsys, track, tmp_path, clip, option):
    assert track(clip, option, works=False) == 1
    said = capsys.readouterr().err
    assert "cannot be written (No such file or directory); choose another place" in said
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4"}


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs a folder nobody writes to")
def test_other_commands_try_their_outputs_first(capsys, monkeypatch, tmp_path, clip, weights):
    commands = [
        ["validate", clip, "--weights", weights, "--json", "/proc/x.json"],
        ["discover", clip, "--sheet", "/proc/x.jpg"],
        ["bench", "--weights", weights, "--json", "/proc/x.json"],
        ["demo", "--weights", weights, "--output", "/proc/self"],
        ["export", "--weights", weights, "--output", "/proc/x"],
        ["evaluate", "otb", "--root", tmp_path, "--json", "/proc/x.json"],
        ["evaluate", "otb", "--root", tmp_path, "--report", "/proc/x"],
        ["evaluate", "otb", "--root", tmp_path, "--results", "/proc/x"],
        ["score", "otb", "--root", tmp_path, "--results", tmp_path, "--json", "/proc/x.json"],
        ["train", clip, "--recipe", "smoke", "--output", "/proc/x"],
        ["prepare", clip, "--output", "/proc/x"],
    ]
    for words in commands:
        assert main([*map(str, words)]) == 1
        said = capsys.readouterr()
        assert "/proc/" in said.err, words
        assert "found" not in said.out + said.err, words


# --- pipes ---------------------------------------------------------------------------------------


def start(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "cyclesiam", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
        **options,
    )


def test_from_standard_input_to_standard_output(tmp_path, made_frames, weights):
    path = tmp_path / "clip.mkv"
    with VideoWriter(path, 25) as video:
        for frame in made_frames:
            video.write(frame)
    words = ("track", "-", BOX, "--weights", weights, "--output", "-")
    done = start(*words, input=path.read_bytes(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert b"Tracked 1 object through 12 frames" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mkv"]
    with path.open("rb") as stdin:
        done = start(*words[:-1], "clip.mkv", "--overwrite", stdin=stdin, cwd=tmp_path)
    assert done.returncode == 2
    assert b"would be overwritten" in done.stderr


def test_the_name_decides_the_format(capsys, track, clip):
    assert track(clip, "--output", "x.jsonl") == 0
    assert capsys.readouterr().out == ""
    expected = [*read_results("x.jsonl")]
    for name in ("x.csv", "x.json", "x.CSV", "x.txt"):
        assert track(clip, "--output", name) == 0
        found = [*read_results(name)]
        assert [frame.frame for frame in found] == [frame.frame for frame in expected]
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.boxes, two.boxes, atol=0.011)
    with open("x.csv") as table:
        assert table.readline() == "frame,time,id,name,left,top,width,height,score,state\n"
        assert table.readline() == "0,0.0,1,,10.0,14.0,16.0,16.0,1.0,tracking\n"
    with open("x.json") as array:
        assert len(json.load(array)) == 12


# --- a range of frames ---------------------------------------------------------------------------


def test_a_range_of_frames(capsys, track, tmp_path, clip):
    assert track(clip, "--start-frame", 4, "--end-frame", 7, "--video", "a.mp4") == 0
    results = [*read_results("clip.jsonl")]
    assert [result.frame for result in results] == [4, 5, 6, 7]
    assert results[0].time == pytest.approx(4 / 25)
    assert results[0].targets[0].box == (10, 14, 26, 30)
    assert probe("a.mp4").frames == 4
    assert track(clip, "--start-frame", 12, "--overwrite") == 1
    assert "the last frame is 11, counted from 0" in capsys.readouterr().err
    for options in (("--start-frame", 3, "--end-frame", 2), ("--start-frame", -1)):
        assert track(clip, *options, works=False) == 2
    assert track(clip, "--start-frame", 3, "--end-frame", 0, works=False) == 2


def test_results_are_on_disk_while_tracking(tmp_path, track, clip, monkeypatch):
    seen = []
    write = ResultWriter.write

    def write_and_look(writer, result):
        write(writer, result)
        seen.append((tmp_path / "clip.jsonl").read_text().count("\n"))

    monkeypatch.setattr(ResultWriter, "write", write_and_look)
    assert track(clip) == 0
    assert seen == list(range(1, 13))
