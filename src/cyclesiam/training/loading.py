"""Batches as they are asked for, decoded and drawn beside the training."""

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
    """Give the batches that are requested, in order.

    Args:
        clips: where they come from.
        requests: which; taken as late as possible, but with workers two for each ahead.
        workers: processes that draw batches; 0 for none beside this one.
        policy: which labels may be read while they are drawn.

    Raises:
        CycleSiamError: as it was raised in a worker; `LabelPolicyError` where a label was about to
            be read that the policy does not grant.
    """
    loader = DataLoader(
        _Answers(clips, policy),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        worker_init_fn=_ignore_interrupts,
    )
    if workers:
        gc.collect()  # a decoder left over, freed by a worker, would wait for threads it has not
    for answer in loader:
        if isinstance(answer, CycleSiamError):
            raise answer
        yield answer


class _Answers(Dataset[Batch | CycleSiamError]):
    """Batches, or the error in place of one.

    An error that is raised in a worker arrives with its whole traceback in its text; one that is
    handed over arrives as the one line that it is.
    """

    def __init__(self, clips: ClipDataset, policy: LabelPolicy) -> None:
        self.clips = clips
        self.policy: LabelPolicy = policy  # travels with the clips into workers

    def __getitem__(self, request: BatchRequest) -> Batch | CycleSiamError:
        try:
            with enforce_policy(self.policy):
                return self.clips[request]
        except CycleSiamError as error:
            return error


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C to the main process, which still has a checkpoint to write."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
