"""Sequences side by side in processes: one that fails, or dies, takes no other along."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait

import cv2
import torch

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import Dataset
from cyclesiam.evaluation.jobs import EvaluationJob, SequenceRun
from cyclesiam.evaluation.results.evaluation import FailedSequence

OnSequence = Callable[[int, int, SequenceRun | FailedSequence], None]
"""Told after each sequence: how many are done, of how many, and what became of this one."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ENDING = 5.0  # seconds that a process gets to end


def run_sequences(
    job: EvaluationJob,
    names: Collection[str],
    *,
    workers: int = 1,
    on_sequence: OnSequence | None = None,
) -> tuple[FailedSequence, ...]:
    """Run a tracker on sequences and leave the raw results on disk.

    What is there already is not run again. Numbers depend neither on the number of workers nor on
    the order: each run computes in one thread and begins with the same chance.

    Args:
        job: what to run; with several workers it is sent to other processes.
        names: of the sequences.
        workers: processes; with 1, all runs in this one.
        on_sequence: told after each sequence.

    Returns:
        The sequences that failed; the others are on disk.

    Raises:
        DatasetError: the benchmark cannot be opened.
        CycleSiamError: the tracker cannot be sent to other processes, or they cannot start.
        ValueError: there is no worker.
    """
    if workers < 1:
        raise ValueError("there must be at least one worker")
    news = _run_here(job, names) if workers == 1 else _run_beside(job, names, workers)
    failures = []
    for done, what in enumerate(news, 1):
        if isinstance(what, FailedSequence):
            failures.append(what)
        if on_sequence is not None:
            on_sequence(done, len(names), what)
    order = list(names)
    return tuple(sorted(failures, key=lambda failure: order.index(failure.name)))


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute in one thread: sums then do not depend on the machine's number of cores."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _attempt(job: EvaluationJob, name: str, reader: Dataset) -> SequenceRun | FailedSequence:
    try:
        return job.run(name, reader)
    except CycleSiamError as error:
        return FailedSequence(name=name, message=str(error))


def _run_here(job: EvaluationJob, names: Collection[str]) -> Iterator[SequenceRun | FailedSequence]:
    reader = job.open()
    for name in names:
        with single_thread():
            news = _attempt(job, name, reader)
        yield news


class _Worker:
    """A process that runs one sequence after the other, as it is told."""

    def __init__(self, job: EvaluationJob) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_work, args=(job, theirs), daemon=True)
        try:
            with _single_threaded_children():
                self._process.start()
        except (AttributeError, TypeError, ValueError, OSError, EOFError) as error:
            raise _unsendable(job, error) from error
        except Exception as error:
            if type(error).__name__ != "PicklingError":
                raise
            raise _unsendable(job, error) from error
        theirs.close()  # so that the pipe ends when the process does
        self._tracker = job.tracker
        self._name = ""
        self._is_ready = False

    def give(self, name: str) -> None:
        """Tell it which sequence to run next."""
        self._name = name
        with suppress(OSError):  # a process that died has its news in `take`
            self.pipe.send(name)

    def take(self) -> SequenceRun | FailedSequence | None:
        """Take its news; None says that it is ready. Of a process that died, the news of that.

        Raises:
            CycleSiamError: it died before it was ready.
        """
        try:
            news = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(ENDING)
            ended = f"its process ended with status {self.exit_status or 'unknown'}"
            if not self._is_ready:
                raise CycleSiamError(
                    f"{self._tracker}: {ended} before it could begin, for the reason above. Use "
                    "one worker to see more."
                ) from None
            return FailedSequence(
                name=self._name, message=f"{self._tracker}, sequence {self._name}: {ended}"
            )
        self._is_ready = True
        return news

    @property
    def exit_status(self) -> str:
        """How the process ended, by the name of the signal if one ended it; empty while it runs."""
        code = self._process.exitcode
        if code is None:
            return ""
        return signal.Signals(-code).name if code < 0 else str(code)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(ENDING)


def _run_beside(
    job: EvaluationJob, names: Collection[str], workers: int
) -> Iterator[SequenceRun | FailedSequence]:
    pending = deque(names)
    busy: dict[Connection, _Worker] = {}
    idle: list[_Worker] = []
    try:
        while pending or busy:
            while pending and len(busy) < workers:
                worker = idle.pop() if idle else _Worker(job)
                busy[worker.pipe] = worker
                worker.give(pending.popleft())
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                news = worker.take()
                if news is None:
                    continue
                del busy[worker.pipe]
                if worker.exit_status:
                    worker.end()
                else:
                    idle.append(worker)
                yield news
    finally:
        for worker in [*busy.values(), *idle]:
            worker.end()


def _work(job: EvaluationJob, pipe: Connection) -> None:
    """Run what the pipe says until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    reader = job.open()
    pipe.send(None)
    with single_thread():
        while True:
            try:
                name = pipe.recv()
            except EOFError:
                return
            pipe.send(_attempt(job, name, reader))


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Let processes that start now load their libraries for one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _unsendable(job: EvaluationJob, error: Exception) -> CycleSiamError:
    return CycleSiamError(
        f"the tracker {job.tracker} cannot be sent to other processes ({error}). Use one worker, "
        "or make it by a function or class of a module."
    )
