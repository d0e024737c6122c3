from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from cyclesiam.data.degradation import (
    DegradationConfig,
    compress,
    degrade,
    draw_degradations,
)
from cyclesiam.data.row_rng import RowGenerator

KINDS = ["resolution", "compression", "defocus", "motion", "darkness", "flatness", "noise"]
ALL = DegradationConfig(**dict.fromkeys(KINDS, 0.5))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_crops(B=4, S=40):
    return torch.rand(B, 3, S, S, generator=generator(9)) * 255


def only(kind, severity=1.0, form=0.0, B=1):
    """Return the degradations of B crops by one kind."""
    degradations = torch.zeros(B, len(KINDS), 2)
    degradations[:, KINDS.index(kind)] = torch.tensor([severity, form])
    return degradations


def test_without_degradations_nothing_is_drawn_or_changed():
    rng, crops = generator(), make_crops()
    assert draw_degradations(4, DegradationConfig(), rng) == (None, None)
    assert degrade(crops, None, rng) is crops
    assert torch.equal(rng.get_state(), generator().get_state())


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_drawn_crops_change_and_stay_in_range(kind):
    crops = make_crops(B=5)
    before = crops.clone()
    degradations = torch.zeros(5, len(KINDS), 2)
    degradations[[1, 3]] = only(kind, B=2)
    changed = degrade(crops, degradations, generator())
    assert torch.equal(crops, before)
    assert torch.equal(changed[[0, 2, 4]], crops[[0, 2, 4]])
    assert ((changed - crops).abs().mean(dim=(1, 2, 3)) > 1).tolist() == [False, True] * 2 + [False]
    assert changed.min() >= 0
    assert changed.max() <= 255


@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_and_the_strength_of_each_kind(kind):
    config = replace(DegradationConfig(strength=0.5), **{kind: 0.3})
    for drawn in draw_degradations(4000, config, generator()):
        severity = drawn[:, KINDS.index(kind), 0]
        assert (severity > 0).float().mean() == pytest.approx(0.3, abs=0.03)
        assert 0.49 < severity.max() <= 0.5
        others = [index for index, name in enumerate(KINDS) if name != kind]
        assert not drawn[:, others, 0].any()


def test_template_and_search_share_what_belongs_to_the_video():
    template, search = draw_degradations(4000, replace(ALL, shared=0.7), generator())
    same = (template == search).all(dim=-1)
    assert torch.equal(same[:, 0], same[:, 1])
    assert same[:, :2].float().mean() == pytest.approx(0.7, abs=0.03)
    assert not same[:, 2:].any()


def test_rows_of_a_part_are_degraded_as_in_the_whole_batch():
    crops = make_crops(B=6, S=64)
    rng = generator(3)
    whole = [degrade(crops, drawn, rng) for drawn in draw_degradations(6, ALL, rng)]
    for rows in ([5, 0, 1], [1, 2, 3, 4, 5]):
        rng = RowGenerator(generator(3), torch.tensor(rows), 6)
        drawn = draw_degradations(len(rows), ALL, rng)
        for expected, degradations in zip(whole, drawn, strict=True):
            part = degrade(crops[rows], degradations, rng)
            # In the mean: other kernels of other sizes may round a coefficient the other way.
            assert (part - expected[rows]).abs().mean() < 0.05
    assert (whole[0] - crops).abs().mean() > 5


def test_low_resolution_removes_fine_detail_and_keeps_coarse():
    steps = torch.arange(64) + 0.5
    fine, coarse = (
        (128 + 100 * torch.sin(2 * torch.pi * steps / period)).expand(1, 3, 64, 64)
        for period in (3, 32)
    )
    assert degrade(fine, only("resolution"), generator()).std() < 5  # 70 before
    kept = degrade(coarse, only("resolution"), generator())
    assert (kept - coarse)[..., 8:-8].abs().max() < 15
    weak, strong = (
        degrade(make_crops(1), only("resolution", severity), generator()).std()
        for severity in (0.1, 1.0)
    )
    assert strong < weak / 2


def test_a_quarter_of_the_resolution_is_a_mean_of_neighbors():
    crops = torch.zeros(1, 3, 64, 64)
    crops[..., 32:] = 200
    small = degrade(crops, only("resolution"), generator())
    assert small.mean() == pytest.approx(100, abs=0.5)
    assert small[0, 0, 5, 31] == pytest.approx(87, abs=13)  # the edge is eight pixels wide now
    assert (small[..., :26] == 0).all()


def textured_picture():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("quality", [10, 30, 70])
def test_compression_is_that_of_jpeg(quality):
    picture = textured_picture()
    picture[:] = picture[..., :1]  # gray: decoders enlarge colors in ways of their own
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    expected = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32)
    crops = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    found = compress(crops, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    assert abs(expected - picture).mean() > 0.9  # there is a loss to be repeated
    assert abs(found - expected).mean() < 0.5  # of which OpenCV rounds


def test_compression_keeps_smooth_colors_and_averages_colors_of_two_pixels():
    ramp = (
        torch.linspace(40, 200, 50).expand(3, 50, 50) + torch.tensor([20.0, 0, -20])[:, None, None]
    )
    smooth = torch.stack((ramp, ramp.transpose(1, 2)))
    kept = compress(smooth, torch.full((2,), 60.0))
    assert kept.shape == smooth.shape
    assert (kept - smooth).abs().mean() < 2
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0, :, ::2] = 255
    mixed = compress(red, torch.tensor([100.0]))
    red_minus_blue = (mixed[0, 0] - mixed[0, 2]).reshape(16, 8, 2)
    assert (red_minus_blue[..., 0] - red_minus_blue[..., 1]).abs().mean() < 140  # 255 before


def test_blur_is_a_disk_or_a_line_and_keeps_the_light():
    point = torch.zeros(1, 3, 41, 41)
    point[..., 20, 20] = 200

    def spread(degradations):
        shown = degrade(point, degradations, generator())[0, 0]
        assert shown.sum() == pytest.approx(200, rel=1e-4)
        rows, columns = (shown > 0.2).nonzero().unbind(dim=1)
        return (rows.max() - rows.min() + 1).item(), (columns.max() - columns.min() + 1).item()

    assert spread(only("defocus")) == (9, 9)
    assert spread(only("defocus", 0.2)) == (3, 3)
    assert spread(only("motion")) == (1, 9 + 2)  # a pixel at each end is covered in part
    assert spread(only("motion", form=0.5)) == (9 + 2, 1)


def test_darkness_flatness_and_noise_by_numbers():
    halves = torch.full((1, 3, 100, 100), 40.0)
    halves[..., 50:] = 240
    dark = degrade(halves, only("darkness"), generator())
    gain, gamma = 255 * 0.35, 1.8
    assert dark[0, 0, 0, 0] == pytest.approx(gain * (40 / 255) ** gamma, rel=1e-3)
    assert dark[0, 0, 0, 99] == pytest.approx(gain * (240 / 255) ** gamma, rel=1e-3)
    flat = degrade(halves, only("flatness", form=0.5), generator())
    assert (flat[..., 99] - flat[..., 0]).unique().tolist() == pytest.approx([50], abs=1e-3)
    noise = degrade(halves.clamp(80, 160), only("noise"), generator()) - halves.clamp(80, 160)
    assert noise[..., 50:].std() > 1.1 * noise[..., :50].std()  # more light, more grain
    assert 10 < noise.std() < 30


def test_the_strongest_degradations_together_leave_something_to_see():
    steps = torch.arange(64) + 0.5
    stripes = (128 + 100 * torch.sin(2 * torch.pi * steps / 32)).expand(1, 3, 64, 64)
    for kinds in (("resolution", "compression"), ("darkness", "flatness")):
        worst = sum(only(kind) for kind in kinds)
        shown = degrade(stripes, worst, generator())
        pair = torch.stack((shown.mean(dim=(0, 1, 2)), stripes[0, 0, 0]))
        assert torch.corrcoef(pair)[0, 1] > 0.9
        assert shown.std() > 0.2 * stripes.std()


@pytest.mark.parametrize("name", [field.name for field in fields(DegradationConfig)])
def test_impossible_degradations_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must lie in 0\.\.1"):
        DegradationConfig(**{name: 1.5})
