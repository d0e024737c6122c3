"""Initial and recent templates, and their mean."""

import pytest
import torch

from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.search import Localization, embed_templates
from cyclesiam.tracking.template_memory import (
    TemplateMemoryConfig,
    init_templates,
    update_templates,
)
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from support.media import moving_square, textured
from support.networks import TINY

BOXES = torch.tensor([[10.0, 30, 34, 54], [60, 30, 90, 60]])
CONFIG = TemplateMemoryConfig(recent_weight=0.25, learning_rate=0.5, min_update_score=0.4)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiamRPN(TINY).eval()


def frame(seed):
    return torch.from_numpy(textured(seed)).permute(2, 0, 1)[None]


def start(network):
    return init_templates(embed_templates(network, frame(0), BOXES))


def targets(*scores):
    return Localization(BOXES, torch.tensor(scores), torch.zeros(2, dtype=torch.long))


@torch.inference_mode()
def test_the_mean_of_both_templates_by_hand(network):
    before = start(network)
    after = update_templates(network, before, targets(0.9, 0.1), frame(1), CONFIG)
    now = embed_templates(network, frame(1), BOXES)
    for first, new, recent, current in zip(
        before.current, now, after.recent, after.current, strict=True
    ):
        torch.testing.assert_close(recent[0], (first[0] + new[0]) / 2)
        torch.testing.assert_close(current[0], 0.75 * first[0] + 0.25 * recent[0])
        torch.testing.assert_close(recent[1], first[1])  # not confident
        torch.testing.assert_close(current[1], first[1])


@torch.inference_mode()
def test_the_initial_template_never_changes(network):
    memory = start(network)
    first = memory.initial
    for seed in range(1, 30):
        memory = update_templates(network, memory, targets(1.0, 1.0), frame(seed), CONFIG)
    for one, other, current, recent in zip(
        first, memory.initial, memory.current, memory.recent, strict=True
    ):
        assert torch.equal(one, other)
        torch.testing.assert_close(current, 0.75 * one + 0.25 * recent)


def test_uncertain_targets_are_not_updated(network):
    memory = start(network)
    assert update_templates(network, memory, targets(0.0, 0.0), frame(1), CONFIG) is memory


def test_the_tracker_updates_templates_every_few_frames(network):
    calls = []
    embed = network.embed
    network.embed = lambda *arguments: calls.append(1) or embed(*arguments)
    tracker = Tracker(
        network,
        TrackerConfig(template_memory=TemplateMemoryConfig(update_interval=3, min_update_score=0)),
    )
    frames = moving_square(8)
    tracker.init(frames[0], (10, 30, 24, 24))
    for image in frames[1:]:
        tracker.update(image)
    del network.embed
    assert len(calls) == 1 + 2  # the start, and frames 3 and 6


@pytest.mark.parametrize(
    "invalid", [{"recent_weight": 1.1}, {"learning_rate": -0.1}, {"update_interval": 0}]
)
def test_invalid_configs_are_refused(invalid):
    with pytest.raises(ValueError, match="must"):
        TemplateMemoryConfig(**invalid)
