"""The config of a tracker, and the JSON file beside weights that holds it."""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from cyclesiam.config_aliases import accepts_old_names, rename_fields
from cyclesiam.errors import WeightsError
from cyclesiam.geometry.proposals import SelectionConfig
from cyclesiam.tracking.color_model import ColorModelConfig
from cyclesiam.tracking.confidence import ConfidenceConfig
from cyclesiam.tracking.median_flow import MedianFlowConfig
from cyclesiam.tracking.online_filter import OnlineFilterConfig
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.template_memory import TemplateMemoryConfig


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class RedetectionConfig:
    """How lost targets are searched for in the whole frame."""

    windows_per_frame: int = 2
    """Windows of a frame that are searched for each lost target: more find it sooner and take
    longer; 0 for none."""
    targets_per_frame: int = 2
    """Lost targets that are searched for in a frame; the others are next in the frames after."""
    min_confidence: float = 0.71
    """Confidence from which on a target counts as found; higher makes fewer errors and finds
    fewer."""

    def __post_init__(self) -> None:
        counts = self.windows_per_frame, self.targets_per_frame
        if min(counts) < 0 or not 0 <= self.min_confidence <= 1:
            raise ValueError(
                "windows_per_frame and targets_per_frame must be 0 or more, and min_confidence "
                f"must lie in 0..1; got {self}"
            )


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerConfig:
    """All settings of a tracker, grouped by the part that they configure."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """How one proposal of each target is selected: penalty, window, smoothing."""
    online_filter: OnlineFilterConfig = field(default_factory=OnlineFilterConfig)
    """The correlation filter that each target optimizes while it is tracked."""
    color_model: ColorModelConfig = field(default_factory=ColorModelConfig)
    """The color histograms of each target and its surroundings."""
    template_memory: TemplateMemoryConfig = field(default_factory=TemplateMemoryConfig)
    """How each target's recent template is blended with its initial one."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    """How masks are predicted and how they change boxes."""
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    """How confidence is computed, and when a target is uncertain or lost."""
    redetection: RedetectionConfig = field(default_factory=RedetectionConfig)
    """Where and how often lost targets are searched."""
    median_flow: MedianFlowConfig = field(default_factory=MedianFlowConfig)
    """How boxes of uncertain targets are propagated by the motion of points."""
    max_target_overlap: float = 0.6
    """IoU of two targets' boxes above which one of them selects another proposal, in 0..1. Larger
    values let targets come closer to each other."""

    def __post_init__(self) -> None:
        if not 0 < self.max_target_overlap <= 1:
            raise ValueError(f"max_target_overlap must lie in 0..1, got {self.max_target_overlap}")

    def without_masks(self) -> "TrackerConfig":
        """Return the same config for a tracker that predicts no masks."""
        return replace(self, mask=replace(self.mask, enabled=False))


CONFIG_FILE = "tracker.json"
Config = TypeVar("Config")


def dump_config(config: TrackerConfig) -> str:
    """Return the content of `CONFIG_FILE` for a config: JSON, one object for each part."""
    return json.dumps(asdict(config), indent=2) + "\n"


def load_config(folder: Path) -> TrackerConfig:
    """Return the config in a folder of weights. Fields that its file lacks keep their defaults.

    Args:
        folder: may hold `CONFIG_FILE`.

    Raises:
        WeightsError: the file cannot be read, or has a wrong field or value.
    """
    file = folder / CONFIG_FILE
    if not file.exists():
        return TrackerConfig()
    try:
        return _updated(TrackerConfig(), json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise WeightsError(
            f"cannot read the tracker's config from {file}: {error}; correct the file, or remove "
            "it to use the defaults"
        ) from error


def _updated(config: Config, content: Any) -> Config:
    """Return a config with the fields that JSON names, in nested configs too.

    Raises:
        ValueError: there is no such field, or a value is out of range.
        TypeError: a value has the wrong type.
    """
    assert is_dataclass(config)
    assert not isinstance(config, type)
    if not isinstance(content, dict):
        raise TypeError(f"{type(config).__name__} should be an object, not {content!r}")
    content = rename_fields(type(config), content)
    known = {part.name for part in fields(config)}
    if unknown := sorted(content.keys() - known):
        raise ValueError(f"there is no {unknown[0]!r} in {type(config).__name__}")
    values = {}
    for name, value in content.items():
        before = getattr(config, name)
        if is_dataclass(before):
            values[name] = _updated(before, value)
        elif type(value) is type(before) or (isinstance(before, float) and type(value) is int):
            values[name] = value
        else:
            raise TypeError(f"{name} should be like {before!r}, not {value!r}")
    return replace(config, **values)
