"""Frames of a sequence at which a tracker fails, and small images of them.

T: frames of a sequence. H, W: rows and columns of a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cyclesiam.evaluation.scorers.per_frame import FrameResults
from cyclesiam.video import read_image

BEFORE, AFTER = 6, 6  # frames whose mean overlaps are compared to find a drop
MIN_DROP = 0.25  # of mean overlap, to count as a failure
LOST_BELOW = 0.3  # a tracker below this in its first scored frames has lost the target at once
DRIFT_LEVELS = (0.5, 0.2)  # overlaps; of a slow drift, the first frame below each is shown
MAX_FAILURES = 2  # shown of a sequence
IMAGE_WIDTH, IMAGE_HEIGHT = 320, 240
CONTEXT = 3.0  # an image is at least so many times larger than the target
WEBP_QUALITY = 60

Window = tuple[float, float, float, float]
"""A part of a frame: left, top, width, height in its pixels."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyFrame:
    """A frame to be shown.

    Args:
        frame: its number, from 0.
        note: why it is shown.
        image: the window as a WebP file.
        window: the part of the frame that is shown.
        truth: (4,) xyxy in the frame, NaN where unknown.
        boxes: each tracker's, (4,) xyxy, NaN where there is none.
        overlaps: each tracker's overlap, NaN where it does not count.
    """

    frame: int
    note: str
    image: bytes
    window: Window
    truth: np.ndarray
    boxes: tuple[np.ndarray, ...]
    overlaps: tuple[float, ...]


def find_failures(
    overlaps: np.ndarray, failures: Sequence[int] = (), count: int = MAX_FAILURES
) -> list[int]:
    """Return the frames from which on a tracker no longer follows its target.

    Args:
        overlaps: (T,) in 0..1; NaN in frames that do not count.
        failures: frames in which a run with resets failed; where there are any, no drop counts.
        count: maximum number of frames to return.

    Returns:
        Frames in order. Of `failures`, the first ones. Otherwise those with the deepest drops of
        the overlap, from the mean of the frames before to the mean of those after, of `MIN_DROP`
        or more. A tracker that is lost from the start fails in its first scored frame.
    """
    if failures:
        return sorted(failures)[:count]
    scored = np.flatnonzero(np.isfinite(overlaps))
    if not len(scored):
        return []
    values = np.clip(overlaps[scored], 0, 1)
    if values[: BEFORE + 1].max() < LOST_BELOW:
        return [int(scored[0])]
    sums = np.concatenate(([0.0], values.cumsum()))
    places = np.arange(1, len(values))
    low, high = np.maximum(places - BEFORE, 0), np.minimum(places + AFTER, len(values))
    before = (sums[places] - sums[low]) / (places - low)
    drops = before - (sums[high] - sums[places]) / (high - places)
    found: list[int] = []
    for place in np.argsort(-drops, kind="stable"):
        if len(found) == count or drops[place] < MIN_DROP:
            break
        frame = int(scored[places[place]])
        if all(abs(frame - other) > BEFORE + AFTER for other in found):
            found.append(frame)
    return sorted(found)


def select_key_frames(results: FrameResults) -> list[tuple[int, str]]:
    """Return frames to show, and why: at each failure, one before and one after it.

    After a failure in a run with resets there is no box, so both frames are before it. Without any
    failure they are the frames in which the overlap first falls below `DRIFT_LEVELS`, and the one
    with the lowest overlap.
    """
    failures = find_failures(results.overlaps, results.failures)
    selected: dict[int, str] = {}
    for frame in failures:
        before = max(frame - BEFORE // 2, 0)
        if frame in results.failures:
            note = f"fails in {frame}"
            selected |= {max(frame - BEFORE, 0): note, max(frame - 1, 0): note}
            continue
        after = np.nan_to_num(results.overlaps[frame : frame + AFTER], nan=np.inf)
        selected |= {before: "before a drop", frame + int(after.argmin()): "after it"}
    if not failures and np.isfinite(results.overlaps).any():
        below = {level: np.flatnonzero(results.overlaps < level) for level in DRIFT_LEVELS}
        selected = {int(at[0]): f"first below {level}" for level, at in below.items() if len(at)}
        selected[int(np.nanargmin(results.overlaps))] = "lowest overlap"
    return sorted(selected.items())


def make_key_frames(results: Sequence[FrameResults]) -> list[KeyFrame]:
    """Select frames by the first tracker's results, and show all trackers in them.

    Args:
        results: of each tracker on the same sequence; at least one.

    Raises:
        SourceError: a frame cannot be read.
    """
    first = results[0]
    key_frames = []
    for frame, note in select_key_frames(first):
        image = read_image(first.frames[frame])
        boxes = np.stack((first.truth[frame], first.boxes[frame]))
        window = crop_window(boxes, image.shape[1], image.shape[0])
        key_frames.append(
            KeyFrame(
                frame=frame,
                note=note,
                image=encode_image(image, window),
                window=window,
                truth=first.truth[frame],
                boxes=tuple(result.boxes[frame] for result in results),
                overlaps=tuple(float(result.overlaps[frame]) for result in results),
            )
        )
    return key_frames


def crop_window(boxes: np.ndarray, width: int, height: int) -> Window:
    """Return the part of a frame that shows some boxes and what is around them.

    Args:
        boxes: (N, 4) xyxy; those with NaN are left out.
        width: of the frame, in pixels.
        height: of the frame, in pixels.

    Returns:
        A window inside the frame with the aspect of the images, as far as the frame allows; the
        whole frame where there is no box.
    """
    known = boxes[np.isfinite(boxes).all(axis=1)].clip(0, (width, height) * 2)
    aspect = IMAGE_WIDTH / IMAGE_HEIGHT
    if not len(known):
        return 0.0, 0.0, float(width), float(height)
    low, high = known[:, :2].min(axis=0), known[:, 2:].max(axis=0)
    size = np.maximum(1.4 * (high - low), CONTEXT * (known[0, 2:] - known[0, :2]))
    w = max(float(size[0]), aspect * float(size[1]), IMAGE_WIDTH / 4)
    w, h = min(w, width), min(w / aspect, height)
    x, y = (low + high) / 2 - (w / 2, h / 2)
    return float(np.clip(x, 0, width - w)), float(np.clip(y, 0, height - h)), w, h


def encode_image(image: np.ndarray, window: Window) -> bytes:
    """Return the window of an image (H, W, 3) uint8 RGB, made small, as a WebP file."""
    x, y, w, h = (round(number) for number in window)
    part = image[y : y + max(h, 1), x : x + max(w, 1)]
    scale = min(IMAGE_WIDTH / part.shape[1], IMAGE_HEIGHT / part.shape[0], 1)
    size = max(round(scale * part.shape[1]), 1), max(round(scale * part.shape[0]), 1)
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    is_encoded, data = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)
    assert is_encoded, "OpenCV was built with WebP"
    return data.tobytes()
