import pytest
import torch

from cyclesiam.data.augmentation import (
    AugmentationConfig,
    jitter_colors,
    jitter_windows,
    occlude,
)

PLAIN = AugmentationConfig(blur=0, gray=0, color=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_crops(B=4, S=40):
    return torch.rand(B, 3, S, S, generator=generator(9)) * 255


def test_windows_stray_as_far_as_they_may_and_no_farther():
    windows = torch.tensor([[100.0, 80.0, 200.0, 200.0]]).expand(2000, 4)
    moved = jitter_windows(windows, 100, shift=10, scale=0.2, aspect=0.5, generator=generator())
    shift = (moved[:, :2] - windows[:, :2]).abs()
    assert 19 < shift.max() <= 20  # 10 crop pixels of two image pixels each
    area = moved[:, 2:].prod(dim=1).sqrt() / 200
    assert 1 / 1.2 - 1e-4 <= area.min() < 0.84  # as often smaller as larger
    assert 1.19 < area.max() <= 1.2 + 1e-4
    aspect = moved[:, 2] / moved[:, 3]
    assert 1 / 1.5 - 1e-4 <= aspect.min() < 0.68
    assert 1.48 < aspect.max() <= 1.5 + 1e-4
    assert area.log().mean().abs() < 0.01
    assert moved[:, :2].mean(dim=0).sub(windows[0, :2]).abs().max() < 1  # to no side


def test_no_freedom_no_change():
    windows = torch.tensor([[100.0, 80.0, 200.0, 100.0]])
    same = jitter_windows(windows, 100, shift=0, scale=0, generator=generator())
    torch.testing.assert_close(same, windows)


def test_a_plain_recoloring_changes_nothing():
    crops = make_crops()
    before = crops.clone()
    torch.testing.assert_close(
        jitter_colors(crops, PLAIN, generator()), crops, rtol=1e-4, atol=1e-2
    )
    assert torch.equal(crops, before)


def test_recoloring_changes_light_within_its_range_and_leaves_its_argument():
    crops = torch.full((500, 3, 4, 4), 100.0)
    before = crops.clone()
    changed = jitter_colors(crops, AugmentationConfig(blur=0, color=0.2), generator())
    assert torch.equal(crops, before)
    # A gray, even crop has no saturation and no contrast: brightness of the channels remains.
    assert changed.min() >= 80 - 1e-3
    assert changed.max() <= 120 + 1e-3
    assert changed.std() > 5
    assert (changed[:, 0] - changed[:, 1]).abs().max() > 10


def test_recolored_crops_stay_in_range():
    wild = AugmentationConfig(color=0.9, noise=100, blur=0.5)
    changed = jitter_colors(make_crops(), wild, generator())
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_as_many_crops_are_blurred_as_said():
    crops = make_crops(B=10)
    changed = jitter_colors(crops, AugmentationConfig(blur=0.3, gray=0, color=0), generator())
    blurred = (changed - crops).abs().mean(dim=(1, 2, 3)) > 1
    assert blurred.sum() == 3
    assert changed[blurred].std() < crops[blurred].std() / 2


def test_noise_is_as_strong_as_said():
    config = AugmentationConfig(blur=0, gray=0, color=0, noise=8)
    changed = jitter_colors(torch.full((200, 3, 20, 20), 128.0), config, generator())
    deviations = changed.std(dim=(1, 2, 3))
    assert deviations.max() < 9
    assert deviations.min() < 1
    assert 3 < deviations.mean() < 5


def test_gray_is_luma():
    crops = torch.tensor([255.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand(2, 3, 1, 1)
    changed = jitter_colors(crops, PLAIN, generator(), gray=torch.tensor([True, False]))
    assert changed[0].flatten().tolist() == pytest.approx([76.245] * 3)  # 0.299 of red
    torch.testing.assert_close(changed[1], crops[1])


def test_an_occlusion_is_a_rectangle_of_another_crop():
    crops = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 3, 100, 100).contiguous()
    covered = occlude(crops, 1.0, generator())
    for b in range(8):
        other = covered[b, 0] != b
        assert (covered[b, 0][other] == (b - 1) % 8).all()
        rows, columns = other.any(dim=1), other.any(dim=0)
        assert torch.equal(other, rows[:, None] & columns[None])  # a rectangle
        assert rows.sum() <= 25 + 1
        assert columns.sum() <= 25 + 1


def test_the_ratio_of_occlusions():
    crops = torch.arange(400.0).reshape(400, 1, 1, 1).expand(400, 3, 20, 20)
    changed = (occlude(crops, 0.25, generator()) != crops).any(dim=3).any(dim=2).any(dim=1)
    assert 70 < changed.sum() < 130
    assert torch.equal(occlude(crops, 0.0, generator()), crops)


def test_the_same_seed_gives_the_same_crops():
    config = AugmentationConfig(noise=5, occlusion_probability=0.5)
    crops = make_crops()
    assert torch.equal(
        jitter_colors(crops, config, generator(3)), jitter_colors(crops, config, generator(3))
    )
    assert not torch.equal(
        jitter_colors(crops, config, generator(3)), jitter_colors(crops, config, generator(4))
    )


@pytest.mark.parametrize(
    "wrong", [{"blur": 1.5}, {"gray": -0.1}, {"occlusion_probability": 2}, {"search_scale": 1}]
)
def test_impossible_augmentations_are_refused(wrong):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        AugmentationConfig(**wrong)


def test_recoloring_by_hand():
    """Its slow definition: blend with gray, stretch about the mean gray, light each channel."""
    crops = make_crops(B=3, S=12)
    luma = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    config = AugmentationConfig(blur=0, color=0.3)
    dice = generator(4)
    torch.randperm(3, generator=dice)  # who is blurred
    saturation, contrast, light = (
        1 + 0.3 * (2 * torch.rand(3, channels, 1, 1, generator=dice) - 1) for channels in (1, 1, 3)
    )
    saturation[1] = 0
    gray = (crops * luma).sum(dim=1, keepdim=True)
    mean = gray.mean(dim=(-2, -1), keepdim=True)
    expected = torch.lerp(gray, crops, saturation)
    expected = (((expected - mean) * contrast + mean) * light).clamp(0, 255)
    changed = jitter_colors(crops, config, generator(4), gray=torch.tensor([False, True, False]))
    torch.testing.assert_close(changed, expected, rtol=1e-5, atol=1e-3)
