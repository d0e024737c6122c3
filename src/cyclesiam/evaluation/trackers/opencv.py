"""OpenCV's trackers as `BoxTracker`s, to compare with: CSRT, KCF, MIL, and networks."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import cv2
import numpy as np

from cyclesiam.errors import MissingExtraError, TargetError
from cyclesiam.geometry.boxes import XYWH


class OpenCVTracker:
    """One of OpenCV's trackers, with OpenCV's default parameters.

    While it reports the target as lost, the last box is returned.

    Args:
        algorithm: OpenCV's name of the tracker: CSRT, KCF, MIL ...
        models: parameter of the algorithm to the path of its model file, for networks.

    Raises:
        MissingExtraError: the installed OpenCV has no such tracker.
    """

    def __init__(self, algorithm: str, models: Mapping[str, str] | None = None) -> None:
        self.algorithm = algorithm
        self._create = _find_factory(algorithm)
        if models:
            parameters = getattr(cv2, f"Tracker{algorithm}_Params")()
            for name, path in models.items():
                setattr(parameters, name, path)
            self._create = partial(self._create, parameters)
        self._tracker: Any = None
        self._box: XYWH = (np.nan, np.nan, np.nan, np.nan)

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a box, rounded to pixels and clipped to the image, in place of any earlier one.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xywh: the target, continuous pixels.

        Raises:
            TargetError: no pixel of the box is in the image.
        """
        pixels = round_box(box_xywh, image.shape[1], image.shape[0])
        self._tracker = self._create()
        self._tracker.init(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), pixels)
        self._box = box_xywh

    def update(self, image: np.ndarray) -> XYWH:
        """Return the target's box in the next frame, (H, W, 3) uint8 RGB."""
        if self._tracker is None:
            raise ValueError("a tracker must be started with init(image, box) before update")
        found, box = self._tracker.update(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if found:
            x, y, width, height = (float(side) for side in box)
            self._box = (x, y, width, height)
        return self._box


OPENCV_TRACKERS = {
    "csrt": partial(OpenCVTracker, "CSRT"),
    "kcf": partial(OpenCVTracker, "KCF"),
    "mil": partial(OpenCVTracker, "MIL"),
}
"""Name to function that makes a new tracker."""

OPENCV_NETWORKS = {"nano": ("Nano", ("backbone", "neckhead")), "vit": ("Vit", ("net",))}
"""Name to OpenCV's name, and to the parameters that are model files, which the user must have.
OpenCV's model zoo has them: `object_tracking_nanotrack` has two, `object_tracking_vittrack` one."""


def round_box(box_xywh: XYWH, width: int, height: int) -> tuple[int, int, int, int]:
    """Return a box rounded to whole pixels, at least 1 x 1, and clipped to the image.

    Args:
        box_xywh: continuous pixels.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        x, y, w, h.

    Raises:
        TargetError: no part of the box is in the image, or a number is not finite.

    >>> round_box((-3.2, 4.4, 10.0, 5.0), 100, 100)
    (0, 4, 7, 5)
    """
    x, y, box_width, box_height = box_xywh
    if not np.isfinite(box_xywh).all() or min(x + box_width, y + box_height) <= 0:
        raise _outside(box_xywh, width, height)
    left, top = max(round(x), 0), max(round(y), 0)
    if left >= width or top >= height:
        raise _outside(box_xywh, width, height)
    right = min(max(round(x + box_width), left + 1), width)
    bottom = min(max(round(y + box_height), top + 1), height)
    return left, top, right - left, bottom - top


def _outside(box_xywh: XYWH, width: int, height: int) -> TargetError:
    return TargetError(
        f"the box {tuple(map(float, box_xywh))} (x, y, w, h) is not in the {width} x {height} "
        "image. Start on a box inside it."
    )


def _find_factory(algorithm: str) -> Any:
    """Return the function that makes the tracker; some versions have it in `cv2.legacy`."""
    for module in (cv2, getattr(cv2, "legacy", None)):
        factory = getattr(module, f"Tracker{algorithm}_create", None)
        if factory is not None:
            return factory
    raise MissingExtraError(
        f"OpenCV {cv2.__version__} has no {algorithm} tracker here; its contrib builds do: "
        "pip install --force-reinstall --no-deps opencv-contrib-python-headless"
    )
