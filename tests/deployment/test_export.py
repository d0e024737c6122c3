"""Bundles compute the same as the network that they were made of, or are refused."""

import dataclasses
import json
import shutil
from importlib.util import find_spec
from itertools import islice

import numpy as np
import pytest
import torch

from cyclesiam.cli import main
from cyclesiam.deployment import export as exporting
from cyclesiam.deployment import runtimes
from cyclesiam.deployment.bundles import ExportedNetwork, is_bundle, load_bundle
from cyclesiam.deployment.export import export, export_int8
from cyclesiam.deployment.parity import (
    check_parity,
    clip_inputs,
    measure_differences,
    random_input,
)
from cyclesiam.deployment.quantization import collect_samples
from cyclesiam.deployment.runtimes import READERS, RuntimeConfig
from cyclesiam.errors import MissingExtraError, WeightsError
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.models.checkpoints import load_weights, save_weights
from cyclesiam.models.fusion import fuse_for_inference
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.network import SegmentingNetwork
from cyclesiam.tracking.tracker import Tracker
from support.networks import TINY

pytestmark = pytest.mark.usefixtures("one_thread")

RECORD = TrainingRecord(policy="none", recipe="tiny", steps=7)
CONFIG = dataclasses.replace(TINY, masks=True, mask_channels=8)
RUNTIMES = [name for name in READERS["onnx"] if find_spec(name)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiamRPN(CONFIG).eval()


@pytest.fixture(scope="module")
def written(tmp_path_factory, network):
    """A bundle and its manifest, written once; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    return folder, export(network, RECORD, folder, inputs=demo_inputs())


def demo_inputs():
    clip = make_demo_clip(frames=9)
    return clip_inputs(CONFIG, clip.images, clip.boxes)


@pytest.fixture
def bundle(written, tmp_path):
    shutil.copytree(written[0], tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("targets", [1, 2, 6])
def test_it_computes_the_same_as_the_network(written, network, runtime, targets):
    exported, record = load_bundle(written[0], RuntimeConfig(runtime=runtime, precision="f32"))
    assert record == RECORD
    assert isinstance(exported, SegmentingNetwork)
    inputs = [random_input(CONFIG, targets, seed=targets)]
    found = check_parity(fuse_for_inference(network), exported, inputs, "here")
    assert {*found} == {"boxes", "scores", "features", "masks"}
    chosen = np.arange(targets) * 7
    assert np.array_equal(exported.mask_windows(chosen), network.mask_windows(chosen))
    for name in ("template_size", "search_size", "stride", "has_masks"):
        assert getattr(exported, name) == getattr(network, name)


@pytest.mark.parametrize("batch", ["one", "any"])
def test_a_pyramid_is_exported(tmp_path, batch):
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, backbone="pyramid")
    manifest = export(SiamRPN(config), RECORD, tmp_path / "pyramid", batch=batch)
    assert {*manifest.measured} == {*RUNTIMES}  # each was compared with the network


@pytest.mark.skipif("onnxruntime" not in RUNTIMES, reason="asks the graph itself")
def test_a_graph_for_any_number_takes_any_number(network, tmp_path):
    export(network, RECORD, tmp_path / "any", batch="any")
    exported, _ = load_bundle(tmp_path / "any", RuntimeConfig(runtime="onnxruntime"))
    check_parity(fuse_for_inference(network), exported, [random_input(CONFIG, 5)], "here")
    outputs = exported.signatures["embed"].outputs
    graph = runtimes.open_session(tmp_path / "any" / "embed.onnx", outputs, 1)
    noise = random_input(CONFIG, 3)
    crops = np.ascontiguousarray(np.moveaxis(noise.templates, 1, -1))
    assert len(graph([crops, noise.boxes])[0]) == 3


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_boxes_alone_are_those_that_come_with_masks(written, runtime):
    whole, _ = load_bundle(written[0], RuntimeConfig(runtime=runtime, precision="f32"))
    less, _ = load_bundle(written[0], RuntimeConfig(runtime=runtime, precision="f32"), masks=False)
    assert not less.has_masks
    assert whole.digest != less.digest
    assert len(less.signatures["search"].outputs) == 3
    noise = random_input(CONFIG, 2)
    one, other = (
        net.search(net.embed(noise.templates, noise.boxes), noise.crops) for net in (whole, less)
    )
    np.testing.assert_allclose(one.boxes, other.boxes, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-5)


def test_samples_are_of_one_target_each(written):
    """Lost targets are searched for in two windows at once, and graphs are for one target."""
    exported, _ = load_bundle(written[0])

    def calibrate(recording):
        noise, chosen = random_input(CONFIG, 2), np.array([3, 4])
        proposals = recording.search(recording.embed(noise.templates, noise.boxes), noise.crops)
        recording.segment(proposals, chosen, noise.crops[:, :2, ::2, ::2] / 255)

    for samples in collect_samples(exported, calibrate, interval=1).values():
        assert {len(array) for sample in samples for array in sample.values()} == {1}


def test_proposals_stay_when_more_is_searched(written):
    exported, _ = load_bundle(written[0])
    one, other = (random_input(CONFIG, 1, seed) for seed in (0, 1))
    proposals = exported.search(exported.embed(one.templates, one.boxes), one.crops)
    before = proposals.boxes.copy(), proposals.features.copy()
    exported.search(exported.embed(other.templates, other.boxes), other.crops)
    assert np.array_equal(proposals.boxes, before[0])
    assert np.array_equal(proposals.features, before[1])


def test_a_tracker_follows_as_with_the_network(written, network):
    clip = make_demo_clip(frames=6)
    box = xyxy_to_xywh(torch.from_numpy(clip.boxes[0])).tolist()
    trackers = [Tracker(fuse_for_inference(network)), Tracker(load_bundle(written[0])[0])]
    for tracker in trackers:
        tracker.init(clip.images[0], box)
    pairs = [[tracker.update(image).box for tracker in trackers] for image in clip.images[1:]]
    assert np.abs(np.subtract(*np.moveaxis(np.array(pairs), 1, 0))).max() < 0.5


def test_the_manifest_holds_the_differences(written):
    folder, manifest = written
    content = json.loads((folder / "bundle.json").read_text())
    assert content["measured"].keys() == set(RUNTIMES)
    assert all(found["boxes"] < 0.05 for found in manifest.measured.values())
    assert not [path for path in folder.parent.iterdir() if path != folder]  # nothing unfinished


def test_a_bundle_cannot_be_trained(written):
    assert is_bundle(written[0])
    with pytest.raises(WeightsError, match="it tracks, but cannot be trained"):
        load_weights(written[0], trainable=True)


@pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed")
def test_openvinos_own_format_without_masks(tmp_path):
    config = dataclasses.replace(TINY, shape_prior=False, box_head="depthwise")
    export(SiamRPN(config), RECORD, tmp_path / "bundle", format="openvino")
    exported, _ = load_bundle(tmp_path / "bundle")
    assert not exported.has_masks
    noise = random_input(config, 1)
    proposals = exported.search(exported.embed(noise.templates, noise.boxes), noise.crops)
    with pytest.raises(ValueError, match="have no masks"):
        exported.segment(proposals, torch.tensor([0]), torch.zeros(1, 2, 72, 72))
    with pytest.raises(WeightsError, match="onnxruntime cannot run a bundle of format openvino"):
        load_bundle(tmp_path / "bundle", RuntimeConfig(runtime="onnxruntime"))


@pytest.mark.parametrize("name", ["embed.onnx", "search.onnx", "segment.onnx"])
def test_a_changed_or_missing_graph_is_named(bundle, name):
    (bundle / name).write_bytes(b"broken")
    with pytest.raises(WeightsError, match=rf"{name} is not the file that was exported"):
        load_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(WeightsError, match=rf"cannot read .*{name}.*export again"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["bundle.json", "config.json", "record.json"])
def test_a_broken_or_missing_description_is_named(bundle, name):
    (bundle / name).write_text("{broken")
    with pytest.raises(WeightsError, match=name):
        load_bundle(bundle)
    (bundle / name).unlink()
    with pytest.raises(WeightsError, match=name):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"version": 9}, "of version 9"), ({"format": "tflite"}, "tflite"), ({"colour": 1}, "colour")],
)
def test_a_bundle_of_another_kind(bundle, change, message):
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(WeightsError, match=message):
        load_bundle(bundle)


def test_no_folder_appears_when_outputs_differ(tmp_path, network, monkeypatch):
    def write_less(network, folder, batch):
        shutil.copytree(tmp_path / "other", folder, dirs_exist_ok=True)

    torch.manual_seed(1)
    export(SiamRPN(TINY), RECORD, tmp_path / "other")  # other weights, and no masks
    monkeypatch.setattr(exporting, "write_onnx", write_less)
    torch.manual_seed(2)
    with pytest.raises(WeightsError, match=r"computes otherwise than the network: .* differ by"):
        export(SiamRPN(TINY), RECORD, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_nothing_is_written_over(written, network):
    with pytest.raises(WeightsError, match="exists already; remove it"):
        export(network, RECORD, written[0])


def test_missing_packages_are_named(written, network, tmp_path, monkeypatch):
    for module in (runtimes, exporting):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(runtimes, "computes_bf16", lambda: False)
    with pytest.raises(MissingExtraError, match=r"needs onnx.*the extra `export`.*onnxscript"):
        export(network, RECORD, tmp_path / "bundle")
    with pytest.raises(MissingExtraError, match="pip install onnxruntime or pip install openvino"):
        load_bundle(written[0])


@pytest.mark.parametrize(
    "wrong", [{"threads": -1}, {"runtime": "onnxruntime", "precision": "bf16"}]
)
def test_a_runtime_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"onnxruntime computes in f32|0 or more"):
        RuntimeConfig(**wrong)


def test_eight_bits_are_close_and_run_everywhere(tmp_path, network):
    inputs, compared = demo_inputs(), []

    def calibrate(exported: ExportedNetwork) -> None:
        clip = make_demo_clip(frames=9)
        tracker = Tracker(exported)
        tracker.init(clip.images[0], xyxy_to_xywh(torch.from_numpy(clip.boxes[0])).tolist())
        for image in clip.images[1:]:
            tracker.update(image)

    def accept(exact: ExportedNetwork, quantized: ExportedNetwork) -> dict[str, float]:
        compared.append((exact, quantized))
        return {"rise": 0.0}

    folder = tmp_path / "int8"
    export_int8(network, RECORD, folder, inputs=inputs, calibrate=calibrate, accept=accept)
    assert len(compared) == 1
    assert b"QuantizeLinear" in (tmp_path / "int8" / "search.onnx").read_bytes()
    for runtime in RUNTIMES:
        exported, _ = load_bundle(
            tmp_path / "int8", RuntimeConfig(runtime=runtime, precision="f32")
        )
        found = measure_differences(fuse_for_inference(network), exported, inputs)
        assert 0 < found["scores"] < 0.2


def test_from_the_command_line(tmp_path, capsys):
    save_weights(tmp_path / "weights", SiamRPN(TINY), RECORD)
    bundle = str(tmp_path / "bundle")
    assert main(["export", "--weights", str(tmp_path / "weights"), "--output", bundle]) == 0
    assert "label policy `none`" in capsys.readouterr().out
    output = ["--output", str(tmp_path / "demo"), "--frames", "3"]
    assert main(["demo", "--weights", bundle, "--threads", "1", *output]) == 0
    assert "label policy `none`" in capsys.readouterr().out
    assert main(["demo", "--weights", bundle, "--device", "cuda"]) == 2
    plain = ["--weights", str(tmp_path / "weights"), "--runtime", "openvino"]
    assert main(["demo", *plain]) == 2
    assert "has none" in capsys.readouterr().err
    assert main(["demo", "--threads", "-1"]) == 2
    assert main(["export", "--int8", "--output", bundle]) == 2
    assert main(["export", "--output", bundle]) == 1
    assert "exists already" in capsys.readouterr().err


class Shadowed:
    """A network that tracks; each call is repeated with an exported one, and outputs compared."""

    def __init__(self, network: SiamRPN, exported: ExportedNetwork) -> None:
        self.network, self.exported = network, exported
        self.worst = {"boxes": 0.0, "scores": 0.0, "masks": 0.0}
        self.proposals = None

    def __getattr__(self, name):
        return getattr(self.network, name)

    def search(self, template, crops):
        ours, theirs = (one.search(template, crops) for one in (self.network, self.exported))
        self.proposals = theirs
        self._compare("boxes", ours.boxes, theirs.boxes)
        self._compare("scores", ours.scores, theirs.scores)
        return ours

    def segment(self, proposals, chosen, color_priors):
        ours = self.network.segment(proposals, chosen, color_priors)
        self._compare("masks", ours, self.exported.segment(self.proposals, chosen, color_priors))
        return ours

    def _compare(self, name, ours, theirs):
        self.worst[name] = max(self.worst[name], float(abs(ours - theirs).max()))


@pytest.mark.shared
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_real_frames_give_the_same_output(suite, tmp_path_factory, runtime):
    """All 3125 boxes of each of 300 real frames stay within half a pixel.

    Frame by frame, of the same targets: left to themselves, two trackers part in hard clips where
    two boxes are as good as one another, as the network and its own fused copy do.
    """
    from cyclesiam.datasets.registry import TRACKING_DATASETS

    network, record = load_weights("default", trainable=True)
    folder = tmp_path_factory.getbasetemp() / "default_bundle"
    if not folder.exists():
        export(network, record, folder)
    exported, _ = load_bundle(folder, RuntimeConfig(runtime=runtime, precision="f32"))
    shadowed, frames = Shadowed(fuse_for_inference(network), exported), 0
    for sequence in TRACKING_DATASETS["vot2018"](suite / "vot2018").sequences():
        images = [*islice(sequence.images(), 105)]
        tracker = Tracker(shadowed)
        tracker.init(images[0], xyxy_to_xywh(torch.from_numpy(sequence.boxes[0].copy())).tolist())
        for image in images[1:]:
            tracker.update(image)
        frames += len(images)
    print(runtime, frames, shadowed.worst)
    assert frames >= 300
    assert shadowed.worst["boxes"] < 0.5
    assert shadowed.worst["scores"] < 1e-3
    assert shadowed.worst["masks"] < 1e-2
