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

MOST_THREADS = 4  # of one tracker by default: its networks are small, and more gain little
# PASSIVE lets threads of PyTorch sleep while they wait for each other. Our programs set it before
# they import PyTorch; in programs of others it is left alone.
WAIT_POLICY = "OMP_WAIT_POLICY"
_chosen_threads = 0  # by `set_num_threads`; 0 for no choice


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
    global _chosen_threads
    _chosen_threads = count
    cv2.setNumThreads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)


def few_threads(*, busy_waiting: bool = False) -> int:
    """Return how many threads may compute where nobody chose a number: few, beside other programs.

    Args:
        busy_waiting: threads that wait for each other keep their processors busy. Beside other
            programs they are then many times slower than one, so half of the processors is left.
    """
    limit = min(get_num_threads(), MOST_THREADS)
    return min(limit, half_of_processors()) if busy_waiting else limit


def half_of_processors() -> int:
    """Return half of the number of processors that this process may use, at least 1."""
    allowed = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return max(len(allowed) // 2, 1)


@contextmanager
def few_pytorch_threads() -> Iterator[None]:
    """Let PyTorch use few threads within a `with` block, in this thread; see `few_threads`.

    More of them stay as they are where they were chosen by `set_num_threads`.
    """
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    is_passive = os.environ.get(WAIT_POLICY, "").upper() == "PASSIVE"
    few = _chosen_threads or few_threads(busy_waiting=not is_passive)
    if before <= few:
        yield
        return
    torch.set_num_threads(few)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
