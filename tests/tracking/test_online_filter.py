from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cyclesiam.tracking.online_filter import (
    OnlineFilterConfig,
    add_sample,
    filter_response,
    gaussian_labels,
    init_filter,
    optimize_filter,
    project,
    sample_response,
)

STRIDE, CROP, CELLS = 8, 111, 13  # positions 8 px apart about 55.5
CONFIG = OnlineFilterConfig(channels=4, kernel_size=3, max_samples=3, init_steps=30)
POSITIONS = CELLS - CONFIG.kernel_size + 1
TARGET = torch.tensor([39.5, 47.5, 55.5, 63.5])  # around 47.5, 55.5: position (row 5, column 4)


def features(views=3, B=2, D=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(views, B, D, CELLS, CELLS, generator=generator, dtype=torch.float64)


def wanted(views=3, B=2):
    shifts = 8.0 * torch.arange(views * B).reshape(views, B, 1)
    boxes = TARGET.double() + shifts * torch.tensor([1.0, 0, 1, 0])
    return gaussian_labels(boxes, STRIDE, CROP, POSITIONS, CONFIG.label_sigma)


def state_of(config=CONFIG, **shape):
    return init_filter(features(**shape), wanted(**shape), config)


def test_a_peak_lies_on_its_box():
    peak = gaussian_labels(TARGET, STRIDE, CROP, POSITIONS, 0.5)
    assert peak.shape == (POSITIONS, POSITIONS)
    assert peak[5, 4] == 1
    # one position is 8 px, the deviation is half of the side of 16
    torch.testing.assert_close(peak[5, 5], torch.tensor(-0.5).exp())
    torch.testing.assert_close(peak[6, 3], torch.tensor(-1.0).exp())


def loss(state):
    total = 0
    for sample, peak, weight in zip(state.samples, state.labels, state.weights, strict=True):
        error = (filter_response(state, sample) - peak) ** 2
        total = total + weight * error.sum(dim=(1, 2))
    return total + state.config.regularization * (state.kernel**2).sum(dim=(1, 2, 3))


def test_every_step_lowers_the_loss():
    state = state_of(replace(CONFIG, init_steps=0))
    assert not state.kernel.any()
    for _ in range(5):
        better = optimize_filter(state, 1)
        assert (loss(better) < loss(state)).all()
        state = better


def test_it_converges_to_the_ridge_regression():
    """The slow definition: normal equations over all windows of all samples."""
    state = optimize_filter(state_of(), 3000)
    for b in range(2):
        rows, answers = [], []
        for sample, peak, weight in zip(state.samples, state.labels, state.weights, strict=True):
            windows = F.unfold(sample[b : b + 1], CONFIG.kernel_size)[0].T
            rows.append(weight[b].sqrt() * windows)
            answers.append(weight[b].sqrt() * peak[b].flatten())
        A, y = torch.cat(rows), torch.cat(answers)
        exact = torch.linalg.solve(
            A.T @ A + CONFIG.regularization * torch.eye(A.shape[1]).double(), A.T @ y
        )
        torch.testing.assert_close(state.kernel[b].flatten(), exact, rtol=1e-4, atol=1e-6)


def test_it_finds_its_target_among_others():
    """Two things of the same making, one of them the target: only background tells them apart."""
    generator = torch.Generator().manual_seed(1)
    scene = torch.randn(1, 1, 6, CELLS, CELLS, generator=generator)
    peak = gaussian_labels(TARGET, STRIDE, CROP, POSITIONS, 0.3)
    state = init_filter(scene, peak[None, None], OnlineFilterConfig(channels=6, kernel_size=3))
    answers = filter_response(state, project(state, scene[0]))[0]
    assert divmod(int(answers.argmax()), POSITIONS) == (5, 4)
    assert answers[5, 4] > 1.5 * answers.flatten().sort().values[-2]
    moved = filter_response(state, project(state, scene[0].roll((2, 1), dims=(-2, -1))))[0]
    assert divmod(int(moved.argmax()), POSITIONS) == (7, 5)


def test_a_batch_is_its_targets_alone():
    together = state_of()
    for b in range(2):
        alone = init_filter(features()[:, b : b + 1], wanted()[:, b : b + 1], CONFIG)
        scene = features()[0, b : b + 1]
        whole = filter_response(together, project(together, features()[0]))[b : b + 1]
        # components come with either sign; the answers do not
        torch.testing.assert_close(filter_response(alone, project(alone, scene)), whole)


def test_components_have_at_most_the_variance_of_one():
    state = state_of()
    projected = torch.stack(state.samples[:1])[0]
    variances = projected.var(dim=(2, 3), correction=0)
    torch.testing.assert_close(variances[:, -1], torch.ones(2).double())
    assert (variances.diff(dim=1) >= 0).all()


def test_votes_are_read_between_positions():
    answers = torch.zeros(1, 3, 3)
    answers[0, 1, 1], answers[0, 1, 2] = 1.0, 0.5
    places = torch.tensor([[[50.0, 50.0], [54.0, 50.0], [58.0, 50.0], [50.0, 54.0]]])
    read = sample_response(answers, places, stride=8, crop_size=100)
    torch.testing.assert_close(read, torch.tensor([[1.0, 0.75, 0.5, 0.5]]))
    far = torch.tensor([[[0.0, 0.0], [300.0, 50.0]]])
    torch.testing.assert_close(sample_response(answers - 1, far, 8, 100), torch.zeros(1, 2))


def test_memory_is_bounded_and_weights_are_shares():
    state = state_of()
    sure = torch.tensor([True, True])
    for step in range(1, 9):
        marked = torch.full_like(state.samples[0], step)
        state = add_sample(state, marked, wanted()[0], sure)
        assert len(state.samples) == len(state.labels) == len(state.weights) == 3 + min(step, 3)
        torch.testing.assert_close(state.weights.sum(dim=0), torch.ones(2).double())
    assert [int(sample[0, 0, 0, 0]) for sample in state.samples[3:]] == [6, 7, 8]
    assert state.weights[-1, 0] > state.weights[-2, 0] > state.weights[-3, 0]


def test_the_first_frame_keeps_its_share():
    state = state_of(replace(CONFIG, learning_rate=0.5, init_weight=0.4))
    for _ in range(6):
        state = add_sample(state, state.samples[0], wanted()[0], torch.tensor([True, True]))
    torch.testing.assert_close(state.weights[:3].sum(dim=0), torch.full((2,), 0.4).double())


def test_who_is_not_sure_learns_nothing():
    before = state_of()
    after = add_sample(before, before.samples[0], wanted()[0], torch.tensor([True, False]))
    assert after.weights[-1, 1] == 0
    torch.testing.assert_close(after.weights[:3, 1], before.weights[:, 1])
    assert after.weights[-1, 0] == pytest.approx(CONFIG.learning_rate)


@pytest.mark.parametrize(
    "wrong", [{"weight": 1.2}, {"kernel_size": 4}, {"max_samples": 0}, {"learning_rate": -0.1}]
)
def test_impossible_filters_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1|kernel_size must be odd"):
        OnlineFilterConfig(**wrong)
