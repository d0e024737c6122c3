import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from cyclesiam.training.optimizer import (
    OptimizerConfig,
    ema_update,
    learning_rate,
    make_optimizer,
)


@pytest.mark.parametrize(
    ("progress", "rate"),
    [
        (0.0, 0.001),
        (0.125, 0.003),  # half of the warm-up
        (0.25, 0.005),
        (0.625, 0.005 * 0.5**0.5),  # half of the way down, in logarithms
        (1.0, 0.0025),
    ],
)
def test_the_published_schedule_by_hand(progress, rate):
    assert learning_rate(OptimizerConfig(), progress) == pytest.approx(rate)


@pytest.mark.parametrize(("progress", "rate"), [(0.0, 4.0), (0.5, 2.5), (1.0, 1.0), (1.5, 1.0)])
def test_the_cosine_schedule_by_hand(progress, rate):
    config = OptimizerConfig(lr=4, end_lr=1, warmup_ratio=0, schedule="cosine")
    assert learning_rate(config, progress) == pytest.approx(rate)


@pytest.mark.parametrize(("method", "kind"), [("sgd", "SGD"), ("adamw", "AdamW")])
def test_biases_and_norms_do_not_decay(method, kind):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    network[1].bias.requires_grad_(False)
    optimizer = make_optimizer(OptimizerConfig(name=method, weight_decay=0.3), network)
    assert type(optimizer).__name__ == kind
    decaying, others = optimizer.param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0)
    assert [p.ndim for p in decaying["params"]] == [4]
    assert [p.ndim for p in others["params"]] == [1, 1]  # the frozen one is left out


def test_the_average_forgets_its_start_and_then_keeps_its_decay():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 5.0)
    average = AveragedModel(network, multi_avg_fn=ema_update(0.5))
    expected = None
    for count, value in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]):
        torch.nn.init.constant_(network.weight, value)
        average.update_parameters(network)
        keep = min(0.5, (1 + count) / (10 + count))
        expected = value if expected is None else keep * expected + (1 - keep) * value
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("wrong", [{"lr": 0}, {"start_lr": -1}, {"end_lr": 0}, {"warmup_ratio": 1}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(ValueError, match=r"above zero|warmup"):
        OptimizerConfig(**wrong)
