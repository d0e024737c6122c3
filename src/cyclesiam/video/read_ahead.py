"""Frames read by a thread of their own, while others are worked on."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from cyclesiam.video.sources import Frame, Frames

MOST_WAITING = 4  # frames; of 4K video that is 100 MB
LONGEST_STOP = 2.0  # seconds to wait for a thread that may sit in a network read


class ReadAhead:
    """The same frames in the same order, decoded in the background; a context manager.

    The frames are read, and in the end closed, by the thread alone. An error of reading comes in
    its place, after the frames before it.

    With a `latency`, frames are dropped instead of kept waiting: only the newest is given, and not
    even that when it is older than the latency; the first always is. A frame's age counts from
    when it was decoded. A source that is not live is then shown at its own pace, as a camera.

    Attributes:
        dropped: frames that were read and not given.

    Args:
        frames: the source, which now belongs to this.
        latency: seconds, above 0; None, or without end: no frame is dropped.
        clock: seconds.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        latency: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if latency is not None and not latency > 0:
            raise ValueError(f"a latency is seconds above zero, got {latency}")
        self.dropped = 0
        self._frames, self._clock = frames, clock
        self._latency = None if latency == math.inf else latency
        self._waiting: deque[tuple[Frame, float]] = deque()  # with the time it was decoded
        self._started = self._ended = self._closed = False
        self._error: BaseException | None = None
        self._change = threading.Condition()  # of any of these
        self._thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        with self._change:
            while True:
                self._change.wait_for(lambda: self._waiting or self._ended or self._closed)
                if not self._waiting or self._closed:
                    self._finish()
                frame, decoded = self._waiting.popleft()
                self._change.notify_all()
                age = self._clock() - decoded
                if self._latency is None or not self._started or age <= self._latency:
                    self._started = True
                    return frame
                self.dropped += 1

    def close(self) -> None:
        """Stop reading, and let go of the source; twice is once.

        A thread that sits in a network read is left to end, and to close the source, by itself.
        """
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
        self._frames.stop()
        self._thread.join(LONGEST_STOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _finish(self) -> None:
        error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    def _read(self) -> None:
        begun = self._clock()
        try:
            for frame in self._frames:
                if self._latency is not None and not self._frames.live:
                    self._sleep(begun + frame.time - self._clock())
                if not self._offer(frame):
                    break
        except BaseException as error:  # whatever it is, whoever asks for the next frame gets it
            self._error = error
        finally:
            self._frames.close()
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _sleep(self, seconds: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._closed, timeout=max(seconds, 0))

    def _offer(self, frame: Frame) -> bool:
        """Put a frame where the next can be taken; False when nobody wants any more."""
        with self._change:
            if self._latency is None:
                self._change.wait_for(lambda: self._closed or len(self._waiting) < MOST_WAITING)
            else:
                self._drop_waiting()
            if not self._closed:
                self._waiting.append((frame, self._clock()))
                self._change.notify_all()
            return not self._closed

    def _drop_waiting(self) -> None:
        """Make way for a newer frame; the very first stays: boxes are given in it."""
        while len(self._waiting) > (not self._started):
            self._waiting.pop()
            self.dropped += 1
