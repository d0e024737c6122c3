"""Commands that a signal ends: what was done is kept, and no traceback is shown."""

import os
import signal
import subprocess
import sys

import pytest

from cyclesiam.cli import main
from cyclesiam.cli.signals import EndingSignals, hold_signals
from cyclesiam.tracking.results import read_results
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import VideoWriter, probe
from support import ROOT

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has few signals"),
]

BOX = "--box=10,14,16,16"
CATCHABLE = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU"]


def signal_at_third_step(monkeypatch, *numbers):
    step, steps = Tracker.step, []

    def step_thrice(tracker, image):
        steps.append(image)
        if len(steps) == 3:
            for number in numbers:
                signal.raise_signal(number)
        return step(tracker, image)

    monkeypatch.setattr(Tracker, "step", step_thrice)


@pytest.mark.parametrize("name", CATCHABLE)
def test_results_and_video_are_closed(capsys, monkeypatch, tmp_path, clip, weights, name):
    monkeypatch.chdir(tmp_path)
    number = signal.Signals[name]
    before = signal.getsignal(number)
    signal_at_third_step(monkeypatch, number)
    assert main(["track", str(clip), BOX, "--weights", weights, "--video", "a.mp4"]) == 128 + number
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"cyclesiam track: {'interrupted' if name == 'SIGINT' else f'ended by {name}'}"
    assert len([*read_results("clip.jsonl")]) == probe("a.mp4").frames == 3
    assert signal.getsignal(number) is before


def test_a_signal_while_a_frame_is_written_waits_for_it(monkeypatch, tmp_path, clip, weights):
    monkeypatch.chdir(tmp_path)
    write, written = VideoWriter.write, []

    def write_thrice(video, image, time=None):
        written.append(image)
        if len(written) == 3:
            signal.raise_signal(signal.SIGTERM)
        write(video, image, time)

    monkeypatch.setattr(VideoWriter, "write", write_thrice)
    assert main(["track", str(clip), BOX, "--weights", weights, "--video", "a.mp4"]) == 143
    assert len([*read_results("clip.jsonl")]) == probe("a.mp4").frames == 3


def test_further_signals_do_not_disturb_closing(monkeypatch, tmp_path, clip, weights):
    monkeypatch.chdir(tmp_path)
    close = VideoWriter.close

    def close_disturbed(video):
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        close(video)

    monkeypatch.setattr(VideoWriter, "close", close_disturbed)
    signal_at_third_step(monkeypatch, signal.SIGTERM)
    assert main(["track", str(clip), BOX, "--weights", weights, "--video", "a.mp4"]) == 143
    assert probe("a.mp4").frames == 3


def test_the_third_ctrl_c_ends_all():
    signals = EndingSignals()

    def press(times):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    with signals:
        with pytest.raises(KeyboardInterrupt):
            press(1)
        press(1)
        with pytest.raises(KeyboardInterrupt):
            press(1)


def test_nested_holds_wait_for_the_outer_one():
    done = []

    def work():
        with hold_signals():
            with hold_signals():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with EndingSignals() as signals, pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signals.received == signal.SIGTERM


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    try:
        with EndingSignals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_forked_child_ends_at_once():
    with EndingSignals():
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


@pytest.mark.parametrize("module", ["tyro", "cyclesiam.cli.options", "cyclesiam.cli.track"])
def test_ctrl_c_while_the_program_starts(module):
    """Whatever is imported then, nothing but one line is printed."""
    program = f"""
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from cyclesiam.cli import run
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "track", "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "cyclesiam: interrupted\n")


def test_what_is_imported_before_ctrl_c_is_handled():
    """Little, so that nothing is interrupted there."""
    program = """
import sys
before = {*sys.modules}
import cyclesiam.cli
print(*sorted({*sys.modules} - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    slow = {"numpy", "tyro", "rich", "inspect", "dataclasses", "tempfile", "importlib.abc", "av"}
    assert not slow & {*done.stdout.split()}
