"""An exported bundle tracks without PyTorch."""

import dataclasses
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from cyclesiam.deployment.export import export
from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.video.writer import VideoWriter
from support.media import moving_square
from support.networks import TINY

RUNTIME = next((name for name in ("onnxruntime", "openvino") if find_spec(name)), None)
# Hides PyTorch and what only it needs.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
COMMAND = WITHOUT + "from cyclesiam.cli import main\nsys.exit(main(sys.argv[1:]))"


def run(code, *words):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    file = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(file, 25) as video:
        for image in moving_square(8):
            video.write(image)
    return file


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "masks"])
def bundle(request, tmp_path_factory):
    torch.manual_seed(0)
    network = SiamRPN(dataclasses.replace(TINY, masks=request.param, mask_channels=8))
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    export(network, TrainingRecord(policy="none"), folder)
    return folder


@pytest.mark.skipif(RUNTIME is None, reason="nothing is installed that runs a bundle")
def test_a_bundle_tracks_the_same_without_pytorch(bundle, clip, tmp_path):
    words = ["track", clip, "--box", "10,30,24,24", "--weights", bundle, "--output"]
    found = {}
    for name, before in (("without", WITHOUT), ("with", "import sys, torch\n")):
        output = tmp_path / f"{name}.jsonl"
        done = run(before + COMMAND.removeprefix(WITHOUT), *words, output)
        assert done.returncode == 0, done.stderr
        found[name] = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(found["with"]) == 8
    assert found["without"] == found["with"]


def test_commands_that_need_pytorch_name_it():
    done = run(COMMAND, "train")
    assert done.returncode == 1
    assert "train needs torch" in done.stderr
    assert "pip install torch" in done.stderr


def test_help_names_the_available_commands():
    done = run(COMMAND, "--help")
    assert done.returncode == 0
    assert "track," in done.stdout
    assert "train," not in done.stdout


def test_shipped_weights_track(clip, tmp_path):
    words = ["track", clip, "--box", "10,30,24,24", "--output", tmp_path / "out.jsonl"]
    done = run(COMMAND, *words)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize("option", [["--runtime", "pytorch"], ["--device", "cuda"]])
def test_what_needs_pytorch_names_the_extra(clip, option, tmp_path):
    words = ["track", clip, "--box", "10,30,24,24", "--output", tmp_path / "out.jsonl"]
    done = run(COMMAND, *words, *option)
    assert done.returncode == 1
    assert "the extra `train` brings it: pip install torch" in done.stderr


def test_trained_weights_need_pytorch(clip, tmp_path):
    save_weights(tmp_path, SiamRPN(TINY), TrainingRecord(policy="none"))
    words = ["track", clip, "--box", "10,30,24,24", "--output", tmp_path / "out.jsonl"]
    done = run(COMMAND, *words, "--weights", tmp_path)
    assert done.returncode == 1
    assert "has no graphs" in done.stderr
    assert "the extra `train` brings it" in done.stderr


def test_python_tracks_without_pytorch():
    code = """
import numpy as np
from cyclesiam import Tracker
image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
tracker = Tracker()
tracker.init(image, (40, 40, 30, 30))
result = tracker.update(image)
print(result.state, result.mask is not None)
"""
    done = run(WITHOUT + code)
    assert done.stdout.split() == ["tracking", "True"], done.stderr
