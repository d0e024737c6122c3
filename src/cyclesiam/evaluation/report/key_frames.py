"""Moments of a sequence at which a tracker fails, and small pictures of them.

T: frames of a sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cyclesiam.evaluation.scorers.per_frame import FrameResults
from cyclesiam.video import read_image

BEFORE, AFTER = 6, 6  # frames whose mean overlaps are compared to find a collapse
LEAST_DROP = 0.25  # of mean overlap, to be called a collapse
LOW = 0.3  # a tracker below this in its first judged frames has lost the target at once
DRIFTS = (0.5, 0.2)  # overlaps whose first frame below is shown of a slow drift
COLLAPSES = 2  # shown of a sequence
PICTURE_WIDTH, PICTURE_HEIGHT = 320, 240
CONTEXT = 3.0  # a picture is at least so many times larger than the target
WEBP_QUALITY = 60

Window = tuple[float, float, float, float]
"""A part of a frame: left, top, width, height in its pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyFrame:
    """A frame to be shown.

    Args:
        frame: its number, from 0.
        note: why it is shown.
        picture: a WebP picture of the window.
        window: what part of the frame it shows.
        truth: xyxy in the frame, NaN where unknown.
        boxes: each tracker's, xyxy, NaN where it gave none.
        overlaps: each tracker's overlap, NaN where it does not count.
    """

    frame: int
    note: str
    picture: bytes
    window: Window
    truth: np.ndarray
    boxes: tuple[np.ndarray, ...]
    overlaps: tuple[float, ...]


def find_failures(
    overlaps: np.ndarray, failures: Sequence[int] = (), count: int = COLLAPSES
) -> list[int]:
    """Find the frames from which on a tracker no longer follows its target.

    Args:
        overlaps: (T,) in 0..1; NaN in frames that do not count.
        failures: frames in which a run with restarts failed; where there are any, they are it.
        count: how many at most.

    Returns:
        Frames in order: of the failures the first ones; else those with the deepest drops of the
        overlap, from the mean of the frames before to the mean of those after, at least
        `LEAST_DROP`. A tracker that is lost from the start collapses in its first judged frame.
    """
    if failures:
        return sorted(failures)[:count]
    judged = np.flatnonzero(np.isfinite(overlaps))
    if not len(judged):
        return []
    values = np.clip(overlaps[judged], 0, 1)
    if values[: BEFORE + 1].max() < LOW:
        return [int(judged[0])]
    sums = np.concatenate(([0.0], values.cumsum()))
    places = np.arange(1, len(values))
    low, high = np.maximum(places - BEFORE, 0), np.minimum(places + AFTER, len(values))
    before = (sums[places] - sums[low]) / (places - low)
    drops = before - (sums[high] - sums[places]) / (high - places)
    found: list[int] = []
    for place in np.argsort(-drops, kind="stable"):
        if len(found) == count or drops[place] < LEAST_DROP:
            break
        frame = int(judged[places[place]])
        if all(abs(frame - other) > BEFORE + AFTER for other in found):
            found.append(frame)
    return sorted(found)


def select_key_frames(answers: FrameResults) -> list[tuple[int, str]]:
    """Choose frames worth a look, and say why: at each collapse, one before and one after it.

    A failure has no box any more, so there both frames are before it. A sequence without a
    collapse gives the frames at which the overlap first falls below `DRIFTS`, and its lowest.
    """
    collapses = find_failures(answers.overlaps, answers.failures)
    chosen: dict[int, str] = {}
    for frame in collapses:
        before = max(frame - BEFORE // 2, 0)
        if frame in answers.failures:
            note = f"fails in {frame}"
            chosen |= {max(frame - BEFORE, 0): note, max(frame - 1, 0): note}
            continue
        after = np.nan_to_num(answers.overlaps[frame : frame + AFTER], nan=np.inf)
        chosen |= {before: "before a drop", frame + int(after.argmin()): "after it"}
    if not collapses and np.isfinite(answers.overlaps).any():
        below = {level: np.flatnonzero(answers.overlaps < level) for level in DRIFTS}
        chosen = {int(at[0]): f"first below {level}" for level, at in below.items() if len(at)}
        chosen[int(np.nanargmin(answers.overlaps))] = "lowest overlap"
    return sorted(chosen.items())


def make_key_frames(answers: Sequence[FrameResults]) -> list[KeyFrame]:
    """Choose frames by the first tracker's answers, and show what all answered in them.

    Args:
        answers: of each tracker to the same sequence; at least one.

    Raises:
        SourceError: a frame cannot be read.
    """
    first = answers[0]
    moments = []
    for frame, note in select_key_frames(first):
        image = read_image(first.frames[frame])
        around = np.stack((first.truth[frame], first.boxes[frame]))
        window = crop_window(around, image.shape[1], image.shape[0])
        moments.append(
            KeyFrame(
                frame=frame,
                note=note,
                picture=encode_image(image, window),
                window=window,
                truth=first.truth[frame],
                boxes=tuple(answer.boxes[frame] for answer in answers),
                overlaps=tuple(float(answer.overlaps[frame]) for answer in answers),
            )
        )
    return moments


def crop_window(boxes: np.ndarray, width: int, height: int) -> Window:
    """Choose the part of a frame that shows some boxes with what is around them.

    Args:
        boxes: (N, 4) xyxy; those with NaN are left out.
        width: of the frame, in pixels.
        height: of the frame.

    Returns:
        A window inside the frame with the shape of the pictures, as far as the frame allows; all
        of the frame where there is no box or no room.
    """
    known = boxes[np.isfinite(boxes).all(axis=1)].clip(0, (width, height) * 2)
    shape = PICTURE_WIDTH / PICTURE_HEIGHT
    if not len(known):
        return 0.0, 0.0, float(width), float(height)
    low, high = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
    room = np.maximum(1.4 * (high - low), CONTEXT * (known[0, 2:] - known[0, :2]))
    w = max(float(room[0]), shape * float(room[1]), PICTURE_WIDTH / 4)
    w, h = min(w, width), min(w / shape, height)
    x, y = (low + high) / 2 - (w / 2, h / 2)
    return float(np.clip(x, 0, width - w)), float(np.clip(y, 0, height - h)), w, h


def encode_image(image: np.ndarray, window: Window) -> bytes:
    """Give the window of an image (H, W, 3), small, as WebP."""
    x, y, w, h = (round(number) for number in window)
    part = image[y : y + max(h, 1), x : x + max(w, 1)]
    scale = min(PICTURE_WIDTH / part.shape[1], PICTURE_HEIGHT / part.shape[0], 1)
    size = max(round(scale * part.shape[1]), 1), max(round(scale * part.shape[0]), 1)
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    done, data = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)
    assert done, "OpenCV was built with WebP"
    return data.tobytes()
