"""Measure the memory of a tracker over very long runs.

    .venv/bin/python benchmarks/memory.py [--frames 100000]
    .venv/bin/python benchmarks/memory.py --coming-and-going 64 --frames 10000

A demo clip of 320x240 is played forward and back again and again. Printed is the memory of the
process after 1,000 frames of warm-up, at every tenth of the run, and at the end. With
`--coming-and-going N` a target is added or removed at random in every frame, 1 to N at a time.
Before each reading all targets but one are removed and free memory is released, so that readings
are comparable.
"""

import argparse
import ctypes
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cyclesiam.cli.options import load_network
from cyclesiam.geometry.boxes import XYWH
from cyclesiam.synthetic.demo_clip import DemoClip, make_demo_clip
from cyclesiam.tracking.segmentation import MaskConfig
from cyclesiam.tracking.tracker import Tracker, TrackerConfig

WARM_UP = 1000  # frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="default", help="or a folder, or a bundle")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--masks", action="store_true", help="also predict masks")
    parser.add_argument("--coming-and-going", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if options.frames <= WARM_UP:
        parser.error(f"--frames must be more than {WARM_UP}")
    torch.set_num_threads(1)
    clip = make_demo_clip(frames=60, width=320, height=240)
    network, _ = load_network(options.weights, "cpu")
    tracker = Tracker(network, TrackerConfig(mask=MaskConfig(enabled=options.masks)))
    rng = random.Random(0)
    tracker.init(clip.images[0], first_box(clip))
    warm, started = 0.0, time.monotonic()
    for number, image in zip(
        range(1, options.frames + 1), forward_and_back(clip.images), strict=False
    ):
        tracker.step(image)
        if options.coming_and_going:
            change_targets(tracker, rng, options.coming_and_going, image)
        if number != WARM_UP and number % (options.frames // 10):
            continue
        count = len(tracker.ids)
        if options.coming_and_going:
            keep_one(tracker)
        resident = resident_mib()
        warm = resident if number == WARM_UP else warm
        print(
            f"{number:7d} frames  {resident:7.1f} MiB  {count:2d} targets  "
            f"{time.monotonic() - started:6.0f} s",
            flush=True,
        )
    print(f"at the end, of that after {WARM_UP} frames: {resident_mib() / warm:.3f}")


def first_box(clip: DemoClip) -> XYWH:
    left, top, right, bottom = clip.boxes[0].tolist()
    return left, top, right - left, bottom - top


def forward_and_back(images: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images from the second on, then back to the first, without end."""
    while True:
        yield from images[1:]
        yield from images[-2::-1]


def change_targets(tracker: Tracker, rng: random.Random, max_count: int, image: np.ndarray) -> None:
    """Add a target somewhere in the image, or remove one, so that 1 to `max_count` remain."""
    count = len(tracker.ids)
    if count == 1 or (count < max_count and rng.random() < 0.5):
        height, width = image.shape[:2]
        side = height / 6
        corner = rng.uniform(0, width - side), rng.uniform(0, height - side)
        tracker.add((*corner, side, side))
    else:
        tracker.remove(rng.choice(tracker.ids))


def keep_one(tracker: Tracker) -> None:
    """Remove all targets but the first, and release the free memory that glibc holds."""
    for id in tracker.ids[1:]:
        tracker.remove(id)
    ctypes.CDLL(None).malloc_trim(0)


def resident_mib() -> float:
    """Return the resident memory of this process in MiB; on Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmRSS; this benchmark needs Linux")


if __name__ == "__main__":
    main()
