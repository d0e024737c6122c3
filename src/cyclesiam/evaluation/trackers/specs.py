"""Where trackers come from: OpenCV's by name, and anyone's by `MODULE:FACTORY`.

A tracker of your own is a class with two verbs, in a file that Python finds:

    # my_tracker.py
    class StandStill:
        def init(self, image, box_xywh):
            self.box = box_xywh

        def update(self, image):
            return self.box

`python_source("my_tracker:StandStill")` makes it usable, as does `--tracker my_tracker:StandStill`.
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

SOURCE_NAME = re.compile(r"(?:(?P<name>[\w.+-]+)=)?(?P<module>[\w.]+):(?P<factory>[\w.]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerSpec:
    """How to make a tracker, and what is to be said of it.

    Args:
        name: of the tracker; also of its folder of raw results.
        make: makes a new one, with no arguments; several workers need one that can be pickled.
        identity: changes when its answers might: of weights, settings, or code.
        weights: which weights it uses, if any.
        policy: which labels its training was allowed; None where that is not known.
        initial_weights: what its training began with, likewise.
    """

    name: str
    make: Callable[[], BoxTracker | MaskTracker]
    identity: str
    weights: str | None = None
    policy: str | None = None
    initial_weights: str | None = None


@dataclass(frozen=True, slots=True)
class PythonFactory:
    """Makes a tracker by a class or function of a module, in whichever process it is called."""

    module: str
    factory: str

    def __call__(self) -> Any:
        """Make a tracker.

        Raises:
            CycleSiamError: it has no `init` and `update`.
        """
        tracker = self.find()()
        lacking = [
            verb for verb in ("init", "update") if not callable(getattr(tracker, verb, None))
        ]
        if lacking:
            raise CycleSiamError(
                f"{self.module}:{self.factory} makes a {type(tracker).__name__} without "
                f"{' and '.join(lacking)}; a tracker has init(image, box) and update(image)"
            )
        return tracker

    def find(self) -> Callable[[], Any]:
        """Import the module and give the class or function.

        Raises:
            CycleSiamError: there is none.
        """
        here = os.getcwd()
        if here not in sys.path:  # an installed command does not look where it was called
            sys.path.insert(0, here)
        try:
            found: Any = importlib.import_module(self.module)
            for step in self.factory.split("."):
                found = getattr(found, step)
        except ImportError as error:
            raise CycleSiamError(
                f"the tracker {self.module}:{self.factory} cannot be imported ({error}); call this "
                "from its folder, or install it"
            ) from error
        except AttributeError as error:
            raise CycleSiamError(
                f"the module {self.module} has no {self.factory}; name the class or function that "
                "makes your tracker"
            ) from error
        return found


def python_tracker(text: str) -> TrackerSpec:
    """Find a tracker by `MODULE:FACTORY`, or `NAME=MODULE:FACTORY` to name it otherwise.

    Raises:
        CycleSiamError: it is not there.
    """
    parts = SOURCE_NAME.fullmatch(text)
    if parts is None:
        raise CycleSiamError(
            f"there is no tracker {text!r}; give a name, or MODULE:FACTORY of a Python tracker"
        )
    make = PythonFactory(parts["module"], parts["factory"])
    return TrackerSpec(
        name=parts["name"] or parts["factory"], make=make, identity=_identity(make.find())
    )


def opencv_tracker(name: str, model_files: Sequence[Path] = ()) -> TrackerSpec:
    """Give one of OpenCV's trackers.

    Args:
        name: in `OPENCV_TRACKERS`, where nothing is trained; or in `OPENCV_NETWORKS`.
        model_files: of the network, in the order in which `OPENCV_NETWORKS` names them.

    Raises:
        CycleSiamError: the network's files are not given, or not there.
    """
    version = f"OpenCV {cv2.__version__}"
    if name in OPENCV_TRACKERS:
        return TrackerSpec(name=name, make=OPENCV_TRACKERS[name], identity=version, policy="none")
    algorithm, wanted = OPENCV_NETWORKS[name]
    if len(model_files) != len(wanted):
        raise CycleSiamError(
            f"the tracker {name} needs {len(wanted)} --model-files ({', '.join(wanted)}), got "
            f"{len(model_files)}; download them from OpenCV's model zoo"
        )
    absent = [path for path in model_files if not path.is_file()]
    if absent:
        raise CycleSiamError(f"{absent[0]}: this model file of {name} is missing; check the path")
    digests = [file_digest(path) for path in model_files]
    models = dict(zip(wanted, map(str, model_files), strict=True))
    return TrackerSpec(
        name=name,
        make=partial(OpenCVTracker, algorithm, models),
        identity=" ".join([version, *digests]),
        weights=", ".join(path.name for path in model_files),
        policy="supervised",
    )


def file_digest(path: Path) -> str:
    """Give what tells a file's content from others': the beginning of its SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _identity(factory: Any) -> str:
    """Name the code that a factory comes from: a digest of its file."""
    try:
        file = inspect.getsourcefile(factory)
        return "unknown code" if file is None else f"code {file_digest(Path(file))}"
    except (OSError, TypeError):
        return "unknown code"
