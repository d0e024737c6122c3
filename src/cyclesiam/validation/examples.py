"""Examples to score trackers by without labels.

There are two kinds. `objects` show an object of a still that moves over a real video, among
look-alikes and an occluder, and slowly changes its look. `degraded` are others of these in low
resolution, dark, blurred, noisy, gray or compressed. The box is known in every frame by
construction.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.scenes import Scene
from cyclesiam.errors import TrainingError
from cyclesiam.validation.degraded_clips import degrade_clip
from cyclesiam.validation.object_clips import draw_object_clips
from cyclesiam.validation.progress import ShowProgress, show_nothing

ExampleKind = Literal["objects", "degraded"]
KINDS: tuple[ExampleKind, ...] = ("objects", "degraded")


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleConfig:
    """How many examples there are of each kind, and how long they are."""

    objects: int = 48
    """Number of objects that move over videos; more tell smaller differences and take longer."""
    degraded: int = 48
    """Number of others whose clip is degraded."""
    frames: int = 32
    """Frames of an example; more make it harder."""
    seed: int = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        if min(self.objects, self.degraded) < 0 or self.frames < 2:
            raise ValueError(f"counts must be 0 or more, frames 2 or more, got {self}")


@dataclass(frozen=True, slots=True)
class Example:
    """Frames to track in, and where the target is.

    Args:
        kind: how it was made.
        frames: T images of one size.
        boxes: (T, 4) of the target, NaN where unknown.
    """

    kind: ExampleKind
    frames: list[np.ndarray]
    boxes: np.ndarray


def make_examples(
    scenes: Sequence[Scene], config: ExampleConfig, *, show: ShowProgress = show_nothing
) -> list[Example]:
    """Draw examples from scenes; the same scenes and config give the same ones.

    Objects come from stills or, without any, from frames of videos. They move over videos or,
    without any, over stills. A scene that cannot be read is left out.

    Raises:
        TrainingError: no example of any kind can be made.
    """
    examples: list[Example] = []
    for number, kind in enumerate(KINDS):
        # Each kind has its own generator: more of one leave the others as they are.
        rng = np.random.default_rng((config.seed, number))
        drawn = _draw_examples(scenes, kind, config, rng)
        examples += show(drawn, f"drawing {kind} examples", getattr(config, kind))
    if not examples:
        raise TrainingError(
            f"nothing to score by: none of {len(scenes)} held-out scenes can be read and shows "
            "anything to track; give more videos or images"
        )
    return examples


def _draw_examples(
    scenes: Sequence[Scene], kind: ExampleKind, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    for frames, boxes in draw_object_clips(scenes, getattr(config, kind), config.frames, rng):
        if kind == "degraded":
            frames, boxes = degrade_clip(frames, boxes, rng)
        yield Example(kind, frames, boxes)
