"""Signals that end a command: Ctrl-C, closed terminals, and the requests of system and cluster.

Each raises KeyboardInterrupt once, so that files are closed. While files are closed, further
signals are ignored, but for the third Ctrl-C.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Self

# Signals that end no process, or that cannot be caught; SIGIO may be any program's own.
_HARMLESS = "SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGWINCH SIGINFO SIGIO SIGKILL"
_FAULTS = "SIGSEGV SIGBUS SIGFPE SIGILL SIGTRAP SIGSYS SIGABRT SIGEMT"
_PATIENCE = 3  # times Ctrl-C is pressed before closing is given up
INTERRUPTED = 128 + signal.SIGINT  # the exit status that shells give to Ctrl-C


class EndingSignals:
    """Turn signals that would end the process into KeyboardInterrupt; a context manager.

    Signals that are ignored, as by `nohup`, or have another handler stay as they are.

    Attributes:
        received: the first of them; None while there is none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | int | None = None
        self._process = os.getpid()
        self._before: dict[int, object] = {}
        self._interrupts = self._held = 0
        self._stop: Callable[[], None] | None = None  # called at the first signal
        self._is_stopping = False

    @property
    def status(self) -> int:
        """The exit status that shells give to a process which the signal ended."""
        return INTERRUPTED if self.received is None else 128 + self.received

    @property
    def verb(self) -> str:
        """What to say of the command: interrupted by a person, or ended by a signal."""
        if self.received in (None, signal.SIGINT):
            return "interrupted"
        return f"ended by {_name(self.received)}"

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # Python lets only the first thread handle signals
        _current.append(self)
        for number in _ending_signals():
            if _is_default(signal.getsignal(number)):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        if self in _current:
            _current.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child, which has nothing to save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self._stop is not None:
            self._stop_gently(number, self._stop)
            return
        self._interrupts += number == signal.SIGINT
        if self.received is not None and not self._is_stopping and self._interrupts != _PATIENCE:
            return
        self._is_stopping = False
        self.received = _as_signal(number)
        if not self._held:
            raise KeyboardInterrupt

    def _stop_gently(self, number: int, stop: Callable[[], None]) -> None:
        self.received, self._stop, self._is_stopping = _as_signal(number), None, True
        stop()
        cause = "" if number == signal.SIGINT else f"{_name(number)}: "
        # not by print, which the signal may have interrupted; the terminal may be gone
        with suppress(OSError):
            os.write(
                2, f"\n{cause}stopping after this step; again Ctrl-C to stop at once\n".encode()
            )

    @contextmanager
    def stop_first(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call a function at the first signal, which lets what is inside end by itself.

        The second signal raises KeyboardInterrupt, and later ones are ignored.
        """
        self._stop = stop
        try:
            yield
        finally:
            self._stop, self._is_stopping = None, False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let what is inside finish before a signal ends the command.

        Raises:
            KeyboardInterrupt: at the end, if a signal came.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self.received is not None and not self._held:
                raise KeyboardInterrupt


_current: list[EndingSignals] = []


def hold_signals() -> AbstractContextManager[None]:
    """Let what is inside finish before a signal ends the command that runs, if one does."""
    return _current[-1].hold() if _current else nullcontext()


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first signal that would end the process; see `EndingSignals.stop_first`.

    So a step is finished where there is time, and nothing disturbs the saving after it.
    """
    with (
        nullcontext(_current[-1]) if _current else EndingSignals() as signals,
        signals.stop_first(stop),
    ):
        yield


def _ending_signals() -> list[int]:
    others = {*_HARMLESS.split(), *_FAULTS.split()}
    return [int(number) for number in signal.valid_signals() if _name(number) not in others]


def _is_default(handler: object) -> bool:
    return handler in (signal.SIG_DFL, signal.default_int_handler) or handler is end_at_once


def end_at_once(number: int, frame: FrameType | None) -> None:
    """Handle Ctrl-C while the program starts: nothing is to be closed, and imports break oddly."""
    os.write(2, b"cyclesiam: interrupted\n")
    os._exit(INTERRUPTED)


def _as_signal(number: int) -> signal.Signals | int:
    try:
        return signal.Signals(number)
    except ValueError:  # a real-time signal
        return number


def _name(number: int) -> str:
    known = _as_signal(number)
    return known.name if isinstance(known, signal.Signals) else f"signal {number}"
