"""Recipes: the settings of whole runs, by name."""

from collections.abc import Callable
from dataclasses import replace

from cyclesiam.data.augmentation import AugmentationConfig
from cyclesiam.data.clips import ClipConfig
from cyclesiam.data.degradation import DegradationConfig
from cyclesiam.data.discovery import STRICT_DISCOVERY
from cyclesiam.models.config import NetworkConfig
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.training.anchor_labels import AnchorLabelConfig
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.objective import ObjectiveConfig
from cyclesiam.training.optimizer import OptimizerConfig

FAST_OPTIMIZER = OptimizerConfig(
    name="adamw",
    start_lr=1e-4,
    lr=2e-3,
    end_lr=2e-5,
    schedule="cosine",
    warmup_ratio=0.03,
    weight_decay=0.02,
)


def smoke() -> TrainingConfig:
    """Return a trial of under a minute on two cores, which shows that training works."""
    return TrainingConfig(
        recipe="smoke",
        steps=120,
        precision="32-true",
        workers=0,
        ema_decay=0.95,
        log_interval=10,
        clips=ClipConfig(batch_size=8, height=192, width=256),
        curriculum=CurriculumConfig(stages=(Stage(0, 0), Stage(1, 3)), min_steps=80, max_steps=80),
        optimizer=FAST_OPTIMIZER,
    )


def small() -> TrainingConfig:
    """Return the recipe of the shipped weights: the small network, 1 to 2 hours on two cores."""
    return TrainingConfig(
        recipe="small",
        steps=4500,
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 12)),
            max_steps=600,
            review_probability=0.5,
        ),
        clips=ClipConfig(cache_gigabytes=9.0),
        objective=ObjectiveConfig(
            min_cycle_score=0.5,
            box_weight=10.0,
            labels=AnchorLabelConfig(
                low_quality_ratio=0.8, max_positives=32, max_negatives=96, hard_negative_ratio=0.5
            ),
            augmentation=AugmentationConfig(
                search_scale=0.35, search_aspect=0.25, noise=8.0, occlusion_probability=0.15
            ),
        ),
        optimizer=FAST_OPTIMIZER,
    )


def objects() -> TrainingConfig:
    """Return a recipe that continues `small` with cutouts of objects: an hour on one core."""
    plain = small()
    return replace(
        plain,
        recipe="objects",
        steps=2500,
        curriculum=replace(plain.curriculum, min_steps=50, max_steps=150),
        clips=replace(
            plain.clips,
            discovery=replace(STRICT_DISCOVERY, min_texture=10.0),
            compositing=replace(plain.clips.compositing, object_probability=0.8),
        ),
        optimizer=replace(FAST_OPTIMIZER, lr=1.2e-3),
    )


def pyramid() -> TrainingConfig:
    """Return the recipe of the long run: the pyramid from random weights, a day on one core.

    Boxes are compared by their overlap, and crops are degraded as cameras and compression do.
    """
    plain = objects()
    return replace(
        plain,
        recipe="pyramid",
        steps=96_000,
        ema_decay=0.9995,
        network=NetworkConfig(backbone="pyramid", search_size=207),
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(1, 20)),
            min_steps=100,
            max_steps=300,
            review_probability=0.1,
        ),
        clips=replace(
            plain.clips,
            samples_per_clip=2,
            batches_per_chunk=32,
            cache_gigabytes=2.0,
            compositing=replace(plain.clips.compositing, shear=0.15),
        ),
        objective=replace(
            plain.objective,
            box_loss="giou",
            box_weight=2.0,
            augmentation=replace(
                plain.objective.augmentation,
                degradation=DegradationConfig(
                    resolution=0.3,
                    compression=0.25,
                    defocus=0.08,
                    motion=0.08,
                    darkness=0.12,
                    flatness=0.12,
                    noise=0.12,
                    strength=0.6,
                ),
            ),
        ),
        optimizer=FAST_OPTIMIZER,
    )


def masks() -> TrainingConfig:
    """Return a recipe that trains the mask head on a small network, frozen: an hour on one core.

    It uses synthetic clips alone, whose masks are known: whole objects, pasted or in place.
    """
    plain = small()
    return replace(
        plain,
        recipe="masks",
        steps=2600,
        trained_part="masks",
        ema_decay=0.99,
        network=NetworkConfig(masks=True),
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3)), min_steps=1, max_steps=1, review_probability=0.2
        ),
        objective=replace(
            plain.objective,
            negative_probability=0.0,
            augmentation=replace(plain.objective.augmentation, occlusion_probability=0.0, gray=0.1),
        ),
        clips=replace(
            plain.clips,
            compositing=replace(plain.clips.compositing, probability=1.0, object_probability=0.8),
            object_probability=0.5,
        ),
    )


def cyclesiam() -> TrainingConfig:
    """Return the paper's settings and network, from random weights or those of a backbone."""
    return TrainingConfig(
        recipe="cyclesiam",
        steps=375_000,
        workers=8,
        clips=ClipConfig(compositing=CompositingConfig(probability=0.0)),
        network=NetworkConfig(
            backbone="resnet50",
            hidden_channels=256,
            adapter_kernel=3,
            box_head="depthwise",
            shape_prior=False,
        ),
        optimizer=OptimizerConfig(),
    )


def cyclesiam_plus() -> TrainingConfig:
    """Return the paper's network with masks, trained on synthetic clips: no mask is annotated."""
    plain = cyclesiam()
    return replace(
        plain,
        recipe="cyclesiam_plus",
        clips=replace(
            plain.clips,
            compositing=CompositingConfig(probability=0.5, object_probability=0.8),
            object_probability=0.25,
        ),
        network=replace(plain.network, masks=True, mask_channels=256),
    )


RECIPES: dict[str, Callable[[], TrainingConfig]] = {
    recipe.__name__: recipe
    for recipe in (smoke, small, objects, pyramid, masks, cyclesiam, cyclesiam_plus)
}
