"""The parallel map, limits on threads, and the processor's name."""

import multiprocessing
import os
import re
import sys
import threading
from collections.abc import Iterator

import cv2
import pytest
import torch

import cyclesiam.threads
from cyclesiam.threads import (
    _libraries,
    describe_processor,
    few_pytorch_threads,
    few_threads,
    get_num_threads,
    half_of_processors,
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


def test_two_rows_run_in_parallel_with_two_threads(threads: int) -> None:
    meeting = threading.Barrier(2)

    def meets(_: int) -> bool:
        try:
            meeting.wait(timeout=100 if threads > 1 else 0.05)
        except threading.BrokenBarrierError:
            return False
        return True

    assert parallel_map(meets, range(2)) == [threads > 1] * 2


def test_columns_of_different_lengths_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        parallel_map(max, [1, 2], [3])


def test_an_error_is_raised_in_the_caller(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda divisor: 1 / divisor, [1, 0, 2])


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_a_fork_has_threads_of_its_own(threads: int) -> None:
    parallel_map(abs, [-1, -2])  # starts the threads of the parent
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    child = fork.Process(target=lambda: results.put(parallel_map(abs, [-3, -4])))
    child.start()
    child.join(timeout=100)
    alive = child.is_alive()
    child.kill()
    assert not alive, "it waits for the threads of its parent"
    assert results.get() == [3, 4]


def test_linear_algebra_uses_one_thread_until_the_last_block_ends():
    blas = _libraries()

    def counts() -> set[int]:
        return {library["num_threads"] for library in blas.info()}

    assert blas.info()
    with blas.limit(limits=2):
        with single_blas_thread():
            with single_blas_thread():
                assert counts() == {1}
            assert counts() == {1}  # the outer block has not ended
        assert counts() == {2}
        with pytest.raises(KeyError), single_blas_thread():
            raise KeyError
        assert counts() == {2}


def test_the_number_of_threads_is_set_in_all_libraries(threads: int) -> None:
    set_num_threads(threads)
    assert get_num_threads() == torch.get_num_threads() == cv2.getNumThreads() == threads


@pytest.fixture
def nobody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cyclesiam.threads, "_chosen_threads", 0)
    monkeypatch.setattr(cyclesiam.threads, "half_of_processors", lambda: 1)
    monkeypatch.setattr(cyclesiam.threads, "get_num_threads", lambda: 64)


@pytest.mark.parametrize(
    ("policy", "chosen", "few"), [("", 0, 1), ("ACTIVE", 0, 1), ("passive", 0, 4), ("", 3, 3)]
)
@pytest.mark.usefixtures("nobody_chose")
def test_pytorch_uses_few_threads_where_nobody_chose(monkeypatch, policy, chosen, few):
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.setattr(cyclesiam.threads, "_chosen_threads", chosen)
    before = torch.get_num_threads()
    for count, expected in ((8, few), (1, 1)):  # one that has fewer keeps them
        torch.set_num_threads(count)
        with few_pytorch_threads():
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == count  # the user's own is as it was
    torch.set_num_threads(before)


@pytest.mark.usefixtures("nobody_chose")
def test_few_threads_are_few_on_any_machine():
    assert few_threads() == 4
    assert few_threads(busy_waiting=True) == 1


def test_half_of_the_processors_is_one_at_least():
    assert 1 <= half_of_processors() <= max((os.cpu_count() or 1) // 2, 1)


def test_the_processor_has_a_name_and_a_number_of_cores():
    assert re.fullmatch(r".+, \d+ cores", describe_processor())
