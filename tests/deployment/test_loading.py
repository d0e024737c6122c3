"""Networks by name: graphs where there are some, and what runs them."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from cyclesiam import Tracker
from cyclesiam.deployment import runtimes
from cyclesiam.deployment.bundles import ExportedNetwork, load_bundle
from cyclesiam.deployment.loading import find_graphs, load_network, resolve_device
from cyclesiam.deployment.parity import clip_inputs, measure_differences
from cyclesiam.deployment.runtimes import RuntimeConfig, choose_runtime, computes_bf16
from cyclesiam.models.checkpoints import load_weights, save_weights
from cyclesiam.models.metadata import SHIPPED_WEIGHTS, TrainingRecord, load_metadata
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.demo_clip import make_demo_clip
from support.networks import TINY

RUNTIMES = [name for name in ("onnxruntime", "openvino") if find_spec(name)]
SHIPPED = sorted(path.name for path in SHIPPED_WEIGHTS.glob("*/"))
BOTH = {"onnxruntime", "openvino"}
BF16_LIMITS = {"boxes": 2.0, "scores": 0.05, "features": 0.05, "masks": 0.15}


@pytest.fixture
def trained(tmp_path):
    save_weights(tmp_path / "trained", SiamRPN(TINY), TrainingRecord(policy="none"))
    return tmp_path / "trained"


def demo_inputs(config):
    clip = make_demo_clip(frames=9)
    return clip_inputs(config, clip.images, clip.boxes)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_graphs_are_the_shipped_weights(name):
    network, record = load_weights(name)
    exported, exported_record = load_network(name, "cpu", RuntimeConfig(precision="f32"))
    assert isinstance(exported, ExportedNetwork)
    assert (exported.config, exported_record) == (network.config, record)
    differences = measure_differences(network, exported, demo_inputs(network.config))
    assert max(differences.values()) < 1e-3, differences


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_small(name):
    files = [path for path in (SHIPPED_WEIGHTS / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6


@pytest.mark.skipif(not computes_bf16(), reason="no OpenVINO here, or a processor without bf16")
def test_auto_takes_bf16_where_the_processor_has_it():
    network, _ = load_weights("default")
    exported, _ = load_network("default")
    assert isinstance(exported, ExportedNetwork)
    assert str(exported.runtime) == "OpenVINO, bf16"
    differences = measure_differences(network, exported, demo_inputs(network.config))
    for name, limit in BF16_LIMITS.items():
        assert differences[name] < limit, differences


@pytest.mark.parametrize(
    ("installed", "bf16", "asked", "expected"),
    [
        (BOTH, True, RuntimeConfig(), "OpenVINO, bf16"),
        (BOTH, False, RuntimeConfig(), "ONNX Runtime, f32"),
        ({"onnxruntime"}, False, RuntimeConfig(), "ONNX Runtime, f32"),
        ({"openvino"}, False, RuntimeConfig(), "OpenVINO, f32"),
        (BOTH, True, RuntimeConfig(precision="f32"), "ONNX Runtime, f32"),
        (
            BOTH,
            True,
            RuntimeConfig(runtime="onnxruntime"),
            "ONNX Runtime, f32",
        ),
        (BOTH, False, RuntimeConfig(precision="bf16"), "OpenVINO, bf16"),
    ],
)
def test_auto_takes_the_fastest_that_is_there(monkeypatch, installed, bf16, asked, expected):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name in installed or None)
    monkeypatch.setattr(runtimes, "computes_bf16", lambda: bf16)
    assert str(choose_runtime("onnx", asked)) == expected


@pytest.mark.parametrize("wrong", [{"runtime": "tensorrt"}, {"precision": "f16"}])
def test_an_unknown_choice_is_refused(wrong):
    with pytest.raises(ValueError, match="must be one of"):
        Tracker(**wrong)


def test_a_tracker_by_name_follows_as_one_of_its_network(trained):
    by_name, by_network = Tracker(trained), Tracker(load_weights(trained)[0])
    clip = make_demo_clip(frames=4)
    left, top, right, bottom = clip.boxes[0].tolist()
    for tracker in (by_name, by_network):
        tracker.init(clip.images[0], (left, top, right - left, bottom - top))
    for image in clip.images[1:]:
        assert by_name.update(image).box == by_network.update(image).box


def test_a_tracker_takes_the_config_beside_the_weights(trained):
    (trained / "tracker.json").write_text('{"max_target_overlap": 0.25}')
    assert Tracker(trained).config.max_target_overlap == 0.25


def test_a_tracker_without_masks():
    tracker = Tracker("default", masks=False)
    assert not tracker.has_masks
    assert "segment" not in tracker.network.graphs


def test_options_of_a_runtime_want_a_name():
    with pytest.raises(ValueError, match="given by name"):
        Tracker(SiamRPN(TINY), threads=1)


def test_a_device_is_found_for_either_form(trained):
    assert resolve_device("auto", "default") == "cpu"
    assert resolve_device("cpu", trained) == "cpu"
    with pytest.raises(ValueError, match="there is no device 'gpu'"):
        resolve_device("gpu")
    assert find_graphs(trained) is None
    with pytest.raises(ValueError, match="exported for the CPU"):
        resolve_device("cuda", find_graphs("default"))


def test_frames_are_computed_by_the_threads_asked_for():
    tracker = Tracker("default", threads=1)
    assert tracker.network.runtime.threads == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_is_written_below_the_home_folder(tmp_path, runtime):
    code = f"from cyclesiam import Tracker; Tracker(runtime={runtime!r})"
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "XDG_CACHE_HOME": ""}
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | home
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []


def test_a_bundle_is_of_the_masks_it_is_asked_for():
    graphs = find_graphs("default")
    assert graphs is not None
    network, _ = load_bundle(graphs, RuntimeConfig(precision="f32"), masks=False)
    assert network.config.masks is False
    assert load_metadata(graphs)[0].masks is True
