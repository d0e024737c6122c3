"""Template and search crops are degraded apart; the answers stay as they are."""

import copy
from dataclasses import replace

import torch

from cyclesiam.data.augmentation import AugmentationConfig
from cyclesiam.data.degradation import DegradationConfig
from cyclesiam.training.objective import (
    CycleBatch,
    ObjectiveConfig,
    cycle_objective,
    sample_transform,
)
from support.training import make_clips, make_networks

BLURRY = DegradationConfig(defocus=1.0)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_template_and_search_crops_are_degraded_apart() -> None:
    network, _ = make_networks()
    config = AugmentationConfig(blur=0, gray=0, color=0, degradation=BLURRY)
    crops = torch.rand(6, 3, 40, 40, generator=generator()) * 255
    transform = sample_transform(network, 6, config, generator())
    template = transform.change_template_crops(crops)
    search = transform.change_search_crops(crops)
    sharpness = [part.std(dim=(1, 2, 3)) for part in (crops, template, search)]
    assert (sharpness[1] < 0.9 * sharpness[0]).all()
    assert (sharpness[2] < 0.9 * sharpness[0]).all()
    assert ((sharpness[1] - sharpness[2]).abs() > 0.5).sum() > 3


def test_a_degraded_batch_keeps_its_frames_boxes_and_labels() -> None:
    network, ema = make_networks()
    plain = AugmentationConfig(
        blur=0, color=0, search_shift=0, search_scale=0, template_shift=0, template_scale=0
    )
    sums = []
    for config in (plain, replace(plain, degradation=BLURRY)):
        frames, boxes = make_clips(1)
        boxes[:, 1] = boxes[:, 0] + 5
        batch = CycleBatch(frames.clone(), boxes.clone(), 1)
        objective = ObjectiveConfig(negative_probability=0.0, augmentation=config)
        sums.append(cycle_objective(copy.deepcopy(network), ema, batch, objective, generator()))
        assert torch.equal(batch.frames, frames)
        assert torch.equal(batch.boxes, boxes)
    assert sums[0].score.weight == sums[1].score.weight
    assert sums[0].box.weight == sums[1].box.weight
    assert (sums[0].box.sum - sums[1].box.sum).abs() > 1e-4
