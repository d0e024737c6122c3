"""Batches from frames that stay on the training device: a GPU need not wait for pixels.

Processes draw plans on the CPU, which are small; the device renders them. The same request gives
the same batch as the ordinary way, within rounding.
"""

import multiprocessing
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from cyclesiam.data.chunks import limit_to_memory
from cyclesiam.data.clips import Batch, BatchRequest, ClipConfig, ClipDataset
from cyclesiam.data.frame_store import load_frames
from cyclesiam.data.packed_plans import PlanDataset
from cyclesiam.data.resident import ResidentRenderer
from cyclesiam.data.scenes import Scene
from cyclesiam.data.tube_store import SceneTubes
from cyclesiam.datasets.label_policy import enforce_policy
from cyclesiam.training.config import TrainingConfig
from cyclesiam.training.loading import load_batches


class ResidentBatches:
    """Loads batches for one device, as `load_batches` does.

    Args:
        scenes: all are decoded now.
        config: the run.
        rows: which clips of each batch to draw, see `ClipDataset`.
        device: holds the frames.
        tubes: see `ClipDataset`.

    Raises:
        TrainingError: the frames do not fit into half of the machine's memory, or into the
            device's.
    """

    def __init__(
        self,
        scenes: list[Scene],
        config: TrainingConfig,
        rows: Sequence[int],
        device: torch.device,
        *,
        tubes: Mapping[str, SceneTubes] | None = None,
    ) -> None:
        clips = config.clips
        with enforce_policy(config.policy):
            store = load_frames(scenes, objects=_shows_objects(clips), limit=limit_to_memory(2**62))
        self.config = config
        self.workers = planning_processes(config.workers, device)
        dataset = ClipDataset(scenes, clips, config.seed, rows=rows, store=store, tubes=tubes)
        self._plans = PlanDataset(dataset, store)
        self._render = ResidentRenderer(store, (clips.height, clips.width), device)

    def load(self, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """Yield the batches that are requested, in order, on the device."""
        policy = self.config.policy
        for plans in load_batches(
            _PlansAsBytes(self._plans), requests, self.workers, policy=policy
        ):
            yield self._render(pickle.loads(plans))


class _PlansAsBytes:
    """Plans in one piece: each tensor would cross with a file of its own, of which few are open."""

    def __init__(self, plans: PlanDataset) -> None:
        self.plans = plans

    def __getitem__(self, request: BatchRequest) -> bytes:
        return pickle.dumps(self.plans[request], protocol=pickle.HIGHEST_PROTOCOL)


def planning_processes(workers: int, device: torch.device) -> int:
    """Return how many processes plan: as many as there are cores, but one, where a GPU waits.

    Only a forked process shares the frames. Without forks, the training process plans.
    """
    if multiprocessing.get_start_method() != "fork":
        return 0
    return max(workers, (os.cpu_count() or 1) - 1) if device.type == "cuda" else workers


def _shows_objects(clips: ClipConfig) -> bool:
    return bool(clips.object_probability or clips.compositing.object_probability)
