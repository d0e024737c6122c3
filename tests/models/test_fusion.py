import pytest
import torch

from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.fusion import fuse_for_inference, pad_channels
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN

CONFIGS = {
    "small": NetworkConfig(),
    "pyramid": NetworkConfig(backbone="pyramid"),
    "resnet50": NetworkConfig(backbone="resnet50", hidden_channels=8, wide_shortcuts=True),
}


@pytest.fixture(params=CONFIGS)
def network(request):
    """Return a network whose norms have statistics of some data, so folding changes weights."""
    torch.manual_seed(0)
    network = SiamRPN(CONFIGS[request.param])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@torch.no_grad()
def search(network):
    template = network.embed(torch.full((1, 3, 127, 127), 99.0), torch.tensor([[30.0, 40, 90, 95]]))
    crops = 255 * torch.rand(1, 3, 255, 255, generator=torch.Generator().manual_seed(1))
    return network.search(template, crops)


def test_a_fused_network_computes_the_same(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plain, fused = search(network), search(fuse_for_inference(network))
    torch.testing.assert_close(fused.boxes, plain.boxes, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(fused.scores, plain.scores, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_no_norm_remains_after_a_convolution(network):
    fused = fuse_for_inference(network)
    norms = [n for n, m in fused.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms == ["score.normalise"]  # it stands behind a correlation


def test_padded_channels_compute_the_same(network):
    fused = fuse_for_inference(network)
    padded = pad_channels(fused)
    if network.config.box_head == "pixelwise":
        assert padded.box.look[0].in_channels == padded.box.own[0].out_channels + 49 == 80
        assert fused.box.look[0].in_channels == 73
    torch.testing.assert_close(search(padded).boxes, search(fused).boxes, rtol=1e-4, atol=1e-3)


def test_fusing_twice_is_fusing_once(network):
    fused = fuse_for_inference(network)
    assert fuse_for_inference(fused) is fused


def test_a_fused_network_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="load it as trainable"):
        save_weights(tmp_path, fuse_for_inference(SiamRPN()), TrainingRecord())
    assert not list(tmp_path.iterdir())
