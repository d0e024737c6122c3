"""Old names of settings: files and scripts of version 0.1 still work, and hear the new names.

The table holds what was renamed. A config class takes old names in its constructor, because
`accepts_old_names` wraps it; whoever compares dictionaries of settings calls `rename_fields`.
"""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints
from warnings import warn

Config = TypeVar("Config")

# A paragraph a class: its name, then the old and the new name of each field that was renamed.
_RENAMED = """
AnchorLabelConfig: object_above positive_iou, background_below negative_iou, nearest_share
    low_quality_ratio, objects max_positives, backgrounds max_negatives, hard_share
    hard_negative_ratio
AugmentationConfig: stretch search_aspect, grey gray, light color, occlusion occlusion_probability
ClipConfig: reads batches_per_chunk, stills_share still_probability, length_power length_exponent,
    memory_gigabytes cache_gigabytes, object_share object_probability
ColorModelConfig: share weight, contrast full_weight_contrast, reach ring_scale, rate
    learning_rate, least_score min_update_score
CompositingConfig: share probability, smallest min_size, largest max_size, bend deformation, light
    color, companions max_distractors, lookalike lookalike_probability, objects object_probability
ConfidenceConfig: of_score score_weight, of_colours color_weight, usual_colours default_color,
    lost_below lost_threshold, sure_from confident_threshold, patience frames_until_lost, fresh
    recovered_frames, caution recovered_penalty, with_mask mask_bias, of_belief mask_logit_weight,
    of_agreement mask_iou_weight, without_mask implausible_mask_bias
Curriculum: since steps_at_level
CurriculumConfig: success success_threshold, patience min_steps, longest max_steps, review
    review_probability
DiscoveryConfig: candidates num_candidates, smallest min_size, largest max_size, sharpness
    contrast_sharpness, motion_preference motion_probability, both_sides bidirectional, bridging
    merge_gap, least_share min_motion_ratio, least_texture min_texture
MaskConfig: wanted enabled, own_colours color_refinement, edge_reach edge_radius, edge_noise
    edge_sigma, least_share min_area_ratio, most_share max_area_ratio, least_inside
    min_inside_ratio, box_share box_weight, size_slack size_tolerance, size_pull size_correction,
    size_rate size_momentum
MedianFlowConfig: grid points_per_side, window patch_size, most_error max_round_trip_error,
    least_share min_inlier_ratio
ObjectiveConfig: negatives negative_probability, trust min_cycle_score, mask_anchors
    max_mask_positions, choice selection
OnlineFilterConfig: share weight, size kernel_size, width label_sigma, ridge regularization,
    first_steps init_steps, steps update_steps, every update_interval, memory max_samples, rate
    learning_rate, first_share init_weight, least_score min_update_score
OptimizerConfig: method name, first_rate start_lr, rate lr, last_rate end_lr, decay schedule,
    warmup warmup_ratio, clip max_grad_norm
RedetectionConfig: places windows_per_frame, targets targets_per_frame, sure_from min_confidence
TemplateMemoryConfig: share recent_weight, rate learning_rate, every update_interval, least_score
    min_update_score
TrackerConfig: choice selection, online online_filter, colour color_model, memory template_memory,
    recovery redetection, points median_flow, most_shared max_target_overlap
TrainingConfig: averaging ema_decay, learns trained_part, accumulate accumulation_steps,
    save_every save_interval, log_every log_interval, lesson objective, optimiser optimizer
"""


def _read_rows(text: str) -> dict[str, dict[str, str]]:
    rows = text.replace("\n    ", " ").strip().splitlines()
    table: dict[str, dict[str, str]] = {}
    for class_name, _, pairs in (row.partition(":") for row in rows):
        for pair in pairs.split(","):
            old, new = pair.split()
            table.setdefault(class_name, {})[old] = new
    return table


RENAMED_FIELDS = _read_rows(_RENAMED)
"""Class: old name of a field, its name today."""

# Class: a field that left, and the only value of it that still may be given.
REMOVED_FIELDS: dict[str, dict[str, Any]] = {
    "ClipConfig": {
        "cutouts": {  # as files of version 0.1 hold it
            "side": 96,
            "border": 0.1,
            "smallest": 0.04,
            "largest": 0.5,
            "solid": 0.35,
            "alone": 0.6,
            "edges": 1,
        }
    },
    "ColorModelConfig": {"core": 0.8, "margin": 1.1, "floor": 1e-4},
    "DiscoveryConfig": {"inside": False},
    "ExampleConfig": {"zooms": 10, "pasted": 16, "cycles": 16, "cycle_frames": 45, "reach": 45},
    "MedianFlowConfig": {"inner": 0.8, "levels": 3},
    "ObjectiveConfig": {
        "template_from": "last",
        "fold_norms": False,
        "share_features": False,
        "reuse_features": False,
    },
}

# Old name of a class or function, its name today; both in the module that holds it today.
RENAMED_CLASSES: dict[str, str] = {
    "mean_network": "average_networks",
    "ChoiceConfig": "SelectionConfig",
    "ColourConfig": "ColorModelConfig",
    "FilterConfig": "OnlineFilterConfig",
    "LabelConfig": "AnchorLabelConfig",
    "LessonConfig": "ObjectiveConfig",
    "MemoryConfig": "TemplateMemoryConfig",
    "OptimiserConfig": "OptimizerConfig",
    "PointsConfig": "MedianFlowConfig",
    "RecoveryConfig": "RedetectionConfig",
}


def accepts_old_names(config_class: type[Config]) -> type[Config]:
    """Wrap the constructor of a config class, so that it takes the names its fields had before.

    A removed field may be given at the value that was its default; any other raises a
    `ValueError`. Each old name gives a `DeprecationWarning` that names the new one.
    """
    construct = config_class.__init__

    @wraps(construct)
    def construct_from_any(self: Config, *values: Any, **named: Any) -> None:
        construct(self, *values, **_rename(config_class.__name__, named, _warn))

    config_class.__init__ = construct_from_any
    return config_class


def rename_fields(config_class: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as read from a file, under today's names, in parts of parts too.

    Args:
        config_class: the dataclass whose fields `values` holds.
        values: from names, old or new, to values; of a field that is a dataclass, a mapping.

    Raises:
        ValueError: a removed field has a value that is no longer possible.
    """
    types = get_type_hints(config_class)
    renamed = _rename(config_class.__name__, values, lambda *_: None)
    for name, value in renamed.items():
        part = types.get(name)
        if isinstance(part, type) and is_dataclass(part) and isinstance(value, Mapping):
            renamed[name] = rename_fields(part, value)
    return renamed


def renamed_class(module: Mapping[str, Any], name: str) -> Any:
    """Return a class of a module by its old name, for the module's `__getattr__`.

    Raises:
        AttributeError: the module never had such a name.
    """
    today = RENAMED_CLASSES.get(name)
    if today is None or today not in module:
        raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
    _warn(name, today, 3)
    return module[today]


def _rename(
    class_name: str, values: Mapping[str, Any], notify: Callable[[str, str, int], None]
) -> dict[str, Any]:
    """Return values under today's names; where both names are given, the old one's counts.

    `dataclasses.replace(config, old_name=...)` gives both: it adds all fields of today.
    """
    old_names = RENAMED_FIELDS.get(class_name, {})
    removed = REMOVED_FIELDS.get(class_name, {})
    for name in values.keys() & removed.keys():
        if values[name] != removed[name]:
            raise ValueError(
                f"{class_name} has no {name!r} any more: it left, see CHANGELOG.md; "
                f"leave it out, got {values[name]!r}"
            )
    renamed = {
        name: value
        for name, value in values.items()
        if name not in old_names and name not in removed
    }
    for name in values.keys() & old_names.keys():
        notify(f"{class_name}.{name}", f"{class_name}.{old_names[name]}", 4)
        renamed[old_names[name]] = values[name]
    return renamed


def _warn(old: str, new: str, level: int) -> None:
    warn(f"{old} is now {new}", DeprecationWarning, stacklevel=level)
