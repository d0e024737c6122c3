"""Load batches on request; worker processes decode videos and make clips, or plan them."""

import gc
import signal
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

import cv2
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cyclesiam.data.clips import BatchRequest
from cyclesiam.datasets.label_policy import LabelPolicy, enforce_policy
from cyclesiam.errors import CycleSiamError

Loaded = TypeVar("Loaded", covariant=True)


class BatchMaker(Protocol[Loaded]):
    """Makes batches, or plans of them, by request."""

    def __getitem__(self, request: BatchRequest, /) -> Loaded:
        """Make what was requested."""
        ...


def load_batches(
    clips: BatchMaker[Loaded],
    requests: Iterable[BatchRequest],
    workers: int,
    *,
    policy: LabelPolicy = "none",
) -> Iterator[Loaded]:
    """Yield the batches that are requested, in order.

    Args:
        clips: makes the batches.
        requests: consumed as late as possible; with workers, two for each in advance.
        workers: number of processes; 0 makes batches in this one.
        policy: which labels may be read.

    Raises:
        CycleSiamError: the error of a worker; `LabelPolicyError` before a label is read that the
            policy does not allow.
    """
    loader = DataLoader(
        BatchesOrErrors(clips, policy),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        worker_init_fn=_init_worker,
    )
    if workers:
        gc.collect()  # else a worker frees an old decoder, and waits for threads that it lacks
    for item in loader:
        if isinstance(item, CycleSiamError):
            raise item
        yield item


class BatchesOrErrors(Dataset[Loaded | CycleSiamError], Generic[Loaded]):
    """Batches, or the error in place of one.

    An error that a worker raises arrives with its whole traceback in its text. One that is
    returned keeps its one line.
    """

    def __init__(self, clips: BatchMaker[Loaded], policy: LabelPolicy) -> None:
        self.clips = clips
        self.policy: LabelPolicy = policy  # workers get it with the clips

    def __getitem__(self, request: BatchRequest) -> Loaded | CycleSiamError:
        try:
            with enforce_policy(self.policy):
                return self.clips[request]
        except CycleSiamError as error:
            return error


# What ends a terminal's or a cluster's processes all at once.
GROUP_SIGNALS = "SIGINT SIGTERM SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGXCPU SIGBREAK".split()


def _init_worker(worker: int) -> None:
    """Leave signals to the main process, which has a checkpoint to write; share the cores."""
    info = get_worker_info()
    if info is not None and info.num_workers > 1:
        cv2.setNumThreads(1)
    for name in GROUP_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
