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


def painted(box, colour=RED, ground=GREEN, size=128):
    """A crop of one colour with a box of another."""
    crop = torch.tensor(ground).reshape(1, 3, 1, 1).repeat(1, 1, size, size)
    x0, y0, x1, y1 = (int(side) for side in box)
    crop[..., y0:y1, x0:x1] = torch.tensor(colour).reshape(1, 3, 1, 1)
    return crop


def learnt(**changes):
    return init_color_model(color_bins(painted(BOX[0])), BOX, ColorModelConfig(**changes))


def test_bins_count_through_blue_then_green_then_red():
    crop = torch.zeros(1, 3, 3, 3)
    crop[0, :, 0, 0] = torch.tensor([255.0, 0, 0])
    crop[0, :, 0, 2] = torch.tensor([0.0, 255, 15.9])
    crop[0, :, 2, 0] = torch.tensor([0.0, 0, 16])
    crop[0, :, 1, 1] = 99  # between the pixels that are looked at
    wanted = [[15 * BINS_PER_CHANNEL**2, 15 * BINS_PER_CHANNEL], [1, 0]]
    assert color_bins(crop).tolist() == [wanted]


def test_what_only_the_target_has_is_its_own():
    state = learnt()
    belief = color_likelihood(state, color_bins(painted(BOX[0]))).pixels[0]
    inside = torch.zeros_like(belief, dtype=torch.bool)
    inside[32 // BIN_STRIDE : 64 // BIN_STRIDE, 24 // BIN_STRIDE : 72 // BIN_STRIDE] = True
    assert belief[inside].min() > 0.99
    assert belief[~inside].max() < 0.01
    assert state.inside_likelihood.item() == pytest.approx(belief[inside].mean().item())
    assert state.outside_likelihood.item() == pytest.approx(belief[~inside].mean().item(), abs=1e-6)


def test_histograms_are_shares_and_nearly_the_same_colour_counts():
    state = learnt()
    for histogram in (state.foreground, state.background):
        assert histogram.sum().item() == pytest.approx(1)
    lighter = painted(BOX[0], colour=tuple(value + 16 for value in RED))
    assert color_likelihood(state, color_bins(lighter)).pixels[0, 24, 24] > 0.95


def test_a_vote_is_the_overlap_with_what_has_the_colours():
    place = torch.tensor([40.0, 40, 88, 72])  # the target has moved
    boxes = torch.stack((place, place + 16, place - 200, BOX[0] * 4))[None]
    boxes[0, 3] = torch.tensor([0.0, 0, 128, 128])
    votes = color_scores(learnt(), color_likelihood(learnt(), color_bins(painted(place))), boxes)[0]
    shared = 32 * 16  # of the second box
    wanted = [1, shared / (2 * 48 * 32 - shared), 0, 48 * 32 / 128**2]
    assert votes.tolist() == pytest.approx(wanted, abs=0.02)


def test_the_best_box_follows_a_change_of_shape():
    wide = torch.tensor([16.0, 40, 112, 64])
    boxes = torch.stack((BOX[0], wide, torch.tensor([40.0, 40, 88, 64])))[None]
    votes = color_scores(learnt(), color_likelihood(learnt(), color_bins(painted(wide))), boxes)[0]
    assert votes.argmax() == 1


def test_where_both_look_alike_colours_are_silent():
    alike = color_bins(painted(BOX[0], colour=GREEN))
    assert color_weights(init_color_model(alike, BOX, ColorModelConfig())).item() == 0
    assert color_weights(learnt(weight=0.4)).item() == pytest.approx(0.4)
    state = init_color_model(alike, BOX, ColorModelConfig())
    votes = color_scores(state, color_likelihood(state, alike), BOX[:, None])
    assert votes.isfinite().all()


def test_colours_follow_those_who_are_sure():
    bins = color_bins(torch.cat((painted(BOX[0]), painted(BOX[0]))))
    boxes = BOX.expand(2, 4)
    state = init_color_model(bins, boxes, ColorModelConfig(learning_rate=0.25))
    blue = color_bins(torch.cat((painted(BOX[0], colour=BLUE), painted(BOX[0], colour=BLUE))))
    after = update_color_model(state, blue, boxes, torch.tensor([True, False]))
    assert torch.equal(after.foreground[1], state.foreground[1])
    torch.testing.assert_close(after.foreground[0, blue[0, 20, 20]] * 4, state.foreground[0].max())
    assert (after.inside_likelihood, after.outside_likelihood) == (
        state.inside_likelihood,
        state.outside_likelihood,
    )  # how it was at first


def test_a_batch_equals_its_targets_alone():
    places = torch.tensor([[24.0, 32, 72, 64], [60, 10, 100, 90]])
    crops = torch.cat((painted(places[0]), painted(places[1], BLUE, (90.0, 90, 90))))
    boxes = torch.stack((places, places.flip(0)), dim=1)
    together = init_color_model(color_bins(crops), places, ColorModelConfig())
    votes = color_scores(together, color_likelihood(together, color_bins(crops)), boxes)
    for row in range(2):
        one = slice(row, row + 1)
        alone = init_color_model(color_bins(crops[one]), places[one], ColorModelConfig())
        torch.testing.assert_close(
            color_scores(alone, color_likelihood(alone, color_bins(crops[one])), boxes[one]),
            votes[one],
        )


@pytest.mark.parametrize("outside", [[-50.0, -50, -10, -10], [200.0, 200, 300, 300], [5, 5, 5, 5]])
def test_boxes_beyond_the_crop_and_without_extent_are_harmless(outside):
    box = torch.tensor([outside])
    state = init_color_model(color_bins(painted(BOX[0])), box, ColorModelConfig())
    votes = color_scores(state, color_likelihood(state, color_bins(painted(BOX[0]))), box[:, None])
    assert votes.isfinite().all()
    assert color_weights(state).isfinite().all()


@pytest.mark.parametrize(
    "wrong", [{"weight": 2}, {"learning_rate": -1}, {"inner_scale": 0}, {"min_bin_ratio": 0}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ColorModelConfig(**wrong)
