"""What commands do where standard streams are closed, full, or terminals without colors."""

import os
import subprocess
import sys

import pytest

from cyclesiam.cli import main
from cyclesiam.cli.streams import KeptStream, wants_no_colors
from cyclesiam.tracking.results import read_results
from cyclesiam.video import VideoWriter
from support import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

PROGRAM = f"{sys.executable} -m cyclesiam"


def shell(line, folder, **environment):
    return subprocess.run(
        line.replace("cyclesiam", PROGRAM, 1),
        shell=True,
        executable="/bin/bash",
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def track(tmp_path, made_frames, weights) -> str:
    """The line of a command that tracks, in `tmp_path`."""
    with VideoWriter(tmp_path / "clip.mp4", 25) as video:
        for frame in made_frames[:4]:
            video.write(frame)
    return f"cyclesiam track clip.mp4 --box 10,14,16,16 --weights {weights}"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_results_are_kept_where_streams_are_closed(tmp_path, track, closed):
    done = shell(f"{track} {closed}", tmp_path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert len([*read_results(tmp_path / "clip.jsonl")]) == 4
    text = (tmp_path / "clip.jsonl").read_text()
    assert all(line.startswith("{") for line in text.splitlines())  # and nothing else


def test_the_status_tells_what_could_not_be_said(tmp_path, track):
    lines = {
        f"{track} --output - >&-": (1, "Bad file descriptor"),
        "cyclesiam --version >&-": (1, "Bad file descriptor"),
        "cyclesiam --version > /dev/full": (1, "No space left"),
        "set -o pipefail; cyclesiam track --help | true": (1, ""),
    }
    for line, (status, message) in lines.items():
        done = shell(line, tmp_path)
        assert done.returncode == status, line
        assert message in done.stderr
        assert done.stderr.count("\n") == bool(message), done.stderr


def test_a_stream_discards_what_comes_after_an_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe, KeptStream(pipe, plain=False) as stream:
        for _ in range(3):
            print("x" * 100_000, file=stream, flush=True)
        assert isinstance(stream.error, BrokenPipeError)


def on_terminal(line, folder, **environment):
    script = ["script", "-qec", line.replace("cyclesiam", PROGRAM, 1), "/dev/null"]
    variables = {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", **environment}
    return subprocess.run(
        script,
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    ).stdout


@pytest.mark.parametrize("words", ["track --help", "track a.mp4 --bx 1", "track"])
def test_no_color(tmp_path, words):
    if subprocess.run("command -v script", shell=True, capture_output=True).returncode:
        pytest.skip("needs the program script, which is a terminal")
    assert "\x1b[" in on_terminal(f"cyclesiam {words}", tmp_path)
    assert "\x1b[" not in on_terminal(f"cyclesiam {words}", tmp_path, NO_COLOR="1")


def test_who_wants_no_colors():
    assert wants_no_colors({"NO_COLOR": "1"})
    assert wants_no_colors({"TERM": "dumb"})
    assert not wants_no_colors({"NO_COLOR": "", "TERM": "xterm"})


# --- first steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--version"], ["track", "--version"], ["evaluate", "--version"], ["-V"]]
)
def test_version_anywhere(capsys, words):
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("cyclesiam ")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trak", "did you mean track?"),
        ("Track", "did you mean track?"),
        ("eval", "did you mean evaluate?"),
        ("xyz", "there are demo, track"),
        ("clip.mp4", "cyclesiam track clip.mp4 --box X,Y,W,H"),
        ("rtsp://10.0.0.5/door", "cyclesiam track rtsp://10.0.0.5/door --box"),
    ],
)
def test_a_word_that_is_no_command(capsys, monkeypatch, tmp_path, word, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    assert main([word]) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("box", ["0.4,0.3,0.1,0.2", "0,0,1,1", ".5,.5,.25,.25"])
def test_a_box_in_fractions(capsys, box):
    for command in (["track", "a.mp4"], ["bench", "--source", "a.mp4"]):
        assert main([*command, "--box", box]) == 2
        said = " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert "looks like fractions of the frame" in said
        assert "in pixels" in said
