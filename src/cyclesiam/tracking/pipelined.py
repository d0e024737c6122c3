"""Tracking with a second thread: it learns and draws masks while the next frame is searched."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import numpy as np

from cyclesiam.tracking.following import at_once
from cyclesiam.tracking.results import TrackResult
from cyclesiam.tracking.tracker import Tracker

Promise = Future[tuple[TrackResult, ...]]


class PipelinedTracker:
    """Follow a tracker's targets with more frames a second; a context manager.

    The results are those of `Tracker.step`, to the bit, but each is there only when the frame after
    it was searched. On a CPU with a core to spare, a step with masks then takes a fifth less.

        with Ahead(tracker) as ahead:
            for results in ahead.follow(frames):
                print(results)

    Args:
        tracker: with its targets started. While it is in use here, its own `step` must not be
            called; targets that are added, removed or corrected count from the next frame that is
            given.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._beside = ThreadPoolExecutor(1, "cyclesiam beside")

    def submit(self, image: np.ndarray) -> Promise:
        """Follow all targets into the next frame, (H, W, 3) uint8 RGB.

        Args:
            image: not to be written over before the results are there.

        Returns:
            Their results, to come.

        Raises:
            TargetError: no target was ever started.
        """
        sighting = self._tracker.find(image)
        if sighting is None:
            return at_once(tuple)
        told = self._tracker.learn(sighting, self._beside.submit).told
        return self._beside.submit(lambda: told.result()[0])

    def track(self, images: Iterable[np.ndarray]) -> Iterator[tuple[TrackResult, ...]]:
        """Give the results of each image, in order, once the next was searched.

        Where images end, by an error or otherwise, the last results come first.
        """
        promises: deque[Promise] = deque()
        waiting = iter(images)
        while True:
            try:
                promises.append(self.submit(next(waiting)))
            except BaseException as end:
                while promises:
                    yield promises.popleft().result()
                if isinstance(end, StopIteration):
                    return
                raise
            if len(promises) > 1:
                yield promises.popleft().result()

    def close(self) -> None:
        """Wait for what is at work; the tracker is as after its own `step`."""
        self._beside.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
