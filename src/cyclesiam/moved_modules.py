"""Old import paths: those that version 0.1 documented still work for one version, and warn.

Every import of the package imports this module first, so it imports little itself.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from warnings import warn

# Old module: the modules that hold its names today.
MOVED_MODULES: dict[str, tuple[str, ...]] = {
    "cyclesiam.data.benchmark_readers": ("cyclesiam.datasets.registry",),
    "cyclesiam.data.imagenet_video": ("cyclesiam.datasets.imagenet_vid",),
    "cyclesiam.data.otb": ("cyclesiam.datasets.otb",),
    "cyclesiam.data.segmentation_datasets": (
        "cyclesiam.datasets.davis",
        "cyclesiam.datasets.youtube_vos",
    ),
    "cyclesiam.data.tracking_datasets": (
        "cyclesiam.datasets.uav123",
        "cyclesiam.datasets.lasot",
        "cyclesiam.datasets.got10k",
        "cyclesiam.datasets.trackingnet",
    ),
    "cyclesiam.data.vot": ("cyclesiam.datasets.vot",),
    "cyclesiam.tracking.ahead": ("cyclesiam.tracking.pipelined",),
    "cyclesiam.tracking.colour_model": ("cyclesiam.tracking.color_model",),
    "cyclesiam.tracking.points": ("cyclesiam.tracking.median_flow",),
    "cyclesiam.tracking.recovery": ("cyclesiam.tracking.config",),
    "cyclesiam.tracking.settings": ("cyclesiam.tracking.config",),
    "cyclesiam.training.labels": ("cyclesiam.training.anchor_labels",),
    "cyclesiam.training.lessons": ("cyclesiam.training.objective",),
    "cyclesiam.training.optimisation": ("cyclesiam.training.optimizer",),
}

# Old name in one of these modules, its name today; beside the config classes that were renamed.
RENAMED_NAMES = {
    "Ahead": "PipelinedTracker",
    "BOX_READERS": "TRACKING_DATASETS",
    "ImageNetVideo": "ImageNetVID",
    "SEGMENTATION_READERS": "SEGMENTATION_DATASETS",
}


class MovedModuleFinder:  # no subclass of importlib.abc, which takes long to import
    """Find old modules where nothing else does; each stands for the modules of today."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for an old module, None for any other."""
        if fullname not in MOVED_MODULES:
            return None
        return ModuleSpec(fullname, self)  # pyright: ignore[reportArgumentType]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Resolve the module's names in the modules of today."""
        from cyclesiam.config_aliases import RENAMED_CLASSES

        today = RENAMED_CLASSES | RENAMED_NAMES
        places = MOVED_MODULES[module.__name__]
        warn(f"{module.__name__} is now {' and '.join(places)}", DeprecationWarning, stacklevel=2)

        def find_name(name: str) -> Any:
            for place in places:
                holder = import_module(place)
                if hasattr(holder, today.get(name, name)):
                    return getattr(holder, today.get(name, name))
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module)["__getattr__"] = find_name


def install() -> None:
    """Make Python look for old modules here, after it has found them nowhere else."""
    if not any(isinstance(finder, MovedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedModuleFinder())
