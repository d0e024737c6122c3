"""Cameras and streams: they break, and come back."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from cyclesiam.errors import SourceError

TimedImages = Iterator[tuple[float, np.ndarray]]
Connection = tuple[TimedImages, Callable[[], None]]  # images from 0 s on, and what closes it

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds between attempts, doubled from one to the next


def ignore_event(news: str) -> None:
    """Keep news to oneself."""


class ReconnectingSource:
    """Timed images of a source that is opened again where it breaks.

    Times go on as the clock does: the first image after a break has the time of the last one
    before it, and the seconds that passed since.

    Args:
        name: what the source is called.
        first: the source, opened.
        reopen: opens it again.
        patience: seconds for which a broken source is tried again; 0: its end is the end.
        tell: is told, in a line, that the source broke, and that it is back.
        clock: seconds.

    Raises:
        SourceError: while iterating: it broke, for longer than `patience`.
    """

    def __init__(
        self,
        name: str,
        first: Connection,
        reopen: Callable[[], Connection],
        *,
        patience: float = 0.0,
        tell: Callable[[str], None] = ignore_event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._connect, self._patience = name, reopen, patience
        self._tell, self._clock = tell, clock
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
                if not self._patience:
                    raise
                reason = str(error.__cause__ or error)
            if not self._patience or self._stopped.is_set():
                return
            self._reopen(reason)

    def stop(self) -> None:
        """Wait for the source no longer; from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of the source; by the thread that reads it, or when none does."""
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
            self._tell(f"{self._name}: is back after {now - self._broken_since:.1f} s")
            self._broken_since, self._pause = None, FIRST_PAUSE
        self._last = (image_time, now)

    def _reopen(self, reason: str) -> None:
        """Try to open a broken source until that succeeds, patience ends, or it is stopped."""
        if self._broken_since is None:  # else it had come back, but without an image
            self._broken_since = self._clock()
            self._tell(
                f"{self._name}: broke ({reason}); it is tried again for {self._patience:g} s"
            )
        self._disconnect()
        while True:
            left = self._broken_since + self._patience - self._clock()
            if left <= 0:
                raise SourceError(
                    f"{self._name}: broke, and did not come back in {self._patience:g} s "
                    f"({reason}); check the source, or wait longer for it"
                )
            if self._stopped.wait(min(self._pause, left)):
                return
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                self._images, self._disconnect = self._connect()
            except SourceError as error:
                reason = str(error.__cause__ or error)
            else:
                return
