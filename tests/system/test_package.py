"""The wheel in an empty environment: it tracks without PyTorch, whatever OpenCV is beside it."""

import json
import os
import subprocess
import sys
import tomllib
import venv

import pytest

from cyclesiam.errors import EXTRAS
from cyclesiam.video import VideoWriter
from support import ROOT
from support.media import moving_square

PYTHON_LINES = """
import sys
from cyclesiam import Tracker, open_frames
tracker = Tracker()
with open_frames("clip.mp4") as frames:
    tracker.init(next(frames).image, (10, 30, 24, 24))
    print(*(tracker.update(frame.image).mask is not None for frame in frames))
print("torch" in sys.modules)
"""


def run(*words, folder=None):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, words)], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the Python of an environment that holds the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("package")
    pip = ["-m", "pip", "--disable-pip-version-check"]
    run(sys.executable, *pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    venv.create(folder / "environment", with_pip=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / "environment" / scripts / "python"
    (wheel,) = folder.glob("*.whl")
    run(python, *pip, "install", "-c", ROOT / "constraints.txt", wheel)
    return python


def test_the_wheel_tracks_without_pytorch(python, tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", 25) as video:
        for image in moving_square(6):
            video.write(image)
    words = ["track", "clip.mp4", "--box", "10,30,24,24", "--output", "out.jsonl"]
    _, summary = run(python, "-m", "cyclesiam", *words, folder=tmp_path)
    assert "ONNX Runtime, f32" in summary
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert ["mask" in json.loads(line)["targets"][0] for line in lines] == [True] * 6
    printed, _ = run(python, "-c", PYTHON_LINES, folder=tmp_path)
    assert printed.split() == ["True"] * 5 + ["False"]
    installed, _ = run(python, "-m", "pip", "list", "--format", "json")
    names = {package["name"] for package in json.loads(installed)}
    assert not names & {
        "torch",
        "lightning",
        "onnx",
        "matplotlib",
        "opencv-contrib-python-headless",
    }


def test_extras_are_those_that_errors_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, packages in EXTRAS.items():
        required = project["optional-dependencies"][extra]
        assert [one.partition(">")[0] for one in required] == packages.split()
