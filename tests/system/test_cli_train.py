"""The command `train`, on a recipe of seconds; once in a process of its own, for a true Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cyclesiam.cli import main
from cyclesiam.cli.train import require_extra
from cyclesiam.errors import MissingExtraError
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.training.adaptation import HeldOut
from cyclesiam.training.recipes import RECIPES
from cyclesiam.validation.score import LabelFreeScores
from support import ROOT
from support.media import write_frames
from support.training import tiny
from support.tubes import make_video

pytestmark = pytest.mark.usefixtures("one_thread")

SRC = ROOT / "src"
NO_SCORES = LabelFreeScores(("objects",), (0.5,))


@pytest.fixture(autouse=True)
def tiny_smoke(monkeypatch):
    monkeypatch.setitem(RECIPES, "smoke", tiny)


@pytest.fixture
def stills(tmp_path) -> Path:
    folder = tmp_path / "stills"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def command(stills: Path, *more: str) -> list[str]:
    output = str(stills.parent / "run")
    return ["train", str(stills), "--recipe", "smoke", "--output", output, "--device=cpu", *more]


def fails(capsys, *arguments: str, status: int = 1) -> str:
    """Run a command that must fail in one line; give that line."""
    assert main(arguments) == status
    said = capsys.readouterr().err
    assert said.startswith("cyclesiam train: ")
    assert said.count("\n") == 1
    return said


def test_masks_continue_from_weights_and_are_kept(capsys, monkeypatch, tmp_path, stills):
    tiny_masks = replace(
        tiny(),
        recipe="masks",
        trained_part="masks",
        network=NetworkConfig(hidden_channels=8, masks=True),
    )
    monkeypatch.setitem(RECIPES, "masks", lambda: tiny_masks)
    assert main(command(stills, "--steps", "1")) == 0
    capsys.readouterr()
    start, output = tmp_path / "run", tmp_path / "masks"
    arguments = ["train", str(stills), "--recipe", "masks", "--device=cpu", "--steps", "2"]
    assert main([*arguments, "--from", str(start), "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "kept" not in said.lower()  # no verdict: boxes are as they were
    before, _ = load_weights(start, trainable=True)
    after, record = load_weights(output, trainable=True)
    assert (record.recipe, record.policy, record.initial_weights) == ("masks", "none", "run")
    assert after.has_masks
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name


@pytest.mark.parametrize("recipe", ["adapt", "objects", "masks"])
def test_recipes_that_continue_need_weights(capsys, stills, recipe):
    arguments = command(stills)
    arguments[arguments.index("smoke")] = recipe
    assert f"the recipe {recipe} continues from other weights" in fails(
        capsys, *arguments, status=2
    )


def test_train_and_resume(capsys, tmp_path, stills):
    (stills / "bad.mp4").write_text("no video")
    assert main(command(stills, "--steps", "3")) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "Training on 0 videos and 2 images; 1 file cannot be read.\n  " in said.out
    assert re.search(r"step 3 of 3: turn 0 gap 0  loss \d\.\d+  matching \d+%", said.out)
    assert "cyclesiam demo --weights" in said.out
    _, record = load_weights(tmp_path / "run")
    assert (record.recipe, record.steps, record.policy) == ("smoke", 3, "none")

    assert "--resume" in fails(capsys, *command(stills, "--steps", "3"))  # nothing is overwritten
    assert main(command(stills, "--steps", "3", "--resume")) == 0
    assert "complete: 3 steps" in capsys.readouterr().out
    assert "another recipe or settings" in fails(capsys, *command(stills, "--resume"))
    (tmp_path / "run" / "training.ckpt").write_bytes(b"garbage")
    assert "cannot resume" in fails(capsys, *command(stills, "--steps", "3", "--resume"))
    (tmp_path / "run" / "training.ckpt").unlink()
    assert "no run to resume" in fails(capsys, *command(stills, "--resume"))
    assert "holds weights" in fails(capsys, *command(stills))


@pytest.mark.parametrize(
    ("place", "times", "done", "name"),
    [
        ("step", 1, 2, "SIGINT"),
        ("step", 3, 1, "SIGINT"),
        ("report", 1, 1, "SIGINT"),
        ("start", 1, 0, "SIGINT"),
        ("step", 1, 2, "SIGTERM"),
        ("step", 2, 1, "SIGTERM"),
        ("report", 1, 1, "SIGHUP"),
        ("step", 1, 2, "SIGUSR1"),
    ],
)
def test_a_signal_leaves_a_checkpoint(
    capsys, monkeypatch, tmp_path, stills, place, times, done, name
):
    from cyclesiam.cli import train, train_output
    from cyclesiam.training import trainer

    train_step, format_report = trainer.train_step, train_output.format_report
    number = signal.Signals[name]
    before = signal.getsignal(number)

    def interrupt():
        for _ in range(times):
            signal.raise_signal(number)

    def interrupted_step(state, *arguments):
        if state.step == 1:
            interrupt()
        return train_step(state, *arguments)

    def interrupted_report(report):
        interrupt()
        return format_report(report)

    with monkeypatch.context() as patch:
        if place == "step":
            patch.setattr(trainer, "train_step", interrupted_step)
        elif place == "report":
            patch.setattr(train_output, "format_report", interrupted_report)
        else:
            patch.setattr(train, "show_training", lambda *run: interrupt())
        assert main(command(stills, "--steps", "3", "--threads", "1")) == 128 + number
    said = capsys.readouterr().err
    verb = "interrupted" if name == "SIGINT" else f"ended by {name}"
    assert f"{verb}; step {done} of 3 is saved; continue with: cyclesiam train" in said
    assert load_weights(tmp_path / "run")[1].steps == done
    again = said.split("cyclesiam train ")[1].split()
    assert again[-2:] == ["--threads", "1"]
    assert main(["train", *again]) == 0
    assert load_weights(tmp_path / "run")[1].steps == 3
    assert signal.getsignal(number) is before


RUN_FOR_LONG = """
import sys
from dataclasses import replace
sys.path.insert(0, {tests!r})
from cyclesiam.cli import run
from cyclesiam.training.recipes import RECIPES
from support.media import write_frames
from support.training import tiny
from support.tubes import make_video
RECIPES["smoke"] = lambda: replace(tiny(), workers=1)
run()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_the_whole_group(tmp_path, stills, name):
    program = RUN_FOR_LONG.format(tests=str(ROOT / "tests"))
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command(stills, "--steps", "100000")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # a terminal's Ctrl-C, and a cluster's end, go to the loaders, too
        text=True,
    )
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("step 2 "):
        assert line or process.poll() is None
    number = signal.Signals[name]
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    steps = int(re.search(r"; step (\d+) of 100000 is saved; continue", said)[1])
    assert load_weights(tmp_path / "run")[1].steps == steps >= 2


def raise_sigterm(*arguments, **named):
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_outside_of_the_steps_says_what_is_there(
    capsys, monkeypatch, tmp_path, stills, weights
):
    from cyclesiam.training import adaptation

    kept = {"steps": 2}
    monkeypatch.setattr(adaptation, "adaptation_recipe", lambda start: replace(tiny(), **kept))
    monkeypatch.setattr(adaptation, "hold_out", raise_sigterm)
    options = ["train", str(stills), "--from", weights, "--output", str(tmp_path / "run")]
    options += ["--device=cpu"]
    assert main(options) == 143
    assert "no step was trained yet; the same command begins anew" in capsys.readouterr().err
    monkeypatch.setattr(
        adaptation, "hold_out", lambda scenes, *_, **__: HeldOut(scenes, scenes, [], NO_SCORES)
    )
    monkeypatch.setattr(adaptation, "keep_better", raise_sigterm)
    assert main(options) == 143
    said = capsys.readouterr().err
    assert "all 2 steps are saved, but the weights are not yet compared with" in said
    assert f"do that with: cyclesiam train {stills} --from" in said
    assert "--resume" in said
    assert load_weights(tmp_path / "run")[1].steps == 2
    monkeypatch.setattr(adaptation, "hold_out", raise_sigterm)
    assert main([*options, "--resume"]) == 143
    assert f"the run in {tmp_path / 'run'} is saved; continue with:" in capsys.readouterr().err


def test_a_run_that_is_there_says_how_to_continue(capsys, stills):
    assert main(command(stills, "--steps", "1")) == 0
    said = fails(capsys, *command(stills, "--steps", "1"))
    assert "continue it with: cyclesiam train" in said
    assert "--resume" in said


def test_sources_that_are_none(capsys, tmp_path, stills):
    options = ("--output", str(tmp_path / "run"), "--recipe", "smoke")
    (tmp_path / "empty").mkdir()
    assert "no readable video" in fails(capsys, "train", str(tmp_path / "empty"), *options)
    assert "no such file" in fails(capsys, "train", str(tmp_path / "none"), *options)
    assert "nothing to train on" in fails(capsys, "train", *options, status=2)
    assert not (tmp_path / "run").exists()


def test_frames_stay_on_the_device(capsys, tmp_path, stills):
    assert main(command(stills, "--steps", "2", "--resident")) == 0
    assert "step 2 of 2" in capsys.readouterr().out
    assert main(command(stills, "--steps", "2", "--resume")) == 0  # either way continues the other
    several = fails(capsys, *command(stills, "--resident", "--devices", "2"), status=2)
    assert "leave out --devices" in several


def test_tubes_are_found_once_and_kept(capsys, monkeypatch, tmp_path):
    config = tiny()
    clips = replace(config.clips, tube_probability=0.5)
    monkeypatch.setitem(RECIPES, "smoke", lambda: replace(config, clips=clips))
    videos = tmp_path / "videos"
    write_frames(videos / "square", make_video(lambda number: (20 + 4 * number, 30 + number)))
    assert main(command(videos, "--steps", "1")) == 0
    assert "1 tube in 1 of 1 video" in capsys.readouterr().out
    tubes = tmp_path / "run" / "tubes.npz"
    assert main(command(videos, "--steps", "1", "--resume")) == 0
    assert "1 tube in" not in capsys.readouterr().out
    other = ["train", str(videos), "--recipe=smoke", "--device=cpu", "--steps=1"]
    assert main([*other, "--output", str(tmp_path / "other"), "--tubes", str(tubes)]) == 0
    assert not (tmp_path / "other" / "tubes.npz").exists()


def test_a_recipe_without_tubes_takes_none(capsys, stills):
    assert "draws no tubes" in fails(capsys, *command(stills, "--tubes", "a.npz"), status=2)


def test_options_that_make_no_sense(capsys, tmp_path, stills):
    assert "steps" in fails(capsys, *command(stills, "--steps", "0"), status=2)
    assert "a batch" in fails(capsys, *command(stills, "--batch", "0"), status=2)
    assert "--threads" in fails(capsys, *command(stills, "--threads", "0"), status=2)
    assert "--seed" in fails(capsys, *command(stills, "--seed", "-1"), status=2)
    assert "no device" in fails(capsys, *command(stills, "--device", "tpu"), status=2)
    backbone = fails(capsys, *command(stills, "--backbone", str(tmp_path / "none.pt")))
    assert "resnet50" in backbone
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").write_text("a file")
    assert "cannot be made" in fails(capsys, *command(stills))


def test_without_the_extra(capsys, monkeypatch, stills):
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert "the extra `train` brings it" in fails(capsys, *command(stills))
    with pytest.raises(MissingExtraError, match="lightning"):
        require_extra()
