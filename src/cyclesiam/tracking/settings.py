"""All settings of a tracker, in one place."""

from dataclasses import dataclass, field

from cyclesiam.geometry.proposals import ChoiceConfig
from cyclesiam.tracking.colour_model import ColourConfig
from cyclesiam.tracking.confidence import ConfidenceConfig
from cyclesiam.tracking.online_filter import FilterConfig
from cyclesiam.tracking.recovery import RecoveryConfig
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.template_memory import MemoryConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerConfig:
    """How a tracker reads its network."""

    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    """Penalty, window and smoothing."""
    online: FilterConfig = field(default_factory=FilterConfig)
    """What each target learns for itself on the way."""
    colour: ColourConfig = field(default_factory=ColourConfig)
    """What the colours of each target say."""
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    """How far each target's present look counts."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    """How masks are read."""
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    """What is believed, and when a target is lost."""
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    """How lost targets are looked for."""
    most_shared: float = 0.6
    """Overlap of two targets' boxes above which they chose one thing, and one chooses again."""

    def __post_init__(self) -> None:
        if not 0 < self.most_shared <= 1:
            raise ValueError(f"most_shared must lie in 0..1, got {self.most_shared}")
