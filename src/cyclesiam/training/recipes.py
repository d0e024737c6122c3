"""Recipes: whole runs by name."""

from collections.abc import Callable

from cyclesiam.data.augmentation import AugmentationConfig
from cyclesiam.data.clips import ClipConfig
from cyclesiam.data.compositing import CompositingConfig
from cyclesiam.models.siamrpn import NetworkConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.labels import LabelConfig
from cyclesiam.training.lessons import LessonConfig
from cyclesiam.training.optimisation import OptimiserConfig
from cyclesiam.training.trainer import TrainingConfig

FAST = OptimiserConfig(
    method="adamw",
    first_rate=1e-4,
    rate=2e-3,
    last_rate=2e-5,
    decay="cosine",
    warmup=0.03,
    weight_decay=0.02,
)


def smoke() -> TrainingConfig:
    """Under a minute on two cores: shows that everything works, and that something is learnt."""
    return TrainingConfig(
        recipe="smoke",
        steps=120,
        precision="32-true",
        workers=0,
        averaging=0.95,
        log_every=10,
        clips=ClipConfig(batch_size=8, height=192, width=256),
        curriculum=CurriculumConfig(stages=(Stage(0, 0), Stage(1, 3)), patience=80, longest=80),
        optimiser=FAST,
    )


def small() -> TrainingConfig:
    """The shipped weights: the small network, one to two hours on two cores."""
    return TrainingConfig(
        recipe="small",
        steps=4500,
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3), Stage(1, 8), Stage(2, 8), Stage(1, 12)),
            longest=600,
            review=0.5,
        ),
        clips=ClipConfig(memory_gigabytes=9.0),
        lesson=LessonConfig(
            trust=0.5,
            box_weight=10.0,
            labels=LabelConfig(nearest_share=0.8, objects=32, backgrounds=96, hard_share=0.5),
            augmentation=AugmentationConfig(
                search_scale=0.35, stretch=0.25, noise=8.0, occlusion=0.15
            ),
        ),
        optimiser=FAST,
    )


def cyclesiam() -> TrainingConfig:
    """The paper's constants and network, from random weights unless a backbone's are given."""
    return TrainingConfig(
        recipe="cyclesiam",
        steps=375_000,
        workers=8,
        clips=ClipConfig(compositing=CompositingConfig(share=0.0)),
        network=NetworkConfig(
            backbone="resnet50",
            hidden_channels=256,
            adapter_kernel=3,
            box_head="depthwise",
            shape_prior=False,
        ),
        optimiser=OptimiserConfig(),
    )


RECIPES: dict[str, Callable[[], TrainingConfig]] = {
    recipe.__name__: recipe for recipe in (smoke, small, cyclesiam)
}
