"""CPU time and memory that loading a sample takes: decoding, planning and rendering.

    .venv/bin/python benchmarks/loading_speed.py FOLDER ... [--recipe objects] [--batches 100]

Batches are made one after another in this process, on one thread. It is CPU time that counts: on a
busy machine only that means anything. Later batches draw from decoded chunks more often than the
first ones, so a short run overstates decoding.
"""

import argparse
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

# Before anything loads a BLAS, whose threads no `setNumThreads` reaches.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cv2

from cyclesiam.data import chunks
from cyclesiam.data.clip_plans import ClipPlan
from cyclesiam.data.clips import BatchRequest, ClipDataset
from cyclesiam.data.scenes import find_scenes
from cyclesiam.training.recipes import RECIPES


class Clock:
    """CPU seconds by part; decoding counts apart from the planning that asks for it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start, decoded = time.process_time(), self.seconds["decode"]
            try:
                return function(*arguments, **options)
            finally:
                inner = self.seconds["decode"] - decoded
                self.seconds[part] += time.process_time() - start - inner

        return run


def main() -> None:
    options = parse()
    cv2.setNumThreads(1)
    clips = replace(
        RECIPES[options.recipe]().clips,
        **{
            name: value
            for name in ("samples_per_clip", "batches_per_chunk", "cache_gigabytes")
            if (value := getattr(options, name)) is not None
        },
    )
    data, clock = ClipDataset(find_scenes(options.sources)[0], clips, seed=0), Clock()
    parts = (
        mock.patch.object(chunks, "read_chunk", clock.timed("decode", chunks.read_chunk)),
        mock.patch.object(data, "plan_clips", clock.timed("plan", data.plan_clips)),
        mock.patch.object(ClipPlan, "render", clock.timed("render", ClipPlan.render)),
    )
    with parts[0], parts[1], parts[2]:
        for number in range(options.batches):
            if number == options.batches // 2:  # the first half fills the cache
                clock.seconds.clear()
                start = time.process_time()
            data[BatchRequest(number, options.turn, options.gap)]
    seconds = {"all": time.process_time() - start, **clock.seconds}
    samples = (options.batches - options.batches // 2) * clips.batch_size
    print(f"{options.recipe}, turn {options.turn}, {options.batches} batches; CPU ms a sample")
    for part in ("decode", "plan", "render", "all"):
        print(f"{part:8s}{1000 * seconds.get(part, 0.0) / samples:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"samples/s{samples / seconds['all']:7.1f}    peak memory {peak:.2f} GB")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="+", help="videos, images, or folders of them")
    parser.add_argument("--recipe", choices=[*RECIPES], default="objects")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--turn", type=int, default=1)
    parser.add_argument("--gap", type=int, default=8)
    parser.add_argument("--samples-per-clip", type=int)
    parser.add_argument("--batches-per-chunk", type=int)
    parser.add_argument("--cache-gigabytes", type=float)
    return parser.parse_args()


if __name__ == "__main__":
    main()
