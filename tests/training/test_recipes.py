import dataclasses
import json

import pytest

from cyclesiam.models.config import NetworkConfig
from cyclesiam.training.curriculum import Stage
from cyclesiam.training.recipes import (
    RECIPES,
    cyclesiam,
    cyclesiam_plus,
    masks,
    objects,
    small,
    smoke,
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_knows_its_name_and_can_be_written_down(name):
    config = RECIPES[name]()
    assert config.recipe == name
    assert config == RECIPES[name]()
    json.dumps(dataclasses.asdict(config))


def test_every_recipe_reads_no_labels():
    assert {recipe().policy for recipe in RECIPES.values()} == {"none"}


def test_the_papers_constants():
    config = cyclesiam()
    assert config.clips.batch_size == 32
    assert config.steps * config.clips.batch_size == 20 * 600_000  # epochs of samples
    assert config.network.backbone == "resnet50"
    assert config.network.hidden_channels == 256
    assert config.network.adapter_kernel == 3
    assert config.network.box_head == "depthwise"
    assert config.clips.compositing.probability == 0
    assert not config.network.shape_prior
    assert (config.network.template_size, config.network.search_size) == (127, 255)
    anchors = config.network.anchors
    assert (anchors.ratios, anchors.scale, anchors.stride) == ((0.33, 0.5, 1, 2, 3), 8, 8)
    labels = config.objective.labels
    assert (labels.positive_iou, labels.negative_iou) == (0.6, 0.3)
    assert (labels.max_positives, labels.max_negatives, labels.hard_negative_ratio) == (16, 48, 0)
    assert labels.low_quality_ratio == 1
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (optimizer.start_lr, optimizer.lr, optimizer.end_lr) == (0.001, 0.005, 0.0025)
    assert (optimizer.max_grad_norm, config.objective.negative_probability) == (10, 0.2)
    assert config.objective.box_weight == 1
    augmentation = config.objective.augmentation
    assert (augmentation.template_shift, augmentation.template_scale) == (4, 0.05)
    assert (augmentation.search_shift, augmentation.search_scale) == (64, 0.18)
    assert (augmentation.blur, augmentation.gray) == (0.18, 0.25)
    assert max(stage.gap for stage in config.curriculum.stages) == 20
    assert {stage.turn for stage in config.curriculum.stages} == {0, 1, 2}


def test_how_small_differs_from_the_paper():
    ours, theirs = small(), cyclesiam()
    assert ours.network == NetworkConfig()
    assert ours.network.shape_prior
    assert (ours.network.box_head, ours.objective.box_weight) == ("pixelwise", 10)
    assert (ours.objective.labels.low_quality_ratio, ours.clips.compositing.probability) == (
        0.8,
        0.7,
    )
    assert ours.optimizer.name == "adamw"
    assert (
        ours.objective.labels.max_positives,
        ours.objective.labels.max_negatives,
        ours.objective.labels.hard_negative_ratio,
    ) == (32, 96, 0.5)
    assert (ours.objective.min_cycle_score, ours.curriculum.review_probability) == (0.5, 0.5)
    assert max(stage.gap for stage in ours.curriculum.stages) == 12
    assert ours.objective.selection == theirs.objective.selection


def test_objects_and_masks_continue_small():
    before, whole, masked = small(), objects(), masks()
    assert whole.network == before.network
    assert (whole.clips.compositing.object_probability, whole.clips.discovery.min_texture) == (
        0.8,
        10,
    )
    assert masked.network == dataclasses.replace(before.network, masks=True)
    assert (masked.trained_part, masked.objective.mask_weight) == ("masks", 30)
    assert (masked.clips.compositing.probability, masked.clips.object_probability) == (1, 0.5)


def test_cyclesiam_plus_is_the_papers_network_with_masks():
    plain, plus = cyclesiam(), cyclesiam_plus()
    assert dataclasses.replace(plus.network, masks=False, mask_channels=96) == plain.network
    assert plus.network.mask_channels == 256
    assert (plus.optimizer, plus.steps, plus.trained_part) == (plain.optimizer, plain.steps, "all")


def test_smoke_is_the_small_method_in_short():
    config = smoke()
    assert config.network == small().network
    assert config.steps * config.clips.batch_size < 2000
    assert config.curriculum.stages == (Stage(0, 0), Stage(1, 3))
