"""A Siamese object tracker that is trained on unlabeled video.

from cyclesiam import Tracker, open_frames

tracker = Tracker()
with open_frames("street.mp4") as frames:
    tracker.init(next(frames).image, (120, 80, 64, 48))
    for frame in frames:
        print(tracker.update(frame.image))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cyclesiam import moved_modules

if TYPE_CHECKING:
    from cyclesiam.errors import (
        CycleSiamError,
        ImageError,
        MissingExtraError,
        SourceError,
        TargetError,
        WeightsError,
    )
    from cyclesiam.models.checkpoints import load_weights
    from cyclesiam.tracking.config import TrackerConfig
    from cyclesiam.tracking.results import TrackResult, read_results
    from cyclesiam.tracking.tracker import Tracker
    from cyclesiam.video import open_frames

__all__ = [
    "CycleSiamError",
    "ImageError",
    "MissingExtraError",
    "SourceError",
    "TargetError",
    "TrackResult",
    "Tracker",
    "TrackerConfig",
    "WeightsError",
    "__version__",
    "load_weights",
    "open_frames",
    "read_results",
]
__version__ = "0.2.0"

_MODULES = {  # imported at first use: some take seconds to import
    "Tracker": "cyclesiam.tracking.tracker",
    "TrackerConfig": "cyclesiam.tracking.config",
    "TrackResult": "cyclesiam.tracking.results",
    "load_weights": "cyclesiam.models.checkpoints",
    "open_frames": "cyclesiam.video",
    "read_results": "cyclesiam.tracking.results",
    **{name: "cyclesiam.errors" for name in __all__ if name.endswith("Error")},
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


moved_modules.install()
