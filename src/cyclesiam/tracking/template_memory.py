"""Initial and recent templates of each target; the tracker searches with their weighted mean.

The initial template is the only one that is known to show the target. It never changes. The recent
template is updated in confident frames, and follows changes of view and light.

Shapes: B targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cyclesiam.arrays import AnyArray, array_namespace, lerp, new_array
from cyclesiam.config_aliases import accepts_old_names, renamed_class
from cyclesiam.tracking.network import Network, Template
from cyclesiam.tracking.search import Localization, embed_templates


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateMemoryConfig:
    """How recent templates are updated, and how much they count."""

    recent_weight: float = 0.3
    """Weight of the recent template in the mean, 0..1. Larger values adapt more and drift sooner; 0
    uses the initial template alone."""
    learning_rate: float = 0.3
    """Weight of a new frame in the recent template, 0..1. Larger values adapt faster."""
    update_interval: int = 3
    """Frames from one update to the next. Larger values are faster and adapt more slowly."""
    min_update_score: float = 0.2
    """No update where a target's score is lower. Larger values update less often."""

    def __post_init__(self) -> None:
        for name in ("recent_weight", "learning_rate", "min_update_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.update_interval < 1:
            raise ValueError(f"update_interval must be 1 or more, got {self.update_interval}")


@dataclass(frozen=True, slots=True)
class TemplateMemory:
    """The templates of B targets, outputs of `Network.embed`.

    Args:
        initial: from the frame of the first box.
        recent: a running mean over the frames since.
        current: the mean of both, with which the tracker searches.
    """

    initial: Template
    recent: Template
    current: Template


def init_templates(template: Template) -> TemplateMemory:
    """Return the memory of targets in their first frame."""
    return TemplateMemory(template, template, template)


def update_templates(
    network: Network,
    memory: TemplateMemory,
    targets: Localization,
    frames: AnyArray,
    config: TemplateMemoryConfig,
) -> TemplateMemory:
    """Return the memory with a frame blended into the recent templates of confident targets.

    Args:
        network: embeds the new templates.
        memory: the templates so far.
        targets: where the targets are in the frame.
        frames: (F, 3, H, W) uint8, F = 1 or one frame for each target.
        config: weights and thresholds.
    """
    confident = targets.scores >= config.min_update_score
    if not confident.any():
        return memory
    rates = config.learning_rate * new_array(targets.scores, confident)
    recent = _mix(memory.recent, embed_templates(network, frames, targets.boxes), rates)
    weights = array_namespace(rates).full_like(rates, config.recent_weight)
    return replace(memory, recent=recent, current=_mix(memory.initial, recent, weights))


def _mix(start: Sequence[AnyArray], end: Sequence[AnyArray], weights: AnyArray) -> Template:
    """Return weighted means of batch-first arrays, with (B,) weights of `end`."""
    return tuple(
        lerp(first, second, weights.reshape(-1, *[1] * (first.ndim - 1)))
        for first, second in zip(start, end, strict=True)
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
