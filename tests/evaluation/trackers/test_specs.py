import pickle
import re
import sys

import numpy as np
import pytest

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.trackers import specs
from cyclesiam.evaluation.trackers.opencv import OPENCV_NETWORKS
from cyclesiam.evaluation.trackers.specs import opencv_tracker, python_tracker

IMAGE = np.zeros((20, 20, 3), np.uint8)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """Write a module into the folder that the process is called from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(name, code):
        sys.modules.pop(name, None)
        (tmp_path / f"{name}.py").write_text(code)

    yield write
    sys.modules.pop("my_tracker", None)


def test_the_example_of_the_documentation_runs(in_folder):
    example = re.search(r"# my_tracker\.py\n((?:    .*\n|\n)+)", specs.__doc__)
    in_folder("my_tracker", re.sub("^    ", "", example[1], flags=re.MULTILINE))
    spec = python_tracker("my_tracker:StandStill")
    assert (spec.name, spec.weights, spec.policy) == ("StandStill", None, None)
    tracker = pickle.loads(pickle.dumps(spec.make))()
    tracker.init(IMAGE, (1, 2, 3, 4))
    assert tracker.update(IMAGE) == (1, 2, 3, 4)


def test_a_tracker_can_be_renamed(in_folder):
    assert python_tracker("mine=support.trackers:Still").name == "mine"


def test_the_identity_follows_the_code(in_folder):
    code = "class T:\n    def init(self, i, b): ...\n    def update(self, i): ...\n"
    in_folder("my_tracker", code)
    before = python_tracker("my_tracker:T").identity
    assert python_tracker("my_tracker:T").identity == before
    in_folder("my_tracker", code + "\n# other\n")
    assert python_tracker("my_tracker:T").identity != before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nobody_has_this:T", "nobody_has_this:T cannot be imported"),
        ("support.trackers:Nobody", "the module support.trackers has no Nobody"),
        ("made trackers:T", "there is no tracker 'made trackers:T'"),
    ],
)
def test_a_missing_tracker_is_named(in_folder, text, complaint):
    with pytest.raises(CycleSiamError, match=complaint):
        python_tracker(text)


def test_a_tracker_that_lacks_a_method_is_named():
    spec = python_tracker("support.trackers:NoUpdate")
    with pytest.raises(CycleSiamError, match="makes a NoUpdate without update"):
        spec.make()


def test_opencvs_classic_trackers_need_no_files():
    spec = opencv_tracker("kcf")
    assert (spec.name, spec.policy, spec.weights) == ("kcf", "none", None)
    assert hasattr(pickle.loads(pickle.dumps(spec.make))(), "update")


@pytest.mark.parametrize("name", OPENCV_NETWORKS)
def test_opencvs_networks_need_their_files(tmp_path, name):
    with pytest.raises(CycleSiamError, match=f"the tracker {name} needs . --model-files"):
        opencv_tracker(name)
    files = [tmp_path / parameter for parameter in OPENCV_NETWORKS[name][1]]
    with pytest.raises(CycleSiamError, match=f"{files[0]}: this model file of {name} is missing"):
        opencv_tracker(name, files)


@pytest.mark.parametrize("name", OPENCV_NETWORKS)
def test_the_files_reach_opencv(tmp_path, monkeypatch, name):
    algorithm, parameters = OPENCV_NETWORKS[name]
    files = []
    for parameter in parameters:
        files.append(tmp_path / f"{parameter}.onnx")
        files[-1].write_text(parameter)
    spec = opencv_tracker(name, files)
    assert spec.weights == ", ".join(path.name for path in files)
    created_with = []
    create = f"cyclesiam.evaluation.trackers.opencv.cv2.Tracker{algorithm}_create"
    monkeypatch.setattr(create, lambda parameters: created_with.append(parameters))
    with pytest.raises(AttributeError):  # the synthetic network cannot start
        spec.make().init(IMAGE, (1, 2, 3, 4))
    assert [getattr(created_with[0], parameter) for parameter in parameters] == list(
        map(str, files)
    )
