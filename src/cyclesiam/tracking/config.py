"""All settings of a tracker, in one place; and in a file beside the weights that they are for."""

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
from cyclesiam.tracking.redetection import RedetectionConfig
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.template_memory import TemplateMemoryConfig


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerConfig:
    """How a tracker reads its network."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Penalty, window and smoothing."""
    online_filter: OnlineFilterConfig = field(default_factory=OnlineFilterConfig)
    """What each target learns for itself on the way."""
    color_model: ColorModelConfig = field(default_factory=ColorModelConfig)
    """What the colours of each target say."""
    template_memory: TemplateMemoryConfig = field(default_factory=TemplateMemoryConfig)
    """How far each target's present look counts."""
    mask: MaskConfig = field(default_factory=MaskConfig)
    """How masks are read."""
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)
    """What is believed, and when a target is lost."""
    redetection: RedetectionConfig = field(default_factory=RedetectionConfig)
    """How lost targets are looked for."""
    median_flow: MedianFlowConfig = field(default_factory=MedianFlowConfig)
    """How the boxes of doubted targets are carried."""
    max_target_overlap: float = 0.6
    """Overlap of two targets' boxes above which they chose one thing, and one chooses again."""

    def __post_init__(self) -> None:
        if not 0 < self.max_target_overlap <= 1:
            raise ValueError(f"max_target_overlap must lie in 0..1, got {self.max_target_overlap}")


CONFIG_FILE = "tracker.json"
Settings = TypeVar("Settings")


def dump_config(config: TrackerConfig) -> str:
    """Give what `SETTINGS_FILE` holds: JSON, an object for each part."""
    return json.dumps(asdict(config), indent=2) + "\n"


def load_config(folder: Path) -> TrackerConfig:
    """Read the settings that lie beside weights; what is not said there is as usual.

    Raises:
        WeightsError: the file cannot be read, or says what no setting is.
    """
    file = folder / CONFIG_FILE
    if not file.exists():
        return TrackerConfig()
    try:
        return _changed(TrackerConfig(), json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise WeightsError(
            f"cannot take a tracker's settings from {file}: {error}; mend it, or remove it to have "
            "the usual ones"
        ) from error


def _changed(usual: Settings, content: Any) -> Settings:
    """Give a dataclass with some of its fields, and theirs, as JSON says.

    Raises:
        ValueError: a value cannot be, or is of no field.
        TypeError: a value is of another kind.
    """
    assert is_dataclass(usual)
    assert not isinstance(usual, type)
    if not isinstance(content, dict):
        raise TypeError(f"{type(usual).__name__} should be an object, not {content!r}")
    content = rename_fields(type(usual), content)
    known = {part.name for part in fields(usual)}
    if strange := sorted(content.keys() - known):
        raise ValueError(f"there is no {strange[0]!r} in {type(usual).__name__}")
    values = {}
    for name, value in content.items():
        before = getattr(usual, name)
        if is_dataclass(before):
            values[name] = _changed(before, value)
        elif type(value) is type(before) or (isinstance(before, float) and type(value) is int):
            values[name] = value
        else:
            raise TypeError(f"{name} should be like {before!r}, not {value!r}")
    return replace(usual, **values)
