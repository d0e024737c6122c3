"""The same done with each of several items, on several threads.

For what OpenCV and exported graphs compute on a CPU: they do not hold Python's lock.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Result = TypeVar("Result")


def abreast(
    function: Callable[..., Result], *columns: Iterable, threads: int | None = None
) -> list[Result]:
    """Give what a function gives for each row of columns of one length, in order.

    With one row or one thread, it is called here and now.

    Args:
        function: must not call this again.
        columns: its arguments, row by row.
        threads: at work together; None for as many as PyTorch may use.

    Raises:
        ValueError: the columns are of several lengths.
    """
    rows = list(zip(*columns, strict=True))
    threads = threads or torch.get_num_threads()
    if min(len(rows), threads) < 2:
        return [function(*row) for row in rows]
    return list(_pool(threads).map(lambda row: function(*row), rows))


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "cyclesiam abreast")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has no threads but its own
