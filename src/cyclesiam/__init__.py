"""A Siamese object tracker that is trained on unlabeled video.

from cyclesiam import Tracker, load_weights, open_frames

network, record = load_weights("default")
tracker = Tracker(network)
with open_frames("street.mp4") as frames:
    tracker.init(next(frames).image, (120, 80, 64, 48))
    for frame in frames:
        print(tracker.update(frame.image))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cyclesiam import moved_modules

if TYPE_CHECKING:
    from cyclesiam.models.checkpoints import load_weights
    from cyclesiam.tracking.tracker import Tracker
    from cyclesiam.video import open_frames

__all__ = ["Tracker", "__version__", "load_weights", "open_frames"]
__version__ = "0.2.0"

_MODULES = {  # imported at first use: torch takes seconds to import
    "Tracker": "cyclesiam.tracking.tracker",
    "load_weights": "cyclesiam.models.checkpoints",
    "open_frames": "cyclesiam.video",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


moved_modules.install()
