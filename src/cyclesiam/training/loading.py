"""Load batches on request; worker processes decode videos and make clips."""

import gc
import signal
from collections.abc import Iterable, Iterator

from torch.utils.data import DataLoader, Dataset

from cyclesiam.data.clips import Batch, BatchRequest, ClipDataset
from cyclesiam.datasets.label_policy import LabelPolicy, enforce_policy
from cyclesiam.errors import CycleSiamError


def load_batches(
    clips: ClipDataset,
    requests: Iterable[BatchRequest],
    workers: int,
    *,
    policy: LabelPolicy = "none",
) -> Iterator[Batch]:
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
        worker_init_fn=_ignore_interrupts,
    )
    if workers:
        gc.collect()  # else a worker frees an old decoder, and waits for threads that it lacks
    for item in loader:
        if isinstance(item, CycleSiamError):
            raise item
        yield item


class BatchesOrErrors(Dataset[Batch | CycleSiamError]):
    """Batches, or the error in place of one.

    An error that a worker raises arrives with its whole traceback in its text. One that is
    returned keeps its one line.
    """

    def __init__(self, clips: ClipDataset, policy: LabelPolicy) -> None:
        self.clips = clips
        self.policy: LabelPolicy = policy  # workers get it with the clips

    def __getitem__(self, request: BatchRequest) -> Batch | CycleSiamError:
        try:
            with enforce_policy(self.policy):
                return self.clips[request]
        except CycleSiamError as error:
            return error


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C to the main process, which has a checkpoint to write."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
