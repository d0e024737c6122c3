"""What `cyclesiam track` says at its end."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cyclesiam.cli.options import count_noun
from cyclesiam.files import is_standard_output
from cyclesiam.tracking.results import TrackResult
from cyclesiam.video import ReadAhead


class Report:
    """Count what is tracked, and say it on standard error: the results may be on the other one."""

    def __init__(
        self, objects: int, runtime: str, frames: ReadAhead, latency: float | None
    ) -> None:
        self._objects, self._runtime = objects, runtime
        self._frames, self._latency = frames, latency
        self._count, self._started = 0, time.perf_counter()
        self._begin: float | None = None
        self._lost: Counter[int] = Counter()  # frames, by object

    def begin(self, time: float) -> float:
        """Return the time of the first frame that is tracked."""
        self._begin = time if self._begin is None else self._begin
        return self._begin

    def count(self, targets: Iterable[TrackResult]) -> None:
        """Count a frame that was written."""
        self._count += 1
        self._lost.update(target.id for target in targets if target.state == "lost")

    def print(self, output: Path, video: Path | None) -> None:
        """Print how much was tracked, and where it is; nothing if there is nothing."""
        if not self._count:
            return
        seconds = time.perf_counter() - self._started
        _say(
            f"Tracked {count_noun(self._objects, 'object')} through "
            f"{count_noun(self._count, 'frame')} in {seconds:.1f} s, "
            f"{self._count / max(seconds, 1e-9):.1f} frames a second ({self._runtime})."
        )
        if not is_standard_output(output):
            _say(f"Boxes: {output}")
        if video:
            _say(f"Video: {video}")
        if self._lost:
            counts = (
                f"object {id} in {count_noun(count, 'frame')}"
                for id, count in sorted(self._lost.items())
            )
            _say(f"Lost: {', '.join(counts)}; the boxes of these frames are guesses.")
        if self._latency is not None:
            self._print_dropped(self._latency)

    def _print_dropped(self, latency: float) -> None:
        total = self._frames.dropped + self._count
        _say(
            f"Dropped {self._frames.dropped} of {count_noun(total, 'frame')} "
            f"({self._frames.dropped / total:.0%}), to stay within {1000 * latency:g} ms."
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr)
