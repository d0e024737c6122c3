"""Doing the same with several items on several threads."""

import multiprocessing
import sys
import threading
from collections.abc import Iterator

import cv2
import pytest
import torch

from cyclesiam.threads import (
    _libraries,
    get_num_threads,
    parallel_map,
    set_num_threads,
    single_blas_thread,
)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_rows_keep_their_order(threads: int) -> None:
    assert parallel_map(lambda a, b: 10 * a + b, range(5), [3, 1, 4, 1, 5]) == [3, 11, 24, 31, 45]


def test_two_rows_are_at_work_together_if_there_are_two_threads(threads: int) -> None:
    meeting = threading.Barrier(2)

    def meets(_: int) -> bool:
        try:
            meeting.wait(timeout=10 if threads > 1 else 0.05)
        except threading.BrokenBarrierError:
            return False
        return True

    assert parallel_map(meets, range(2)) == [threads > 1] * 2


def test_columns_of_several_lengths_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        parallel_map(max, [1, 2], [3])


def test_an_error_arrives(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda divisor: 1 / divisor, [1, 0, 2])


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_fork_has_threads_of_its_own(threads: int) -> None:
    parallel_map(abs, [-1, -2])  # the parent has its own by now
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=lambda: answers.put(parallel_map(abs, [-3, -4])))
    child.start()
    child.join(timeout=30)
    alive = child.is_alive()
    child.kill()
    assert not alive, "it waits for its parent's threads"
    assert answers.get() == [3, 4]


def test_linear_algebra_keeps_to_one_thread_while_anybody_wants_that():
    blas = _libraries()

    def counts() -> set[int]:
        return {library["num_threads"] for library in blas.info()}

    assert blas.info()
    with blas.limit(limits=2):
        with single_blas_thread():
            with single_blas_thread():
                assert counts() == {1}
            assert counts() == {1}  # the outer one still wants it
        assert counts() == {2}
        with pytest.raises(KeyError), single_blas_thread():
            raise KeyError
        assert counts() == {2}


def test_threads_are_allowed_to_all(threads: int) -> None:
    set_num_threads(threads)
    assert get_num_threads() == torch.get_num_threads() == cv2.getNumThreads() == threads
