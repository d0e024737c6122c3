"""Initial and recent templates, and their mean."""

import dataclasses

import pytest
import torch

from cyclesiam.models.siamrpn import SiamRPN
from cyclesiam.tracking.siamese import embed_templates, init_targets
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


@torch.inference_mode()
def test_the_mean_of_both_templates_by_hand(network):
    state = init_targets(network, frame(0), BOXES)
    memory = init_templates(state)
    state = dataclasses.replace(state, scores=torch.tensor([0.9, 0.1]))
    kept, memory = update_templates(network, state, memory, frame(1), CONFIG)
    now = embed_templates(network, frame(1), BOXES)
    for first, new, recent, template in zip(
        state.template, now, memory.recent, kept.template, strict=True
    ):
        torch.testing.assert_close(recent[0], (first[0] + new[0]) / 2)
        torch.testing.assert_close(template[0], 0.75 * first[0] + 0.25 * recent[0])
        torch.testing.assert_close(recent[1], first[1])  # not confident
        torch.testing.assert_close(template[1], first[1])


@torch.inference_mode()
def test_the_initial_template_never_changes(network):
    state = init_targets(network, frame(0), BOXES)
    memory = init_templates(state)
    first = memory.initial
    for seed in range(1, 30):
        state, memory = update_templates(network, state, memory, frame(seed), CONFIG)
    for one, other, template, recent in zip(
        first, memory.initial, state.template, memory.recent, strict=True
    ):
        assert torch.equal(one, other)
        torch.testing.assert_close(template, 0.75 * one + 0.25 * recent)


def test_uncertain_targets_are_not_updated(network):
    state = dataclasses.replace(init_targets(network, frame(0), BOXES), scores=torch.zeros(2))
    memory = init_templates(state)
    assert update_templates(network, state, memory, frame(1), CONFIG) == (state, memory)


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
