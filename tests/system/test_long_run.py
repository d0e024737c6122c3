"""The long run starts, goes on where it stopped, and shows its curve."""

import signal
import sys

import pytest

import long_run
from support.media import moving_square, write_stills, write_video


@pytest.fixture
def media(tmp_path):
    for seed in range(3):
        write_video(tmp_path / "media" / f"{seed}.mp4", moving_square(24, seed=seed))
    write_stills(tmp_path / "media", 3)
    return tmp_path / "media"


def say(monkeypatch, capsys, command, media, *words):
    monkeypatch.setattr(long_run, "give_way", lambda: None)  # only in a process of its own
    options = [command, media, "--run", media.parent / "long", *words]
    monkeypatch.setattr(sys, "argv", ["long_run.py", *map(str, options)])
    long_run.main()
    return capsys.readouterr().out


def test_a_long_run_goes_on_and_shows_its_curve(monkeypatch, capsys, media):
    before = signal.getsignal(signal.SIGINT)
    recipe = ["--recipe", "smoke", "--steps", "20", "--snapshot", "10"]
    assert "step 20 of 20" in say(monkeypatch, capsys, "train", media, *recipe)
    assert signal.getsignal(signal.SIGINT) is before  # Ctrl-C is as it was
    folder = media.parent / "long"
    assert sorted(path.name for path in folder.glob("at-*")) == ["at-10", "at-20"]
    assert "step" not in say(monkeypatch, capsys, "train", media, *recipe)  # it is complete
    first = say(monkeypatch, capsys, "curve", media, "--examples", "2")
    lines = first.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["80", "160"]  # samples
    assert all("total 0." in line for line in lines)
    (folder / "at-10" / "model.safetensors").unlink()
    (folder / "at-10" / "config.json").unlink()
    with pytest.raises(Exception, match="at-10"):
        say(monkeypatch, capsys, "curve", media, "--examples", "2")
