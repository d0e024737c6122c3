"""How a target looked at first, and how it looks now: what is searched for is between the two.

The first look is the only one that is certain, and never forgotten; the present one follows turns
and light, as far as the tracker is sure. A mean of both is searched for, in one pass.

Shapes: B targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cyclesiam.arrays import AnyArray, array_namespace, lerp, new_array
from cyclesiam.config_aliases import accepts_old_names, renamed_class
from cyclesiam.tracking.siamese import Network, TargetState, Template, embed_templates


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateMemoryConfig:
    """How far a target's present look is searched for."""

    recent_weight: float = 0.3
    """Share of the present look in what is searched for, 0..1; 0 for the first look alone."""
    learning_rate: float = 0.3
    """Share of a new look in the present one."""
    update_interval: int = 3
    """Frames from one new look to the next."""
    min_update_score: float = 0.2
    """A target whose score is lower shows no new look."""

    def __post_init__(self) -> None:
        for name in ("recent_weight", "learning_rate", "min_update_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.update_interval < 1:
            raise ValueError(f"update_interval must be 1 or more, got {self.update_interval}")


@dataclass(frozen=True, slots=True)
class TemplateMemory:
    """The looks of B targets, as `Network.embed` gives them."""

    initial: Template
    recent: Template


def init_templates(state: TargetState) -> TemplateMemory:
    """Remember how targets look as they are started."""
    return TemplateMemory(state.template, state.template)


def update_templates(
    network: Network,
    state: TargetState,
    memory: TemplateMemory,
    frames: AnyArray,
    config: TemplateMemoryConfig,
) -> tuple[TargetState, TemplateMemory]:
    """Let the present look follow a frame, of the targets that are sure of it.

    Args:
        network: embeds.
        state: targets settled in the frame.
        memory: of them.
        frames: (F, 3, H, W) uint8.
        config: how far.

    Returns:
        The targets, to be searched for by both looks, and their memory.
    """
    sure = state.scores >= config.min_update_score
    if not sure.any():
        return state, memory
    rates = config.learning_rate * new_array(state.scores, sure)
    seen = embed_templates(network, frames, state.boxes)
    present = _mix(memory.recent, seen, rates)
    template = _mix(
        memory.initial, present, array_namespace(rates).full_like(rates, config.recent_weight)
    )
    return replace(state, template=template), replace(memory, recent=present)


def _mix(ones: Sequence[AnyArray], others: Sequence[AnyArray], shares: AnyArray) -> Template:
    """Give the means of parts, batch first, with (B,) shares of the others."""
    return tuple(
        lerp(one, other, shares.reshape(-1, *[1] * (one.ndim - 1)))
        for one, other in zip(ones, others, strict=True)
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return renamed_class(globals(), name)
