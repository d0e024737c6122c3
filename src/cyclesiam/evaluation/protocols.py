"""How a tracker is run on a sequence: one pass, started once from the truth.

T: frames of a sequence.
"""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cyclesiam.data.sequences import Sequence
from cyclesiam.errors import DatasetError, TargetError

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

    def update(self, image: np.ndarray) -> XYWH:
        """Find the target in the next frame; NaN says that it is not to be seen.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            x, y, w, h in continuous pixels.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectory:
    """What a tracker answered on a sequence, and how long it took.

    Args:
        boxes: (T, 4) xyxy; the first is the truth that it started from; NaN where it gave none.
        seconds: (T,) spent in the tracker for each frame; reading pictures does not count.
    """

    boxes: np.ndarray
    seconds: np.ndarray

    @property
    def fps(self) -> float:
        """Frames per second, the first frame included."""
        return len(self.seconds) / max(float(self.seconds.sum()), 1e-9)


def one_pass(tracker: BoxTracker, sequence: Sequence) -> Trajectory:
    """Start a tracker on the first frame and let it run to the last, whatever happens.

    Args:
        tracker: told the truth of the first frame, and nothing after it.
        sequence: with truth in its first frame.

    Returns:
        The trajectory, one box a frame.

    Raises:
        DatasetError: the first frame has no truth.
        SourceError: a frame cannot be read.
        TargetError: the tracker's answer is not four numbers.

    Source: OTB (Wu et al., TPAMI 2015), one-pass evaluation.
    """
    first = sequence.boxes[0]
    if np.isnan(first).any():
        raise DatasetError(
            f"{sequence.name}: the first frame has no box to start from. "
            "Cut the sequence to begin where its target is seen."
        )
    images = sequence.images()
    image = next(images)
    started = time.perf_counter()
    tracker.init(image, _to_xywh(first))
    seconds, boxes = [time.perf_counter() - started], [first]
    for frame, image in enumerate(images, start=1):
        started = time.perf_counter()
        answer = tracker.update(image)
        seconds.append(time.perf_counter() - started)
        boxes.append(_to_xyxy(answer, sequence.name, frame))
    return Trajectory(boxes=np.stack(boxes), seconds=np.array(seconds))


def _to_xywh(box: np.ndarray) -> XYWH:
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1 - x0, y1 - y0


def _to_xyxy(answer: XYWH, name: str, frame: int) -> np.ndarray:
    box = np.asarray(answer, dtype=np.float64)
    if box.shape != (4,):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must answer x, y, w, h, got {answer!r}. "
            "Mend its update."
        )
    return np.concatenate((box[:2], box[:2] + box[2:]))
