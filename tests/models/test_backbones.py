import copy

import pytest
import torch
from torch import nn

from cyclesiam.models.backbones import ResNet50, SmallBackbone
from cyclesiam.models.config import STAGE_STRIDES
from cyclesiam.models.siamrpn import SiamRPN

BACKBONES = [SmallBackbone, ResNet50, lambda: ResNet50(wide_shortcuts=True)]


@pytest.fixture(scope="module", params=BACKBONES, ids=["small", "resnet50", "wide"])
def backbone(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.mark.parametrize(("crop", "features"), [(127, 15), (255, 31), (79, 9)])
@torch.inference_mode()
def test_features_have_stride_8(backbone, crop, features):
    assert backbone(torch.zeros(1, 3, crop, crop)).shape == (
        (1, backbone.channels, features, features)
    )


@torch.inference_mode()
def test_the_crops_center_is_the_features_center(backbone):
    """With mirror-symmetric kernels, a mirrored crop has mirrored features: nothing is shifted."""
    symmetric = copy.deepcopy(backbone)
    for module in symmetric.modules():
        if isinstance(module, nn.Conv2d):
            kernel = module.weight
            kernel.copy_((kernel + kernel.flip(-1) + kernel.flip(-2) + kernel.flip(-2, -1)) / 4)
    crop = torch.rand(1, 3, 79, 79, generator=torch.Generator().manual_seed(0))
    features = symmetric(crop)
    assert features.std() > 0
    for axes in (-1, -2):
        torch.testing.assert_close(
            symmetric(crop.flip(axes)), features.flip(axes), rtol=1e-3, atol=1e-4
        )


def expected_resnet_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's resnet50 up to layer3, by its rule."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def norm(name: str, channels: int) -> None:
        for statistic in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{statistic}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    norm("bn1", 64)
    channels = 64
    for layer, width, blocks in (("layer1", 64, 3), ("layer2", 128, 4), ("layer3", 256, 6)):
        for block in range(blocks):
            name = f"{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = (width, channels, 1, 1)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * width, width, 1, 1)
            for number, of in ((1, width), (2, width), (3, 4 * width)):
                norm(f"{name}.bn{number}", of)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, channels, 1, 1)
                norm(f"{name}.downsample.1", 4 * width)
            channels = 4 * width
    return shapes


def test_resnet50_has_torchvisions_names_and_shapes():
    state = ResNet50().state_dict()
    ours = {k: tuple(v.shape) for k, v in state.items() if not k.startswith("adjust")}
    assert ours == expected_resnet_shapes()
    assert ours["layer2.0.downsample.0.weight"] == (512, 256, 1, 1)


def test_wide_shortcuts_are_3x3_in_layers_2_and_3():
    state = ResNet50(wide_shortcuts=True).state_dict()
    kernels = [tuple(state[f"layer{n}.0.downsample.0.weight"].shape[2:]) for n in (1, 2, 3)]
    assert kernels == [(1, 1), (3, 3), (3, 3)]


def test_the_small_network_is_small():
    """A 255 px search takes at most 0.35 GMAC in the backbone, and 0.40 with heads."""
    network = SiamRPN().eval()
    spent: dict[nn.Module, int] = {}

    def count(module: nn.Conv2d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        spent[module] = output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        template = network.embed(torch.zeros(1, 3, 127, 127), torch.tensor([[32.0, 32, 95, 95]]))
        spent.clear()
        network.search(template, torch.zeros(1, 3, 255, 255))
    backbone = sum(spent.get(module, 0) for module in network.backbone.modules())
    assert 0.2e9 < backbone <= 0.35e9
    depthwise = network.config.hidden_channels * 25 * 25 * 7 * 7
    pixelwise = 64 * 31 * 31 * 7 * 7
    assert sum(spent.values()) + depthwise + pixelwise <= 0.40e9
    assert sum(parameter.numel() for parameter in network.parameters()) <= 2e6


def test_the_strides_that_are_known_without_pytorch_are_the_backbones():
    backbones = {"small": SmallBackbone, "resnet50": ResNet50}
    assert {name: tuple(kind.stage_channels) for name, kind in backbones.items()} == STAGE_STRIDES
