"""Frames that a second thread reads, while others are processed."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from cyclesiam.video.sources import Frame, Frames

MAX_WAITING = 4  # frames; of 4K video that is 100 MB
MAX_WAITING_BYTES = 2**27  # of larger frames, fewer wait, but at least one
MAX_STOP = 2.0  # seconds to wait for a thread that may be blocked in a network read
THREAD_NAME = "reading ahead"


class ReadAhead:
    """The frames of a source, decoded in the background; a context manager.

    Frames keep their order. Only the second thread reads the source, and closes it at the end. If
    reading fails, the error is raised after the frames before it.

    With a `latency`, frames are dropped instead of queued. Only the newest is returned, and not if
    it was decoded longer ago than the latency; the first frame is never dropped. A source that is
    not live is then read at its own frame rate, as if it were a camera.

    Attributes:
        dropped: number of frames that were read and not returned.

    Args:
        frames: the source; nobody else may read it.
        latency: seconds, above 0; None or infinite drops no frame.
        clock: returns seconds.
    """

    def __init__(
        self,
        frames: Frames,
        *,
        latency: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if latency is not None and not latency > 0:
            raise ValueError(f"latency must be above zero seconds, got {latency}")
        self.dropped = 0
        self._frames, self._clock = frames, clock
        self._latency = None if latency == math.inf else latency
        self._waiting: deque[tuple[Frame, float]] = deque()  # with the time it was decoded
        self._started = self._ended = self._closed = False
        self._error: BaseException | None = None
        self._change = threading.Condition()  # of any of these
        self._thread = threading.Thread(target=self._read, name=THREAD_NAME, daemon=True)
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
        """Stop reading and close the source; further calls do nothing.

        A thread that is blocked in a network read ends, and closes the source, later.
        """
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify_all()
        self._frames.stop()
        self._thread.join(MAX_STOP)

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
        except BaseException as error:  # raised where the next frame is asked for
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
        """Queue a frame; return False if the reader was closed."""
        with self._change:
            if self._latency is None:
                limit = max(1, min(MAX_WAITING, MAX_WAITING_BYTES // frame.image.nbytes))
                self._change.wait_for(lambda: self._closed or len(self._waiting) < limit)
            else:
                self._drop_waiting()
            if not self._closed:
                self._waiting.append((frame, self._clock()))
                self._change.notify_all()
            return not self._closed

    def _drop_waiting(self) -> None:
        """Drop the frames that wait, but not the first of all: boxes refer to it."""
        while len(self._waiting) > (not self._started):
            self._waiting.pop()
            self.dropped += 1
