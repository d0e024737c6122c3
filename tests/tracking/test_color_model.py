import pytest
import torch

from cyclesiam.tracking.color_model import (
    BIN_STRIDE,
    BINS_PER_CHANNEL,
    ColorModelConfig,
    color_bins,
    color_likelihood,
    color_scores,
    color_weights,
    init_color_model,
    update_color_model,
)

BOX = torch.tensor([[24.0, 32, 72, 64]])
RED, GREEN, BLUE = (220.0, 30, 30), (30.0, 180, 30), (30.0, 30, 220)


def painted(box, color=RED, background=GREEN, size=128):
    """A crop of one color with a box of another."""
    crop = torch.tensor(background).reshape(1, 3, 1, 1).repeat(1, 1, size, size)
    x0, y0, x1, y1 = (int(side) for side in box)
    crop[..., y0:y1, x0:x1] = torch.tensor(color).reshape(1, 3, 1, 1)
    return crop


def init_model(**changes):
    return init_color_model(color_bins(painted(BOX[0])), BOX, ColorModelConfig(**changes))


def test_bins_count_through_blue_then_green_then_red():
    crop = torch.zeros(1, 3, 3, 3)
    crop[0, :, 0, 0] = torch.tensor([255.0, 0, 0])
    crop[0, :, 0, 2] = torch.tensor([0.0, 255, 15.9])
    crop[0, :, 2, 0] = torch.tensor([0.0, 0, 16])
    crop[0, :, 1, 1] = 99  # between the pixels that are counted
    expected = [[15 * BINS_PER_CHANNEL**2, 15 * BINS_PER_CHANNEL], [1, 0]]
    assert color_bins(crop).tolist() == [expected]


def test_colors_that_only_the_target_has_are_likely():
    model = init_model()
    likelihood = color_likelihood(model, color_bins(painted(BOX[0]))).pixels[0]
    inside = torch.zeros_like(likelihood, dtype=torch.bool)
    inside[32 // BIN_STRIDE : 64 // BIN_STRIDE, 24 // BIN_STRIDE : 72 // BIN_STRIDE] = True
    assert likelihood[inside].min() > 0.99
    assert likelihood[~inside].max() < 0.01
    assert model.inside_likelihood.item() == pytest.approx(likelihood[inside].mean().item())
    assert model.outside_likelihood.item() == pytest.approx(
        likelihood[~inside].mean().item(), abs=1e-6
    )


def test_histograms_sum_to_one_and_neighboring_colors_count():
    model = init_model()
    for histogram in (model.foreground, model.background):
        assert histogram.sum().item() == pytest.approx(1)
    lighter = painted(BOX[0], color=tuple(value + 16 for value in RED))
    assert color_likelihood(model, color_bins(lighter)).pixels[0, 24, 24] > 0.95


def test_a_score_is_the_overlap_with_the_colored_pixels():
    place = torch.tensor([40.0, 40, 88, 72])  # the target has moved
    boxes = torch.stack((place, place + 16, place - 200, BOX[0] * 4))[None]
    boxes[0, 3] = torch.tensor([0.0, 0, 128, 128])
    scores = color_scores(
        init_model(), color_likelihood(init_model(), color_bins(painted(place))), boxes
    )[0]
    intersection = 32 * 16  # of the second box
    expected = [1, intersection / (2 * 48 * 32 - intersection), 0, 48 * 32 / 128**2]
    assert scores.tolist() == pytest.approx(expected, abs=0.02)


def test_the_best_box_follows_a_change_of_shape():
    wide = torch.tensor([16.0, 40, 112, 64])
    boxes = torch.stack((BOX[0], wide, torch.tensor([40.0, 40, 88, 64])))[None]
    scores = color_scores(
        init_model(), color_likelihood(init_model(), color_bins(painted(wide))), boxes
    )[0]
    assert scores.argmax() == 1


def test_equal_colors_get_no_weight():
    alike = color_bins(painted(BOX[0], color=GREEN))
    assert color_weights(init_color_model(alike, BOX, ColorModelConfig())).item() == 0
    assert color_weights(init_model(weight=0.4)).item() == pytest.approx(0.4)
    model = init_color_model(alike, BOX, ColorModelConfig())
    scores = color_scores(model, color_likelihood(model, alike), BOX[:, None])
    assert scores.isfinite().all()


def test_only_confident_targets_are_updated():
    bins = color_bins(torch.cat((painted(BOX[0]), painted(BOX[0]))))
    boxes = BOX.expand(2, 4)
    model = init_color_model(bins, boxes, ColorModelConfig(learning_rate=0.25))
    blue = color_bins(torch.cat((painted(BOX[0], color=BLUE), painted(BOX[0], color=BLUE))))
    after = update_color_model(model, blue, boxes, torch.tensor([True, False]))
    assert torch.equal(after.foreground[1], model.foreground[1])
    torch.testing.assert_close(after.foreground[0, blue[0, 20, 20]] * 4, model.foreground[0].max())
    assert (after.inside_likelihood, after.outside_likelihood) == (
        model.inside_likelihood,
        model.outside_likelihood,
    )  # those of the first frame


def test_a_batch_equals_its_targets_alone():
    places = torch.tensor([[24.0, 32, 72, 64], [60, 10, 100, 90]])
    crops = torch.cat((painted(places[0]), painted(places[1], BLUE, (90.0, 90, 90))))
    boxes = torch.stack((places, places.flip(0)), dim=1)
    together = init_color_model(color_bins(crops), places, ColorModelConfig())
    scores = color_scores(together, color_likelihood(together, color_bins(crops)), boxes)
    for row in range(2):
        one = slice(row, row + 1)
        alone = init_color_model(color_bins(crops[one]), places[one], ColorModelConfig())
        torch.testing.assert_close(
            color_scores(alone, color_likelihood(alone, color_bins(crops[one])), boxes[one]),
            scores[one],
        )


@pytest.mark.parametrize("outside", [[-50.0, -50, -10, -10], [200.0, 200, 300, 300], [5, 5, 5, 5]])
def test_boxes_outside_the_crop_and_of_size_zero_give_finite_scores(outside):
    box = torch.tensor([outside])
    model = init_color_model(color_bins(painted(BOX[0])), box, ColorModelConfig())
    scores = color_scores(model, color_likelihood(model, color_bins(painted(BOX[0]))), box[:, None])
    assert scores.isfinite().all()
    assert color_weights(model).isfinite().all()


@pytest.mark.parametrize("invalid", [{"weight": 2}, {"learning_rate": -1}, {"ring_scale": 1.1}])
def test_impossible_settings_are_refused(invalid):
    with pytest.raises(ValueError, match=next(iter(invalid))):
        ColorModelConfig(**invalid)
