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


def labels(views=3, B=2):
    shifts = 8.0 * torch.arange(views * B).reshape(views, B, 1)
    boxes = TARGET.double() + shifts * torch.tensor([1.0, 0, 1, 0])
    return gaussian_labels(boxes, STRIDE, CROP, POSITIONS, CONFIG.label_sigma)


def filters_of(config=CONFIG, **shape):
    return init_filter(features(**shape), labels(**shape), config)


def test_a_peak_lies_on_its_box():
    peak = gaussian_labels(TARGET, STRIDE, CROP, POSITIONS, 0.5)
    assert peak.shape == (POSITIONS, POSITIONS)
    assert peak[5, 4] == 1
    # one position is 8 px, the deviation is half of the side of 16
    torch.testing.assert_close(peak[5, 5], torch.tensor(-0.5).exp())
    torch.testing.assert_close(peak[6, 3], torch.tensor(-1.0).exp())


def loss(filters):
    total = 0
    for sample, peak, weight in zip(filters.samples, filters.labels, filters.weights, strict=True):
        error = (filter_response(filters, sample) - peak) ** 2
        total = total + weight * error.sum(dim=(1, 2))
    return total + filters.config.regularization * (filters.kernel**2).sum(dim=(1, 2, 3))


def test_every_step_lowers_the_loss():
    filters = filters_of(replace(CONFIG, init_steps=0))
    assert not filters.kernel.any()
    for _ in range(5):
        better = optimize_filter(filters, 1)
        assert (loss(better) < loss(filters)).all()
        filters = better


def test_it_converges_to_the_ridge_regression():
    """The slow definition: normal equations over all windows of all samples."""
    filters = optimize_filter(filters_of(), 3000)
    for b in range(2):
        rows, responses = [], []
        for sample, peak, weight in zip(
            filters.samples, filters.labels, filters.weights, strict=True
        ):
            windows = F.unfold(sample[b : b + 1], CONFIG.kernel_size)[0].T
            rows.append(weight[b].sqrt() * windows)
            responses.append(weight[b].sqrt() * peak[b].flatten())
        A, y = torch.cat(rows), torch.cat(responses)
        exact = torch.linalg.solve(
            A.T @ A + CONFIG.regularization * torch.eye(A.shape[1]).double(), A.T @ y
        )
        torch.testing.assert_close(filters.kernel[b].flatten(), exact, rtol=1e-4, atol=1e-6)


def test_the_response_peaks_at_the_target():
    """Features are random, so only their layout separates the target from its surroundings."""
    generator = torch.Generator().manual_seed(1)
    scene = torch.randn(1, 1, 6, CELLS, CELLS, generator=generator)
    peak = gaussian_labels(TARGET, STRIDE, CROP, POSITIONS, 0.3)
    filters = init_filter(scene, peak[None, None], OnlineFilterConfig(channels=6, kernel_size=3))
    responses = filter_response(filters, project(filters, scene[0]))[0]
    assert divmod(int(responses.argmax()), POSITIONS) == (5, 4)
    assert responses[5, 4] > 1.5 * responses.flatten().sort().values[-2]
    moved = filter_response(filters, project(filters, scene[0].roll((2, 1), dims=(-2, -1))))[0]
    assert divmod(int(moved.argmax()), POSITIONS) == (7, 5)


def test_a_batch_equals_its_targets_alone():
    together = filters_of()
    for b in range(2):
        alone = init_filter(features()[:, b : b + 1], labels()[:, b : b + 1], CONFIG)
        scene = features()[0, b : b + 1]
        whole = filter_response(together, project(together, features()[0]))[b : b + 1]
        # the sign of a component is arbitrary; responses do not depend on it
        torch.testing.assert_close(filter_response(alone, project(alone, scene)), whole)


def test_components_have_at_most_the_variance_of_one():
    filters = filters_of()
    projected = torch.stack(filters.samples[:1])[0]
    variances = projected.var(dim=(2, 3), correction=0)
    torch.testing.assert_close(variances[:, -1], torch.ones(2).double())
    assert (variances.diff(dim=1) >= 0).all()


def test_responses_are_sampled_between_positions():
    responses = torch.zeros(1, 3, 3)
    responses[0, 1, 1], responses[0, 1, 2] = 1.0, 0.5
    centers = torch.tensor([[[50.0, 50.0], [54.0, 50.0], [58.0, 50.0], [50.0, 54.0]]])
    sampled = sample_response(responses, centers, stride=8, crop_size=100)
    torch.testing.assert_close(sampled, torch.tensor([[1.0, 0.75, 0.5, 0.5]]))
    far = torch.tensor([[[0.0, 0.0], [300.0, 50.0]]])
    torch.testing.assert_close(sample_response(responses - 1, far, 8, 100), torch.zeros(1, 2))


def test_samples_are_bounded_and_weights_sum_to_one():
    filters = filters_of()
    confident = torch.tensor([True, True])
    for step in range(1, 9):
        marked = torch.full_like(filters.samples[0], step)
        filters = add_sample(filters, marked, labels()[0], confident)
        assert (
            len(filters.samples) == len(filters.labels) == len(filters.weights) == 3 + min(step, 3)
        )
        torch.testing.assert_close(filters.weights.sum(dim=0), torch.ones(2).double())
    assert [int(sample[0, 0, 0, 0]) for sample in filters.samples[3:]] == [6, 7, 8]
    assert filters.weights[-1, 0] > filters.weights[-2, 0] > filters.weights[-3, 0]


def test_the_first_frame_keeps_its_weight():
    filters = filters_of(replace(CONFIG, learning_rate=0.5, init_weight=0.4))
    for _ in range(6):
        filters = add_sample(filters, filters.samples[0], labels()[0], torch.tensor([True, True]))
    torch.testing.assert_close(filters.weights[:3].sum(dim=0), torch.full((2,), 0.4).double())


def test_an_uncertain_target_gets_no_sample():
    before = filters_of()
    after = add_sample(before, before.samples[0], labels()[0], torch.tensor([True, False]))
    assert after.weights[-1, 1] == 0
    torch.testing.assert_close(after.weights[:3, 1], before.weights[:, 1])
    assert after.weights[-1, 0] == pytest.approx(CONFIG.learning_rate)


@pytest.mark.parametrize(
    "invalid", [{"weight": 1.2}, {"kernel_size": 4}, {"max_samples": 0}, {"learning_rate": -0.1}]
)
def test_invalid_configs_are_refused(invalid):
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1|kernel_size must be odd"):
        OnlineFilterConfig(**invalid)
