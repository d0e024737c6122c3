"""What a tracker must be able to do, and the first protocol: one pass, started from the truth.

T: frames of a sequence. H, W: rows and columns of a picture.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.geometry.regions import mask_to_box

XYWH = tuple[float, float, float, float]


class BoxTracker(Protocol):
    """What an evaluation needs of a tracker: the two verbs of the GOT-10k toolkit."""

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target.

        Args:
            image: (H, W, 3) uint8 RGB, the first frame.
            box_xywh: the target in it, continuous pixels.
        """
        ...

    def update(self, image: np.ndarray) -> XYWH | tuple[float, ...]:
        """Find the target in the next frame; NaN says that it is not to be seen.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            x, y, w, h in continuous pixels; or, where a protocol reads polygons, x1, y1, x2, y2 ...
        """
        ...


@runtime_checkable
class MaskTracker(Protocol):
    """A tracker that answers masks, and can start from one; its `init_mask` tells it apart."""

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB, given by its box."""
        ...

    def init_mask(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Start on a target in (H, W, 3) uint8 RGB, given by its pixels, (H, W) bool."""
        ...

    def update(self, image: np.ndarray) -> np.ndarray:
        """Give the target's pixels in the next frame, (H, W) bool."""
        ...


class InitialTarget(NamedTuple):
    """What is known of an object where it begins: its box, and maybe its pixels, (H, W) bool."""

    box_xywh: XYWH
    mask: np.ndarray | None


@runtime_checkable
class MultiObjectTracker(Protocol):
    """A tracker that follows several objects at once; its `init_objects` tells it apart."""

    def init_objects(self, image: np.ndarray, objects: Mapping[int, InitialTarget]) -> np.ndarray:
        """Start on objects in (H, W, 3) uint8 RGB, beside those that are followed already.

        Args:
            image: the frame in which they begin.
            objects: by their numbers.

        Returns:
            (H, W) uint8 label map of these objects, 0 elsewhere.
        """
        ...

    def update_objects(self, image: np.ndarray) -> np.ndarray:
        """Give the (H, W) uint8 label map of all objects in the next frame."""
        ...


class BoxesAsMasks:
    """A tracker of boxes that answers masks: its boxes, filled.

    A pixel belongs to the mask if its centre lies in the box. Given a mask, it starts from the
    mask's extent.

    Args:
        tracker: used for one target.
    """

    def __init__(self, tracker: BoxTracker) -> None:
        self._tracker = tracker

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB."""
        self._tracker.init(image, box_xywh)

    def init_mask(self, image: np.ndarray, mask: np.ndarray) -> None:
        """Start on the extent of a mask, (H, W) bool, not empty."""
        self._tracker.init(image, to_xywh(mask_to_box(mask)))

    def update(self, image: np.ndarray) -> np.ndarray:
        """Give the pixels of the next frame's box, (H, W) bool; none where it is NaN."""
        x, y, width, height = self._tracker.update(image)
        rows, columns = np.arange(image.shape[0]) + 0.5, np.arange(image.shape[1]) + 0.5
        inside_x = (x <= columns) & (columns < x + width)
        inside_y = (y <= rows) & (rows < y + height)
        return inside_y[:, None] & inside_x


class MasksAsBoxes:
    """A tracker of masks that answers boxes: the smallest around each mask, NaN of an empty one.

    Args:
        tracker: used for one target.
    """

    def __init__(self, tracker: MaskTracker) -> None:
        self._tracker = tracker

    def init(self, image: np.ndarray, box_xywh: XYWH) -> None:
        """Start on a target in (H, W, 3) uint8 RGB."""
        self._tracker.init(image, box_xywh)

    def update(self, image: np.ndarray) -> XYWH:
        """Give the extent of the next frame's mask."""
        return to_xywh(mask_to_box(self._tracker.update(image)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectory:
    """What a tracker answered on a sequence, and how long it took.

    Args:
        boxes: (T, 4) xyxy; the first is the truth that it started from; NaN where it gave none. Of
            a run that began later, T frames from there.
        seconds: (T,) spent in the tracker for each frame; reading pictures does not count.
    """

    boxes: np.ndarray
    seconds: np.ndarray

    @property
    def fps(self) -> float:
        """Frames per second, the first frame included."""
        return len(self.seconds) / max(float(self.seconds.sum()), 1e-9)


def run_one_pass(tracker: BoxTracker, sequence: TrackingSequence, *, first: int = 0) -> Trajectory:
    """Start a tracker on one frame and let it run to the last, whatever happens.

    Args:
        tracker: told the truth of the first frame, and nothing after it.
        sequence: with truth in that frame.
        first: where to start.

    Returns:
        The trajectory, one box a frame from there on.

    Raises:
        DatasetError: the first frame has no truth.
        SourceError: a frame cannot be read.
        TargetError: the tracker's answer is not four numbers.

    Source: OTB (Wu et al., TPAMI 2015), one-pass evaluation.
    """
    start = sequence.boxes[first]
    if np.isnan(start).any():
        raise DatasetError(
            f"{sequence.name}: the {'first frame' if first == 0 else f'frame {first}'} has no box "
            "to start from. "
            "Cut the sequence to begin where its target is seen."
        )
    images = sequence.images(first) if first else sequence.images()
    image = next(images)
    started = time.perf_counter()
    tracker.init(image, to_xywh(start))
    seconds, boxes = [time.perf_counter() - started], [start]
    for frame, image in enumerate(images, start=first + 1):
        started = time.perf_counter()
        answer = tracker.update(image)
        seconds.append(time.perf_counter() - started)
        boxes.append(_to_xyxy(answer, sequence.name, frame))
    return Trajectory(boxes=np.stack(boxes), seconds=np.array(seconds))


def start_frames(sequence: TrackingSequence, count: int) -> tuple[int, ...]:
    """Spread starts evenly over a sequence, the first at its beginning.

    Args:
        sequence: with truth in its first frame.
        count: how many; a start falls away where no truth follows, or two become one.

    Returns:
        Frames that have a truth: where one has none, the next that has.
    """
    known = np.flatnonzero(~np.isnan(sequence.boxes).any(axis=1))
    wanted = np.arange(count) * len(sequence) // count
    found = np.searchsorted(known, wanted)
    return tuple(sorted({0, *known[found[found < len(known)]].tolist()}))


def to_xywh(box: np.ndarray) -> XYWH:
    """Give a box (4,) xyxy as left, top, width, height."""
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1 - x0, y1 - y0


def _to_xyxy(answer: XYWH | tuple[float, ...], name: str, frame: int) -> np.ndarray:
    box = np.asarray(answer, dtype=np.float64)
    if box.shape != (4,):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must answer x, y, w, h, got {answer!r}. "
            "Mend its update."
        )
    return np.concatenate((box[:2], box[:2] + box[2:]))
