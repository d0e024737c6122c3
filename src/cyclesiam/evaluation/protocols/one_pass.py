"""The one-pass protocol: start a tracker from the ground truth and run it to the end.

T: frames of a sequence.
"""

import time
from dataclasses import dataclass

import numpy as np

from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.errors import DatasetError, TargetError
from cyclesiam.evaluation.trackers.interface import XYWH, BoxTracker
from cyclesiam.geometry.boxes import xyxy_to_xywh


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
    tracker.init(image, tuple(xyxy_to_xywh(start).tolist()))
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


def _to_xyxy(answer: XYWH | tuple[float, ...], name: str, frame: int) -> np.ndarray:
    box = np.asarray(answer, dtype=np.float64)
    if box.shape != (4,):
        raise TargetError(
            f"{name}, frame {frame}: the tracker must answer x, y, w, h, got {answer!r}. "
            "Mend its update."
        )
    return np.concatenate((box[:2], box[:2] + box[2:]))
