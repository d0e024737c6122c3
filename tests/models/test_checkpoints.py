import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from cyclesiam.errors import WeightsError
from cyclesiam.models.backbones import ResNet50
from cyclesiam.models.checkpoints import load_backbone, load_pretrained, load_weights, save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from support.networks import TINY

RECORD = TrainingRecord(policy="none", recipe="tiny", steps=7, samples=56, seed=3)


@pytest.fixture
def saved(tmp_path):
    network = SiamRPN(TINY).to(memory_format=torch.channels_last)
    save_weights(tmp_path / "weights", network, RECORD)
    return tmp_path / "weights", network


def test_weights_come_back_as_they_were(saved):
    folder, network = saved
    loaded, record = load_weights(folder, trainable=True)
    assert record == RECORD
    assert loaded.config == TINY
    assert not loaded.training
    for (name, value), (other, was) in zip(
        loaded.state_dict().items(), network.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(value, was)


def test_weights_may_be_written_over(saved):
    folder, network = saved
    torch.nn.init.ones_([*network.score.predict.modules()][-1].bias)
    save_weights(folder, network, RECORD)
    loaded, _ = load_weights(folder, trainable=True)
    assert [*loaded.score.predict.modules()][-1].bias.eq(1).all()
    assert not [path for path in folder.iterdir() if path.suffix == ".part"]


def test_a_network_may_begin_with_weights_that_searched_other_crops(saved):
    folder, network = saved
    other = SiamRPN(replace(TINY, search_size=TINY.search_size + 8))
    load_pretrained(other, folder)
    assert other.search_size == network.search_size + 8
    for value, was in zip(other.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(value, was)


def test_unknown_weights(tmp_path):
    with pytest.raises(WeightsError, match="there are no weights 'nosuch': give a folder that"):
        load_weights("nosuch")
    with pytest.raises(WeightsError, match=r"holds no weights: config\.json is missing"):
        load_weights(tmp_path)


def rewrite(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(colour=1), "another kind of network.*colour"),
        (lambda c: c.pop("anchors"), "another kind of network.*anchors"),
        (lambda c: c.update(backbone="large"), "another kind of network.*got 'large'"),
        (lambda c: c.update(hidden_channels=8), "the weights of another network.*size mismatch"),
        (lambda c: c.update(shape_prior=False), "the weights of another network"),
    ],
)
def test_a_config_of_another_network(saved, change, message):
    folder, _ = saved
    rewrite(folder / "config.json", change)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "record.json", "model.safetensors"])
def test_a_broken_or_missing_file_is_named(saved, name):
    folder, _ = saved
    (folder / name).write_text("{broken")
    with pytest.raises(WeightsError, match=name):
        load_weights(folder)
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        load_weights(folder)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"cannot write weights to .*file"):
        save_weights(tmp_path / "file" / "weights", SiamRPN(TINY), RECORD)


# --- backbones trained by others


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    with torch.device("meta"):
        network = SiamRPN(NetworkConfig(backbone="resnet50", hidden_channels=8))
    return network.to_empty(device="cpu")


@pytest.fixture(scope="module")
def resnet_state():
    """What torchvision's resnet50 would hold, with layer4 and fc, each weight its own constant."""
    with torch.device("meta"):
        shapes = ResNet50().state_dict()
    state = {
        name: torch.full(value.shape, number / 1000)
        for number, (name, value) in enumerate(shapes.items())
        if not name.startswith("adjust") and not name.endswith("num_batches_tracked")
    }
    return state | {"layer4.0.conv1.weight": torch.ones(2), "fc.weight": torch.ones(3, 2)}


def zeroed(network):
    for tensor in network.backbone.state_dict().values():
        tensor.zero_()
    return network


def assert_loaded(network, state):
    for name, value in network.backbone.state_dict().items():
        if name.startswith("adjust") or name.endswith("num_batches_tracked"):
            assert not value.any(), name
        else:
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    ("nest", "prefix"),
    [
        (None, ""),  # torchvision
        ("state_dict", ""),
        ("model", "backbone."),
        ("state_dict", "module.encoder_q."),  # MoCo
        (None, "teacher.backbone."),  # DINO
        ("teacher", "backbone."),
    ],
)
def test_a_backbone_is_found_behind_any_prefix(tmp_path, resnet, resnet_state, prefix, nest):
    content = {prefix + name: value for name, value in resnet_state.items()}
    torch.save({nest: content, "epoch": 3} if nest else content, tmp_path / "resnet50.pth")
    load_backbone(zeroed(resnet), tmp_path / "resnet50.pth")
    assert_loaded(resnet, resnet_state)


def test_a_backbone_from_safetensors(tmp_path, resnet, resnet_state):
    save_file(resnet_state, tmp_path / "resnet50.safetensors")
    load_backbone(zeroed(resnet), tmp_path / "resnet50.safetensors")
    assert_loaded(resnet, resnet_state)


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("teacher.backbone.", "student.module.backbone."),
        ("module.encoder_q.", "module.encoder_k."),
    ],
)
def test_of_two_copies_the_one_that_is_handed_on_counts(
    tmp_path, resnet, resnet_state, ours, other
):
    content = {other + name: torch.zeros_like(value) for name, value in resnet_state.items()}
    content |= {ours + name: value for name, value in resnet_state.items()}
    torch.save({"state_dict": content}, tmp_path / "both.pth")
    load_backbone(zeroed(resnet), tmp_path / "both.pth")
    assert_loaded(resnet, resnet_state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer3.5.conv3.weight": None}, r"layer3\.5\.conv3\.weight is missing"),
        ({"layer2.0.downsample.0.weight": torch.zeros(512, 256, 3, 3)}, r"\(512, 256, 3, 3\)"),
        ({"layer3.6.conv1.weight": torch.zeros(1)}, r"layer3\.6\.conv1\.weight is \(1,\)"),
        ({"layer1.0.conv1.weight": None}, "holds no ResNet-50"),
    ],
)
def test_a_backbone_of_another_shape_is_refused(tmp_path, resnet, resnet_state, change, message):
    content = {k: v for k, v in (resnet_state | change).items() if v is not None}
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message) as caught:
        load_backbone(resnet, tmp_path / "other.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"), [("a.pth", b"no"), ("a.safetensors", b"no"), ("a.pth", None)]
)
def test_an_unreadable_backbone_is_named(tmp_path, resnet, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"cannot read weights from .*{name}") as caught:
        load_backbone(resnet, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_with_foreign_classes_is_not_run(tmp_path, resnet):
    class Foreign:
        def __reduce__(self):
            return (tmp_path.joinpath("touched").touch, ())

    torch.save({"state_dict": Foreign()}, tmp_path / "foreign.pth")
    with pytest.raises(WeightsError, match="cannot read weights"):
        load_backbone(resnet, tmp_path / "foreign.pth")
    assert not (tmp_path / "touched").exists()


def test_a_file_without_names_is_refused(tmp_path, resnet):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="should hold weights by name"):
        load_backbone(resnet, tmp_path / "list.pth")


def test_the_small_backbone_has_no_weights_of_others(tmp_path):
    with pytest.raises(WeightsError, match="for a resnet50 backbone; this network's is small"):
        load_backbone(SiamRPN(TINY), tmp_path / "resnet50.pth")
