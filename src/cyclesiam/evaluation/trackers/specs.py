"""Trackers to evaluate: OpenCV's by name, and anyone's by `MODULE:FACTORY`.

A tracker of your own is a class with two methods, in a module that Python finds:

    # my_tracker.py
    class StandStill:
        def init(self, image, box_xywh):
            self.box = box_xywh

        def update(self, image):
            return self.box

`python_tracker("my_tracker:StandStill")` makes it usable, as does the option
`--tracker my_tracker:StandStill`.
"""

import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.trackers.interface import BoxTracker, MaskTracker
from cyclesiam.evaluation.trackers.opencv import (
    OPENCV_NETWORKS,
    OPENCV_TRACKERS,
    OpenCVTracker,
)

TRACKER_NAME = re.compile(r"(?:(?P<name>[\w.+-]+)=)?(?P<module>[\w.]+):(?P<factory>[\w.]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerSpec:
    """How to make a tracker, and the facts that reports print about it.

    Args:
        name: of the tracker, and of its folder of raw results.
        make: makes a new tracker, without arguments; must be picklable for several workers.
        identity: text that changes when results may change: with weights, config or code.
        weights: name of its weights; None of a tracker without.
        policy: label policy of its training; None where it is not known.
        initial_weights: the weights that its training began with; None where not known.
    """

    name: str
    make: Callable[[], BoxTracker | MaskTracker]
    identity: str
    weights: str | None = None
    policy: str | None = None
    initial_weights: str | None = None


@dataclass(frozen=True, slots=True)
class PythonFactory:
    """Make a tracker by a class or function of a module, in any process.

    Args:
        module: to import.
        factory: name of the class or function in it.
    """

    module: str
    factory: str

    def __call__(self) -> Any:
        """Make a tracker.

        Raises:
            CycleSiamError: the tracker has no `init` or no `update`.
        """
        tracker = self.find()()
        lacking = [
            name for name in ("init", "update") if not callable(getattr(tracker, name, None))
        ]
        if lacking:
            raise CycleSiamError(
                f"{self.module}:{self.factory} makes a {type(tracker).__name__} without "
                f"{' and '.join(lacking)}; a tracker has init(image, box) and update(image)"
            )
        return tracker

    def find(self) -> Callable[[], Any]:
        """Import the module and return the class or function.

        Raises:
            CycleSiamError: the module or the name in it is missing.
        """
        here = os.getcwd()
        if here not in sys.path:  # an installed command lacks the current folder
            sys.path.insert(0, here)
        try:
            found: Any = importlib.import_module(self.module)
            for step in self.factory.split("."):
                found = getattr(found, step)
        except ImportError as error:
            raise CycleSiamError(
                f"the tracker {self.module}:{self.factory} cannot be imported ({error}); run this "
                "from its folder, or install it"
            ) from error
        except AttributeError as error:
            raise CycleSiamError(
                f"the module {self.module} has no {self.factory}; name the class or function that "
                "makes your tracker"
            ) from error
        return found


def python_tracker(text: str) -> TrackerSpec:
    """Return a tracker by `MODULE:FACTORY`, or `NAME=MODULE:FACTORY` to choose its name.

    Raises:
        CycleSiamError: the text has another form, or the factory is missing.
    """
    parts = TRACKER_NAME.fullmatch(text)
    if parts is None:
        raise CycleSiamError(
            f"there is no tracker {text!r}; give a name, or MODULE:FACTORY of a Python tracker"
        )
    make = PythonFactory(parts["module"], parts["factory"])
    return TrackerSpec(
        name=parts["name"] or parts["factory"], make=make, identity=_identity(make.find())
    )


def opencv_tracker(name: str, model_files: Sequence[Path] = ()) -> TrackerSpec:
    """Return one of OpenCV's trackers.

    Args:
        name: in `OPENCV_TRACKERS`, which need no training, or in `OPENCV_NETWORKS`.
        model_files: of the network, in the order of `OPENCV_NETWORKS`.

    Raises:
        CycleSiamError: a file of the network is missing.
    """
    version = f"OpenCV {cv2.__version__}"
    if name in OPENCV_TRACKERS:
        return TrackerSpec(name=name, make=OPENCV_TRACKERS[name], identity=version, policy="none")
    algorithm, parameters = OPENCV_NETWORKS[name]
    if len(model_files) != len(parameters):
        raise CycleSiamError(
            f"the tracker {name} needs {len(parameters)} --model-files ({', '.join(parameters)}), "
            f"got {len(model_files)}; download them from OpenCV's model zoo"
        )
    missing = [path for path in model_files if not path.is_file()]
    if missing:
        raise CycleSiamError(f"{missing[0]}: this model file of {name} is missing; check the path")
    digests = [file_digest(path) for path in model_files]
    models = dict(zip(parameters, map(str, model_files), strict=True))
    return TrackerSpec(
        name=name,
        make=partial(OpenCVTracker, algorithm, models),
        identity=" ".join([version, *digests]),
        weights=", ".join(path.name for path in model_files),
        policy="supervised",
    )


def file_digest(path: Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _identity(factory: Any) -> str:
    """Return a digest of the file that defines a factory."""
    try:
        file = inspect.getsourcefile(factory)
        return "unknown code" if file is None else f"code {file_digest(Path(file))}"
    except (OSError, TypeError):
        return "unknown code"
