import pytest
import torch

from cyclesiam.geometry.anchors import AnchorConfig, make_anchors

SIZE, CROP = 25, 255


def anchors_of(config: AnchorConfig, grid: int, crop_size: int) -> torch.Tensor:
    return torch.from_numpy(make_anchors(config, grid, crop_size))


def test_shapes_are_the_published_ones():
    # SiamRPN: five shapes of one area, 64 x 64, height over width 0.33 to 3.
    anchors = anchors_of(AnchorConfig(), SIZE, CROP).reshape(5, SIZE, SIZE, 4)
    for shape, ratio in zip(anchors, (0.33, 0.5, 1.0, 2.0, 3.0), strict=True):
        sizes = shape[..., 2:].reshape(-1, 2)
        torch.testing.assert_close(sizes.prod(dim=-1), torch.full((SIZE * SIZE,), 64.0 * 64.0))
        torch.testing.assert_close(sizes[:, 1] / sizes[:, 0], torch.full((SIZE * SIZE,), ratio))


def test_positions_go_row_by_row_eight_pixels_apart():
    anchors = anchors_of(AnchorConfig(), SIZE, CROP).reshape(5, SIZE, SIZE, 4)
    x, y = anchors[2, ..., 0], anchors[2, ..., 1]
    assert (x[:, 1:] - x[:, :-1]).unique().tolist() == [8]
    assert (y[1:] - y[:-1]).unique().tolist() == [8]
    assert x[0, 0].item() == y[0, 0].item() == 127.5 - 12 * 8  # by hand


@pytest.mark.parametrize(("grid", "crop"), [(25, 255), (24, 255), (1, 127)])
def test_positions_lie_symmetrically_about_the_crops_center(grid, crop):
    centers = anchors_of(AnchorConfig(), grid, crop)[:, :2]
    torch.testing.assert_close(centers.mean(dim=0), torch.full((2,), crop / 2))
    mirrored = crop - centers.reshape(5, grid, grid, 2).flip(1, 2)
    torch.testing.assert_close(mirrored.reshape(-1, 2), centers)


def test_scale_and_stride_multiply():
    anchors = anchors_of(AnchorConfig(ratios=(1.0,), scale=2, stride=4), 3, 20)
    assert anchors[4].tolist() == [10, 10, 8, 8]


@pytest.mark.parametrize(
    "invalid", [{"ratios": ()}, {"ratios": (1.0, -1.0)}, {"scale": 0}, {"stride": 0}]
)
def test_invalid_configs_are_refused(invalid):
    with pytest.raises(ValueError, match="above zero"):
        AnchorConfig(**invalid)


def test_a_config_from_json_equals_the_one_it_was():
    assert AnchorConfig(ratios=[0.33, 0.5, 1.0, 2.0, 3.0]) == AnchorConfig()
