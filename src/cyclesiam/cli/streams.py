"""Standard streams that may be closed, full, or not want colors.

A command keeps its results, and ends without a traceback, whatever happens to what it prints.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

STYLES = re.compile(r"\x1b\[[\d;]*m")  # colors, bold and the like, of terminals
STREAMS = (os.O_RDONLY, os.O_RDONLY, os.O_RDWR)  # what stands for closed ones; writing fails on 1


class KeptStream(io.TextIOWrapper):
    """A stream of text that goes on after an error, which it keeps; then it discards what comes.

    Args:
        stream: an open standard stream.
        plain: leave out colors and other styles.
    """

    def __init__(self, stream: TextIO, *, plain: bool) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=getattr(stream, "line_buffering", False),
        )
        self.error: OSError | None = None
        self._plain = plain

    def write(self, text: str) -> int:
        """Write text, or discard it after an error."""
        try:
            super().write(STYLES.sub("", text) if self._plain else text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or discard what is left after an error."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.error = self.error or error
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)


def keep_streams() -> None:
    """Make the standard streams of this process ones that no error of theirs ends."""
    _open_closed_ones()
    plain = wants_no_colors(os.environ)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, KeptStream):
            setattr(sys, name, KeptStream(stream, plain=plain))


def wants_no_colors(environment: Mapping[str, str]) -> bool:
    """Check whether colors are not wanted: https://no-color.org, or a terminal without any."""
    return bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"


def output_failure() -> OSError | None:
    """Flush standard output, and return the first error in writing to it; None without."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is None or error.errno == errno.EPIPE or isinstance(error, BrokenPipeError):
        return error
    print(
        f"cyclesiam: standard output cannot be written ({error.strerror}); what is missing there "
        "is lost, files are complete",
        file=sys.stderr,
    )
    return error


def _open_closed_ones() -> None:
    """Open what stands for closed standard streams, so that no file takes their numbers."""
    for number, flags in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, flags)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # as Python does, which keeps the stream alive
