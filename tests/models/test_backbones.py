import copy

import pytest
import torch
from torch import nn

from cyclesiam.models.backbones import PyramidBackbone, ResNet50, SmallBackbone, _upsample_2x
from cyclesiam.models.config import STAGE_STRIDES, NetworkConfig
from cyclesiam.models.mask_head import upsample_2x
from cyclesiam.models.siamrpn import SiamRPN

BACKBONES = [SmallBackbone, PyramidBackbone, ResNet50, lambda: ResNet50(wide_shortcuts=True)]


@pytest.fixture(scope="module", params=BACKBONES, ids=["small", "pyramid", "resnet50", "wide"])
def backbone(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.mark.parametrize(("crop", "features"), [(127, 15), (207, 25), (255, 31), (79, 9)])
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


@torch.inference_mode()
def test_a_shift_of_16_pixels_shifts_the_features_by_two_cells(backbone):
    """Away from the border, as far as its zeros reach."""
    image = torch.rand(1, 3, 255, 271, generator=torch.Generator().manual_seed(0))
    left, right = backbone(image[..., :255]), backbone(image[..., 16:])
    inner = slice(12, 19)  # the pyramid's four convolutions at stride 16 reach ten cells
    assert left[..., inner].std() > 0
    torch.testing.assert_close(
        left[..., inner, 14:19], right[..., inner, 12:17], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(("make", "reach"), [(SmallBackbone, 55), (PyramidBackbone, 95)])
def test_how_far_features_see_to_each_side(make, reach):
    torch.manual_seed(0)
    crop = torch.rand(1, 3, 255, 255, requires_grad=True)
    make().eval()(crop)[0, :, 15, 15].square().sum().backward()
    assert crop.grad is not None
    columns = crop.grad.abs().amax(dim=(0, 1, 2)).nonzero()
    assert columns.min() == 127 - reach
    assert columns.max() == 127 + reach


def test_upsampling_by_pooling_is_bilinear():
    maps = torch.rand(2, 3, 7, 7)
    torch.testing.assert_close(_upsample_2x(maps), upsample_2x(maps))


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


def count_search(config: NetworkConfig) -> tuple[float, float]:
    """Return the MAC of a search, and of the backbone alone."""
    network = SiamRPN(config).eval()
    spent: dict[nn.Module, int] = {}

    def count(module: nn.Conv2d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        spent[module] = output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    side = config.search_size
    with torch.inference_mode():
        template = network.embed(torch.zeros(1, 3, 127, 127), torch.tensor([[32.0, 32, 95, 95]]))
        spent.clear()
        network.search(template, torch.zeros(1, 3, side, side))
    depthwise = config.hidden_channels * config.response_size**2 * 7 * 7
    pixelwise = 64 * (config.response_size + 6) ** 2 * 7 * 7
    backbone = sum(spent.get(module, 0) for module in network.backbone.modules())
    return sum(spent.values()) + depthwise + pixelwise, backbone


def count_weights(config: NetworkConfig) -> int:
    return sum(parameter.numel() for parameter in SiamRPN(config).parameters())


def test_the_small_network_is_small():
    """A 255 px search takes at most 0.35 GMAC in the backbone, and 0.40 with heads."""
    total, backbone = count_search(NetworkConfig())
    assert 0.2e9 < backbone <= 0.35e9
    assert total <= 0.40e9
    assert count_weights(NetworkConfig()) <= 2e6


def test_the_pyramid_has_more_weights_than_the_small_network_but_no_more_arithmetic():
    small = NetworkConfig(search_size=207)
    pyramid = NetworkConfig(backbone="pyramid", search_size=207)
    assert count_search(pyramid)[0] <= count_search(small)[0]
    assert count_weights(pyramid) > 2.5 * count_weights(small)


def test_the_strides_that_are_known_without_pytorch_are_the_backbones():
    backbones = {"small": SmallBackbone, "pyramid": PyramidBackbone, "resnet50": ResNet50}
    assert {name: tuple(kind.stage_channels) for name, kind in backbones.items()} == STAGE_STRIDES
