"""Threads that compute: their number, a parallel map over them, and the processor they run on.

OpenCV, NumPy and exported graphs release Python's lock while they compute on a CPU.
"""

import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


def describe_processor() -> str:
    """Return the name of the machine's processor and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, "") or platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores"


def get_num_threads() -> int:
    """Return how many threads may compute: PyTorch's number if it is imported, else OpenCV's."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else cv2.getNumThreads()


def set_num_threads(count: int) -> None:
    """Set how many threads OpenCV may use, and PyTorch if it is imported."""
    cv2.setNumThreads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def parallel_map(
    function: Callable[..., Result], *columns: Iterable, threads: int | None = None
) -> list[Result]:
    """Return the results of a function for each row of columns, in order.

    With one row or one thread the function runs in the calling thread.

    Args:
        function: must not call `parallel_map` itself.
        columns: the arguments of the function, all of one length.
        threads: that work in parallel; None for `get_num_threads`.

    Raises:
        ValueError: the columns have different lengths.
    """
    rows = list(zip(*columns, strict=True))
    threads = threads or get_num_threads()
    if min(len(rows), threads) < 2:
        return [function(*row) for row in rows]
    return list(_pool(threads).map(lambda row: function(*row), rows))


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "cyclesiam parallel_map")


def _libraries() -> ThreadpoolController:
    """Return the controller of NumPy's linear algebra, without the copy inside OpenCV.

    OpenCV's copy is not used here. Changing its threads while others computed changed the last
    digits of convolutions.
    """
    blas = ThreadpoolController().select(user_api="blas")
    files = [library.filepath for library in blas.lib_controllers]
    return blas.select(filepath=[file for file in files if "opencv" not in file])


class _BlasLimit:
    """Limits linear algebra to one thread while at least one caller needs that."""

    def __init__(self) -> None:
        self._lock, self._holders = threading.Lock(), 0
        self._controller: ThreadpoolController | None = None
        self._limiter: Any = None

    def enter(self) -> None:
        """Count a holder; the first one sets the limit."""
        with self._lock:
            if self._controller is None:
                self._controller = _libraries()
            if not self._holders:
                self._limiter = self._controller.limit(limits=1)
            self._holders += 1

    def leave(self) -> None:
        """Release a holder; the last one restores the previous limit."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._limiter.restore_original_limits()


_limit = _BlasLimit()


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limit NumPy's linear algebra to one thread within a `with` block.

    The limit holds for the whole process until the last of several such blocks ends. Small
    matrices gain nothing from more threads, and BLAS threads that wait busily slow down all others.
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


def adapt_to_fork() -> None:
    """Let PyTorch use one thread in a forked process, where it would wait for its parent's.

    Several processes beside each other are best with one thread each in any case.
    """
    global _is_new_fork
    if _is_new_fork:
        _is_new_fork = False
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(1)


_is_new_fork = False


def _reset_after_fork() -> None:
    global _is_new_fork
    _is_new_fork = True
    _pool.cache_clear()  # the threads of the parent do not exist in a fork
    _limit.__init__()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
