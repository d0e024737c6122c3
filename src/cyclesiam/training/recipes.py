"""Recipes: whole runs by name."""

from collections.abc import Callable
from dataclasses import replace

from cyclesiam.data.augmentation import AugmentationConfig
from cyclesiam.data.clips import ClipConfig
from cyclesiam.data.discovery import STRICT_DISCOVERY
from cyclesiam.models.config import NetworkConfig
from cyclesiam.synthetic.compositing import CompositingConfig
from cyclesiam.training.anchor_labels import AnchorLabelConfig
from cyclesiam.training.curriculum import CurriculumConfig, Stage
from cyclesiam.training.objective import LessonConfig
from cyclesiam.training.optimizer import OptimiserConfig
from cyclesiam.training.trainer import TrainingConfig

FAST_OPTIMIZER = OptimiserConfig(
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
        optimiser=FAST_OPTIMIZER,
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
            labels=AnchorLabelConfig(nearest_share=0.8, objects=32, backgrounds=96, hard_share=0.5),
            augmentation=AugmentationConfig(
                search_scale=0.35, stretch=0.25, noise=8.0, occlusion=0.15
            ),
        ),
        optimiser=FAST_OPTIMIZER,
    )


def objects() -> TrainingConfig:
    """Go on from what `small` learnt, with whole objects cut out of stills: an hour on one core."""
    before = small()
    return replace(
        before,
        recipe="objects",
        steps=2500,
        curriculum=replace(before.curriculum, patience=50, longest=150),
        clips=replace(
            before.clips,
            discovery=replace(STRICT_DISCOVERY, least_texture=10.0),
            compositing=replace(before.clips.compositing, objects=0.8),
        ),
        optimiser=replace(FAST_OPTIMIZER, rate=1.2e-3),
    )


def masks() -> TrainingConfig:
    """Teach a mask branch beside a small network that stays as it is: an hour on one core.

    From made clips alone, whose masks are known: whole objects, pasted or where they are.
    """
    before = small()
    return replace(
        before,
        recipe="masks",
        steps=2600,
        learns="masks",
        averaging=0.99,
        network=NetworkConfig(masks=True),
        curriculum=CurriculumConfig(
            stages=(Stage(0, 0), Stage(1, 3)), patience=1, longest=1, review=0.2
        ),
        lesson=replace(
            before.lesson,
            negatives=0.0,
            augmentation=replace(before.lesson.augmentation, occlusion=0.0, grey=0.1),
        ),
        clips=replace(
            before.clips,
            compositing=replace(before.clips.compositing, share=1.0, objects=0.8),
            object_share=0.5,
        ),
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


def cyclesiam_plus() -> TrainingConfig:
    """The paper's network with masks, which made clips teach: no mask is given in any frame."""
    plain = cyclesiam()
    return replace(
        plain,
        recipe="cyclesiam_plus",
        clips=replace(
            plain.clips,
            compositing=CompositingConfig(share=0.5, objects=0.8),
            object_share=0.25,
        ),
        network=replace(plain.network, masks=True, mask_channels=256),
    )


RECIPES: dict[str, Callable[[], TrainingConfig]] = {
    recipe.__name__: recipe for recipe in (smoke, small, objects, masks, cyclesiam, cyclesiam_plus)
}
