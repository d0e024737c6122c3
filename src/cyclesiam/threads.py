"""Threads: how many may compute, and the same done with each of several items, on several of them.

For what OpenCV, NumPy and exported graphs compute on a CPU: they do not hold Python's lock.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import cv2
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


def get_num_threads() -> int:
    """Give how many threads may compute: PyTorch's number where that is at work, else OpenCV's."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else cv2.getNumThreads()


def set_num_threads(count: int) -> None:
    """Let OpenCV, and PyTorch where that is at work, compute on so many threads each."""
    cv2.setNumThreads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def parallel_map(
    function: Callable[..., Result], *columns: Iterable, threads: int | None = None
) -> list[Result]:
    """Give what a function gives for each row of columns of one length, in order.

    With one row or one thread, it is called here and now.

    Args:
        function: must not call this again.
        columns: its arguments, row by row.
        threads: at work together; None for `allowed_threads`.

    Raises:
        ValueError: the columns are of several lengths.
    """
    rows = list(zip(*columns, strict=True))
    threads = threads or get_num_threads()
    if min(len(rows), threads) < 2:
        return [function(*row) for row in rows]
    return list(_pool(threads).map(lambda row: function(*row), rows))


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "cyclesiam abreast")


def _libraries() -> ThreadpoolController:
    """Give NumPy's linear algebra, and not OpenCV's own, which nobody here asks for anything.

    Where its threads were changed beside others at work, convolutions gave other last digits.
    """
    found = ThreadpoolController().select(user_api="blas")
    files = [library.filepath for library in found.lib_controllers]
    return found.select(filepath=[file for file in files if "opencv" not in file])


class _BlasLimit:
    """Keeps linear algebra to one thread while anybody wants that."""

    def __init__(self) -> None:
        self._lock, self._wanted = threading.Lock(), 0
        self._controller: ThreadpoolController | None = None
        self._limiter: Any = None

    def enter(self) -> None:
        """Limit it, if nobody did so already."""
        with self._lock:
            if self._controller is None:
                self._controller = _libraries()
            if not self._wanted:
                self._limiter = self._controller.limit(limits=1)
            self._wanted += 1

    def leave(self) -> None:
        """Let it be as it was, if nobody else wants it limited."""
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                self._limiter.restore_original_limits()


_limit = _BlasLimit()


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Give a context in which NumPy's linear algebra computes in one thread.

    It holds for the whole process, until the last of several such contexts ends. Small matrices
    gain nothing by more, and threads of BLAS then wait busily, in the way of all others.
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


def _begin_after_fork() -> None:
    _pool.cache_clear()  # a fork has no threads but its own
    _limit.__init__()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_after_fork)
