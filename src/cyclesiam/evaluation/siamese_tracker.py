"""Our tracker behind `BoxTracker`, as the benchmarks ask for it."""

import numpy as np

from cyclesiam.evaluation.protocols import XYWH
from cyclesiam.tracking.tracker import Tracker


class SiameseTracker:
    """Follow one target with a `Tracker`; of a lost target the doubted box counts.

    Args:
        tracker: used for this target alone.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB; any earlier one is forgotten.

        Raises:
            TargetError: the box cannot be a target.
        """
        self._tracker.init(image, box_xywh)

    def update(self, image: np.ndarray) -> XYWH:
        """Give the target's box in the next frame, (H, W, 3) uint8 RGB."""
        return self._tracker.update(image).box_xywh
