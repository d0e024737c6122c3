import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args

import cv2
import pytest
import torch

import cyclesiam
from cyclesiam.cli import main
from cyclesiam.cli.evaluate import BenchmarkName
from cyclesiam.cli.train import Recipe
from cyclesiam.evaluation.benchmarks import BENCHMARKS
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.results import read_results
from cyclesiam.video import probe
from support import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

BOX = "--box=10,14,16,16"


@pytest.fixture
def otb(tmp_path, made_frames) -> Path:
    root = tmp_path / "otb"
    for name in ("Rest", "Walk"):
        (root / name / "img").mkdir(parents=True)
        rows = [f"{11 + 2 * t},15,16,16" for t in range(4)]
        (root / name / "groundtruth_rect.txt").write_text("\n".join(rows))
        for number, frame in enumerate(made_frames[:4], start=1):
            cv2.imwrite(str(root / name / "img" / f"{number:04}.jpg"), frame[:, :, ::-1])
    return root


def fails(capsys, *arguments, status=1) -> str:
    """Run a command that must fail in one line; return that line."""
    assert main([str(argument) for argument in arguments]) == status
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert printed.count("\n") == 1
    assert printed.startswith(f"cyclesiam {arguments[0]}: ")
    return printed


# --- help, usage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["demo"], ["track"], ["train"], ["evaluate"], ["score"]])
def test_help(capsys, command):
    assert main([*command, "--help"]) == 0
    assert f"usage: {' '.join(['cyclesiam', *command])}" in capsys.readouterr().out


def test_version(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cyclesiam.__version__ == project["version"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cyclesiam {project['version']}\n"


def test_public_names():
    assert all(hasattr(cyclesiam, name) for name in cyclesiam.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        cyclesiam.Nothing  # noqa: B018


def test_choices_are_what_there_is():
    from cyclesiam.training.recipes import RECIPES

    assert set(get_args(Recipe)) == set(RECIPES)
    assert set(get_args(BenchmarkName)) == set(BENCHMARKS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["track"],
        ["track", "a.mp4", "--box", "1,2,3"],
        ["track", "a.mp4", "--box", "1,2,3,x"],
        ["track", "a.mp4", "--box", ""],
        ["train", "a", "--output", "b", "--recipe", "large"],
        ["train", "a", "--output", "b", "--steps", "many"],
        ["evaluate", "otb2", "--root", "a"],
        ["evaluate", "otb"],
        ["evaluate", "otb", "--root", "a", "--workers", "0"],
        ["evaluate", "otb", "--root", "a", "--tracker", "kcf2"],
        ["evaluate", "otb", "--root", "a", "--tracker", "kcf", "kcf"],
        ["evaluate", "otb", "--root", "a", "--tracker", "kcf", "--model-files", "a.onnx"],
        ["score", "otb", "--root", "a"],
        ["demo", "--frames", "few"],
    ],
)
def test_wrong_usage(capsys, arguments):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err
    assert "Traceback" not in printed.err + printed.out


# --- track ---------------------------------------------------------------------------------------


def test_track(capsys, monkeypatch, tmp_path, clip, weights):
    monkeypatch.chdir(tmp_path)
    arguments = ["track", str(clip), BOX, "--box", "-5,3,20,20", "--weights", weights]
    assert main([*arguments, "--video", "drawn.mp4"]) == 0
    printed = capsys.readouterr().err
    assert "Tracked 2 objects through 12 frames" in printed
    assert "Boxes: clip.jsonl\nVideo: drawn.mp4\n" in printed
    results = list(read_results("clip.jsonl"))
    assert [result.frame for result in results] == list(range(12))
    assert results[0].targets[0].box == (10, 14, 26, 30)
    assert [target.id for target in results[-1].targets] == [1, 2]
    assert results[5].time == pytest.approx(0.2)
    assert probe("drawn.mp4").frames == 12
    lost = Counter(one.id for result in results for one in result.targets if one.state == "lost")
    reported = re.findall(r"object (\d+) in (\d+) frames?", printed)
    assert {int(id): int(count) for id, count in reported} == lost


@pytest.fixture(scope="session")
def masked_weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("masked")
    network = SiamRPN(NetworkConfig(hidden_channels=8, masks=True, mask_channels=8))
    save_weights(folder, network, TrainingRecord(policy="none"))
    return str(folder)


def test_track_with_and_without_masks(monkeypatch, tmp_path, clip, made_frames, masked_weights):
    monkeypatch.chdir(tmp_path)
    arguments = ["track", str(clip), BOX, "--weights", masked_weights]
    assert main([*arguments, "--video", "drawn.mp4"]) == 0
    masked = [result.targets[0] for result in read_results("clip.jsonl")]
    size = made_frames[0].shape[:2]
    assert all(target.mask.to_array().shape == size for target in masked)
    assert {target.mask_source for target in masked} <= {"network", "box"}
    assert main([*arguments, "--no-masks", "--overwrite"]) == 0
    plain = [result.targets[0] for result in read_results("clip.jsonl")]
    assert all(target.mask is None for target in plain)
    assert [target.box for target in plain] == [target.box for target in masked]


def test_regions_of_masks_need_weights_with_masks(capsys, otb, weights, masked_weights):
    options = ["evaluate", "otb", "--root", str(otb), "--tracker", "cyclesiam-mask"]
    assert main([*options, "--weights", masked_weights]) == 0
    capsys.readouterr()
    printed = fails(capsys, *options, "--weights", weights, status=2)
    assert "cyclesiam-mask needs weights with masks" in printed


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("200,14,16,16", "outside"),
        ("10,14,0,16", "above zero"),
        ("10,14,16,-4", "above zero"),
        ("nan,14,16,16", "finite"),
        ("10,14,inf,16", "finite"),
        ("10,14,0.001,0.001", "0.5 pixels wide and high, or more"),
        ("-1e308,14,1e308,16", "outside"),
    ],
)
def test_track_a_box_that_is_none(capsys, tmp_path, clip, weights, box, message):
    output = tmp_path / "out.jsonl"
    output.write_text("precious")
    options = ("--weights", weights, "--output", output, "--overwrite")
    assert message in fails(capsys, "track", clip, f"--box={box}", *options)
    assert output.read_text() == "precious"


@pytest.mark.filterwarnings("default::cyclesiam.errors.CycleSiamWarning")
def test_track_a_box_larger_than_the_frame_says_so(capsys, tmp_path, clip, weights):
    output = tmp_path / "out.jsonl"
    options = ["--weights", weights, "--output", str(output)]
    assert main(["track", str(clip), "--box=0,0,1e308,48", *options]) == 0
    assert capsys.readouterr().err.startswith(
        "cyclesiam track: the box 0, 0, 1e+308, 48 (x, y, w, h) is larger than the 64x48 frame, "
        "and was cut to 0, 0, 64, 48; is it in pixels of this frame?\n"
    )
    assert next(read_results(output)).targets[0].box_xywh == (0, 0, 64, 48)


@pytest.mark.parametrize("box", ["1_0,14,16,16", "10,14,16,\uff11\uff16"])
def test_a_box_is_read_as_other_programs_read_it(capsys, clip, box):
    assert main(["track", str(clip), f"--box={box}"]) == 2
    assert "a box is four numbers X,Y,W,H in pixels" in capsys.readouterr().err


def test_track_sources_that_are_none(capsys, tmp_path, weights):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    options = (BOX, "--weights", weights, "--output", tmp_path / "out.jsonl")
    for source, message in (("no.mp4", "no such"), ("empty", "no images"), ("text.mp4", "opened")):
        assert message in fails(capsys, "track", tmp_path / source, *options)
    assert not (tmp_path / "out.jsonl").exists()


def test_track_keeps_what_came_before_a_break(capsys, tmp_path, made_frames, weights):
    folder, output = tmp_path / "frames", tmp_path / "out.jsonl"
    folder.mkdir()
    for number, frame in enumerate(made_frames[:4]):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    (folder / "2.png").write_bytes(b"damaged")
    assert main(["track", str(folder), BOX, "--weights", weights, "--output", str(output)]) == 1
    printed = capsys.readouterr()
    assert "through 2 frames" in printed.err
    assert printed.err.splitlines()[-1].startswith("cyclesiam track: ")
    assert "2.png" in printed.err
    assert len(list(read_results(output))) == 2


def test_track_a_truncated_video(capsys, tmp_path, clip, weights):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    options = (BOX, "--weights", weights, "--output", tmp_path / "out.jsonl")
    assert "cut.mp4" in fails(capsys, "track", cut, *options)


def test_track_usage(capsys, monkeypatch, tmp_path, clip, weights):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = (BOX, "--weights", weights)
    before = clip.read_bytes()
    assert "--box X,Y,W,H" in fails(capsys, "track", clip, status=2)
    assert "overwritten" in fails(capsys, "track", clip, BOX, "--output", clip, status=2)
    assert "overwritten" in fails(capsys, "track", clip, BOX, "--video", clip, status=2)
    assert clip.read_bytes() == before
    monkeypatch.chdir(tmp_path)
    assert "no device" in fails(capsys, "track", clip, *options, "--device", "gpu", status=2)
    assert "no CUDA" in fails(capsys, "track", clip, *options, "--device", "cuda:1")
    assert "folder is missing" in fails(capsys, "track", clip, *options, "--output", "no/x.jsonl")
    assert "name it with" in fails(capsys, "track", clip, *options, "--video", "x.gif")
    assert "no weights 'best'" in fails(capsys, "track", clip, BOX, "--weights", "best")


def test_track_unfit_weights(capsys, monkeypatch, tmp_path, clip, weights):
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(weights, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"hidden_channels": 16}))
    assert "another network" in fails(capsys, "track", clip, BOX, "--weights", broken)
    (broken / "config.json").write_text(json.dumps(config | {"colour": 1}))
    assert "another kind" in fails(capsys, "track", clip, BOX, "--weights", broken)
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "model.safetensors").write_bytes(b"garbage")
    assert "cannot read" in fails(capsys, "track", clip, BOX, "--weights", broken)


def test_track_interrupted(capsys, monkeypatch, tmp_path, clip, weights):
    monkeypatch.chdir(tmp_path)
    from cyclesiam.tracking.tracker import Tracker

    step, steps = Tracker.step, []

    def step_thrice(tracker, image):
        steps.append(image)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)
        return step(tracker, image)

    monkeypatch.setattr(Tracker, "step", step_thrice)
    assert main(["track", str(clip), BOX, "--weights", weights]) == 130
    printed = capsys.readouterr()
    assert printed.err.endswith("\ncyclesiam track: interrupted\n")
    assert "through 3 frames" in printed.err
    assert len(list(read_results("clip.jsonl"))) == 3


def test_a_reader_that_had_enough(clip, weights):
    arguments = ["track", str(clip), BOX, "--weights", weights, "--output", "/dev/stdout"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cyclesiam", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        text=True,
    )
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=300) == 1
        assert process.stderr is not None
        assert process.stderr.read().startswith("Tracked 1 object")


# --- demo ----------------------------------------------------------------------------------------


def test_demo(capsys, tmp_path, weights):
    output = tmp_path / "runs" / "demo"
    assert main(["demo", "--frames", "3", "--weights", weights, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Mean overlap with the truth: [01]\.\d\d \(\d+\.\d frames a second", printed)
    assert probe(output / "demo.mp4").frames == 3
    assert len(list(read_results(output / "demo.jsonl"))) == 3
    assert cv2.imread(str(output / "demo.jpg")).shape == (240, 960, 3)


def test_demo_bad_input(capsys, tmp_path, weights):
    (tmp_path / "file").write_text("")
    options = ("--weights", weights, "--output", tmp_path / "file")
    assert "cannot be made" in fails(capsys, "demo", *options)
    assert "1 or more" in fails(capsys, "demo", "--frames", "0", status=2)


# --- evaluate ------------------------------------------------------------------------------------


def test_evaluate(capsys, tmp_path, otb, weights):
    scores = tmp_path / "scores.json"
    arguments = ["evaluate", "otb", "--root", str(otb), "--json", str(scores)]
    assert main([*arguments, "--weights", weights]) == 0
    printed = capsys.readouterr().out
    assert "cyclesiam on otb, ope" in printed
    assert all(word in printed for word in ("Rest", "Walk", "mean", f"Scores: {scores}"))
    read = json.loads(scores.read_text())
    assert (read["tracker"], read["weights"], read["policy"]) == ("cyclesiam", weights, "none")
    assert read["initial_weights"] == "random"
    assert [sequence["name"] for sequence in read["sequences"]] == ["Rest", "Walk"]
    assert set(read["mean"]) == {"auc", "precision_20", "norm_precision_20", "fps"}
    assert set(read["sequences"][0]) == {"name", "frames", *read["mean"]}


def test_evaluate_a_classic_tracker(capsys, tmp_path, otb):
    scores = tmp_path / "scores.json"
    arguments = ["evaluate", "otb", "--root", str(otb), "--json", str(scores), "--tracker", "kcf"]
    assert main([*arguments, "--sequences", "Walk"]) == 0
    read = json.loads(scores.read_text())
    assert (read["tracker"], read["weights"], read["policy"]) == ("kcf", None, "none")
    assert len(read["sequences"]) == 1
    assert "1 of 1: Walk" in capsys.readouterr().err


def test_evaluate_bad_input(capsys, tmp_path, otb, weights):
    kcf = ("--tracker", "kcf")
    (tmp_path / "empty").mkdir()
    fails(capsys, "evaluate", "otb", "--root", tmp_path / "empty", *kcf)
    fails(capsys, "evaluate", "vot2018", "--root", otb, *kcf)
    fails(capsys, "evaluate", "davis2016", "--root", tmp_path / "none", *kcf)
    options = ("evaluate", "otb", "--root", otb, *kcf)
    assert "no sequence Run" in fails(capsys, *options, "--sequences", "Run")
    assert "folder is missing" in fails(capsys, *options, "--json", tmp_path / "no" / "a.json")
    assert "is a folder" in fails(capsys, *options, "--json", tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "clips"],
        ["discover", "clips", "--sheet", "found.jpg"],
        ["export", "--output", "bundle"],
        ["train", "clips", "--output", "run"],
    ],
)
def test_no_command_computes_with_no_thread(words, capsys):
    assert main([*words, "--threads", "0"]) == 2
    assert "--threads must be 1 or more, got 0" in capsys.readouterr().err
