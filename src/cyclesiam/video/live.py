"""Cameras and streams, which may break and come back."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from cyclesiam.errors import SourceError

TimedImages = Iterator[tuple[float, np.ndarray]]
Connection = tuple[TimedImages, Callable[[], None]]  # images from 0 s on, and what closes it

FIRST_PAUSE, MAX_PAUSE = 0.5, 8.0  # seconds between attempts, doubled from one to the next


def ignore_event(event: str) -> None:
    """Do nothing with an event."""


class ReconnectingSource:
    """Timed images of a source that is opened again when it breaks.

    Times go on as the clock does: the first image after a break has the time of the last one
    before it, plus the seconds between them.

    Args:
        name: of the source, for messages.
        first: the opened source.
        reopen: opens it again.
        reconnect_timeout: seconds for which a broken source is tried again; 0 for not at all.
        on_event: called with a line of text when the source breaks and when it is back.
        clock: returns seconds.

    Raises:
        SourceError: while iterating: the source broke for longer than `reconnect_timeout`.
    """

    def __init__(
        self,
        name: str,
        first: Connection,
        reopen: Callable[[], Connection],
        *,
        reconnect_timeout: float = 0.0,
        on_event: Callable[[str], None] = ignore_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._connect, self._timeout = name, reopen, reconnect_timeout
        self._on_event, self._clock = on_event, clock
        self._stopped = threading.Event()
        self._images, self._disconnect = first
        self._pause = FIRST_PAUSE
        self._broken_since: float | None = None
        self._last: tuple[float, float] | None = None  # the last image's time, and when it came

    def __iter__(self) -> TimedImages:
        while not self._stopped.is_set():
            reason = "it ended"
            begin = self._time_now()
            try:
                for since_opened, image in self._images:
                    self._note_image(begin + since_opened)
                    yield begin + since_opened, image
            except SourceError as error:
                if not self._timeout:
                    raise
                reason = str(error.__cause__ or error)
            if not self._timeout or self._stopped.is_set():
                return
            self._reopen(reason)

    def stop(self) -> None:
        """End the wait for a broken source; any thread may call this."""
        self._stopped.set()

    def close(self) -> None:
        """Close the source; only the thread that reads it may call this, while there is one."""
        self.stop()
        self._disconnect()

    def _time_now(self) -> float:
        if self._last is None:
            return 0.0
        last_time, came = self._last
        return last_time + self._clock() - came

    def _note_image(self, image_time: float) -> None:
        now = self._clock()
        if self._broken_since is not None:
            self._on_event(f"{self._name}: is back after {now - self._broken_since:.1f} s")
            self._broken_since, self._pause = None, FIRST_PAUSE
        self._last = (image_time, now)

    def _reopen(self, reason: str) -> None:
        """Try to open a broken source until that succeeds, time is over, or it is stopped."""
        if self._broken_since is None:  # else it had come back, but without an image
            self._broken_since = self._clock()
            self._on_event(
                f"{self._name}: broke ({reason}); it is tried again for {self._timeout:g} s"
            )
        self._disconnect()
        while True:
            left = self._broken_since + self._timeout - self._clock()
            if left <= 0:
                raise SourceError(
                    f"{self._name}: broke, and did not come back in {self._timeout:g} s "
                    f"({reason}); check the source, or wait longer for it"
                )
            if self._stopped.wait(min(self._pause, left)):
                return
            self._pause = min(2 * self._pause, MAX_PAUSE)
            try:
                self._images, self._disconnect = self._connect()
            except SourceError as error:
                reason = str(error.__cause__ or error)
            else:
                return
