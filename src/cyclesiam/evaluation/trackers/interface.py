"""What an evaluation asks of a tracker, and adapters between trackers of boxes and of masks.

H, W: rows and columns of a frame.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from cyclesiam.geometry.boxes import XYWH, xyxy_to_xywh
from cyclesiam.geometry.masks import mask_to_box


class BoxTracker(Protocol):
    """A tracker of one box: the two methods that the GOT-10k toolkit asks for."""

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target.

        Args:
            image: (H, W, 3) uint8 RGB, the first frame.
            box_xywh: the target in it, continuous pixels.
        """
        ...

    def update(self, image: np.ndarray) -> XYWH | tuple[float, ...]:
        """Find the target in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            x, y, w, h in continuous pixels, NaN where the target is not visible; or, where a
            protocol reads polygons, x1, y1, x2, y2 ...
        """
        ...


@runtime_checkable
class MaskTracker(Protocol):
    """A tracker that returns masks and can start from one; recognized by its `init_mask`."""

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on the target in a box of the first frame, (H, W, 3) uint8 RGB."""
        ...

    def init_mask(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Start on the target whose pixels in the first frame are `mask`, (H, W) bool."""
        ...

    def update(self, image: np.ndarray) -> np.ndarray:
        """Return the target's pixels in the next frame, (H, W) bool."""
        ...


class InitialTarget(NamedTuple):
    """An object in the frame in which it appears.

    Args:
        box_xywh: its box, continuous pixels.
        mask: its pixels, (H, W) bool, where they are known.
    """

    box_xywh: XYWH
    mask: np.ndarray | None


@runtime_checkable
class MultiObjectTracker(Protocol):
    """A tracker of several objects at once; recognized by its `init_objects`."""

    def init_objects(self, image: np.ndarray, objects: Mapping[int, InitialTarget]) -> np.ndarray:
        """Start on objects, in addition to those that are tracked already.

        Args:
            image: (H, W, 3) uint8 RGB, the frame in which they appear.
            objects: object number to the object.

        Returns:
            (H, W) uint8 label map of these objects, 0 elsewhere.
        """
        ...

    def update_objects(self, image: np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 label map of all objects in the next frame."""
        ...


class BoxesAsMasks:
    """A mask tracker made of a box tracker: a mask is the pixels whose centers lie in the box.

    Args:
        tracker: used for one target.
    """

    def __init__(self, tracker: BoxTracker) -> None:
        self._tracker = tracker

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on the target in a box of the first frame, (H, W, 3) uint8 RGB."""
        self._tracker.init(image, box_xywh)

    def init_mask(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Start on the smallest box around a mask, (H, W) bool, not empty."""
        self._tracker.init(image, tuple(xyxy_to_xywh(mask_to_box(mask)).tolist()))

    def update(self, image: np.ndarray) -> np.ndarray:
        """Return the pixels of the next frame's box, (H, W) bool; none where the box is NaN."""
        x, y, width, height = self._tracker.update(image)
        rows, columns = np.arange(image.shape[0]) + 0.5, np.arange(image.shape[1]) + 0.5
        inside_x = (x <= columns) & (columns < x + width)
        inside_y = (y <= rows) & (rows < y + height)
        return inside_y[:, None] & inside_x


class MasksAsBoxes:
    """A box tracker made of a mask tracker: a box is the smallest around the mask.

    Args:
        tracker: used for one target.
    """

    def __init__(self, tracker: MaskTracker) -> None:
        self._tracker = tracker

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on the target in a box of the first frame, (H, W, 3) uint8 RGB."""
        self._tracker.init(image, box_xywh)

    def update(self, image: np.ndarray) -> XYWH:
        """Return the box around the next frame's mask; NaN where the mask is empty."""
        return tuple(xyxy_to_xywh(mask_to_box(self._tracker.update(image))).tolist())
