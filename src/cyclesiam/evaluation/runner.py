"""Run sequences in parallel processes: one that fails, or dies, takes no other with it."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2

from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import Dataset
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol, MakeTracker
from cyclesiam.evaluation.results.evaluation import FailedSequence
from cyclesiam.threads import set_num_threads

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
JOIN_TIMEOUT = 5.0  # seconds that a process gets to end


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceRun:
    """A sequence whose raw result is on disk.

    Args:
        name: of the sequence.
        frames: their number.
        fps: frames per second that the tracker took; NaN if the result was there before.
        is_new: it was run just now.
    """

    name: str
    frames: int
    fps: float
    is_new: bool = True


OnSequence = Callable[[int, int, SequenceRun | FailedSequence], None]
"""Called after each sequence: how many are done, of how many, and what became of this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """A tracker on a benchmark; all of it can be sent to another process.

    Args:
        protocol: with the benchmark and the settings.
        root: the benchmark's folder.
        make_tracker: called for every run, so that none knows of another.
        tracker: its name, for messages.
        folder: for its raw results.
    """

    protocol: EvaluationProtocol[Any]
    root: Path
    make_tracker: MakeTracker
    tracker: str
    folder: Path

    def open(self) -> Dataset:
        """Open the benchmark.

        Raises:
            DatasetError: the folder is not that benchmark.
        """
        return self.protocol.open(self.root)

    def run(self, name: str, dataset: Dataset) -> SequenceRun:
        """Run one sequence and write its raw result, unless the whole of it is there already.

        Args:
            name: of the sequence.
            dataset: what `open` returned.

        Raises:
            CycleSiamError: it failed; the message names the tracker and the sequence.
        """
        results = self.protocol.results(self.folder)
        try:
            sequence = dataset.read(name)
            is_new = not self._is_complete(sequence)
            fps = float("nan")
            if is_new:
                fps = self.protocol.run(self.make_tracker, sequence, results)
            return SequenceRun(name=name, frames=len(sequence), fps=fps, is_new=is_new)
        except Exception as error:
            reason = " ".join(str(error).split())  # OpenCV's messages have several lines
            if not isinstance(error, CycleSiamError):
                reason = f"the tracker stopped with {type(error).__name__}: {reason}"
            place = f"{self.tracker} on {self.protocol.benchmark.name}, sequence {name}"
            raise CycleSiamError(f"{place}: {reason}") from error

    def _is_complete(self, sequence: Any) -> bool:
        """Check whether the raw result is there; a damaged one is not, and is run again."""
        try:
            return self.protocol.is_complete(self.protocol.results(self.folder), sequence)
        except DatasetError:
            return False


def run_sequences(
    job: EvaluationJob,
    names: Collection[str],
    *,
    workers: int = 1,
    on_sequence: OnSequence | None = None,
) -> tuple[FailedSequence, ...]:
    """Run a tracker on sequences and leave the raw results on disk.

    Results that are there already are not run again. Numbers depend neither on the number of
    workers nor on the order: each run computes in one thread, with random numbers seeded anew.

    Args:
        job: what to run; with several workers it is sent to other processes.
        names: of the sequences.
        workers: number of processes; with 1, all runs are in this one.
        on_sequence: called after each sequence.

    Returns:
        The sequences that failed; the others are on disk.

    Raises:
        DatasetError: the benchmark cannot be opened.
        CycleSiamError: the tracker cannot be sent to other processes, or they cannot start.
        ValueError: there is no worker.
    """
    if workers < 1:
        raise ValueError("there must be at least one worker")
    outcomes = _run_here(job, names) if workers == 1 else _run_parallel(job, names, workers)
    failures = []
    for done, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, FailedSequence):
            failures.append(outcome)
        if on_sequence is not None:
            on_sequence(done, len(names), outcome)
    order = list(names)
    return tuple(sorted(failures, key=lambda failure: order.index(failure.name)))


@contextmanager
def single_thread() -> Iterator[None]:
    """Compute in one thread: sums then do not depend on the machine's number of cores."""
    torch = sys.modules.get("torch")  # graphs run without it
    before = cv2.getNumThreads(), torch and torch.get_num_threads()
    set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


def _attempt(job: EvaluationJob, name: str, dataset: Dataset) -> SequenceRun | FailedSequence:
    try:
        return job.run(name, dataset)
    except CycleSiamError as error:
        return FailedSequence(name=name, message=str(error))


def _run_here(job: EvaluationJob, names: Collection[str]) -> Iterator[SequenceRun | FailedSequence]:
    dataset = job.open()
    for name in names:
        with single_thread():
            outcome = _attempt(job, name, dataset)
        yield outcome


class _Worker:
    """A process that runs one sequence after the other."""

    def __init__(self, job: EvaluationJob) -> None:
        self.pipe, child_pipe = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_work, args=(job, child_pipe), daemon=True)
        try:
            with _single_threaded_children():
                self._process.start()
        except (AttributeError, TypeError, ValueError, OSError, EOFError) as error:
            raise _unpicklable(job, error) from error
        except Exception as error:
            if type(error).__name__ != "PicklingError":
                raise
            raise _unpicklable(job, error) from error
        child_pipe.close()  # so that the pipe ends when the process does
        self._tracker = job.tracker
        self._name = ""
        self._is_ready = False

    def send(self, name: str) -> None:
        """Send the name of the sequence to run next."""
        self._name = name
        with suppress(OSError):  # `receive` reports a process that died
            self.pipe.send(name)

    def receive(self) -> SequenceRun | FailedSequence | None:
        """Return the outcome of a sequence; None once, when the process is ready.

        If the process died, its sequence has failed.

        Raises:
            CycleSiamError: it died before it was ready.
        """
        try:
            outcome = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(JOIN_TIMEOUT)
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
        return outcome

    @property
    def exit_status(self) -> str:
        """Number, or name of the signal, with which the process ended; empty while it runs."""
        code = self._process.exitcode
        if code is None:
            return ""
        return signal.Signals(-code).name if code < 0 else str(code)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(JOIN_TIMEOUT)


def _run_parallel(
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
                worker.send(pending.popleft())
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                outcome = worker.receive()
                if outcome is None:
                    continue
                del busy[worker.pipe]
                if worker.exit_status:
                    worker.end()
                else:
                    idle.append(worker)
                yield outcome
    finally:
        for worker in [*busy.values(), *idle]:
            worker.end()


def _work(job: EvaluationJob, pipe: Connection) -> None:
    """Run the sequences whose names come through the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    dataset = job.open()
    pipe.send(None)
    with single_thread():
        while True:
            try:
                name = pipe.recv()
            except EOFError:
                return
            pipe.send(_attempt(job, name, dataset))


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Make the libraries of processes that start now use one thread."""
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


def _unpicklable(job: EvaluationJob, error: Exception) -> CycleSiamError:
    return CycleSiamError(
        f"the tracker {job.tracker} cannot be sent to other processes ({error}). Use one worker, "
        "or make it by a function or class of a module."
    )
