"""Steps with masks alone, frames in memory: one after another, with a thread beside, and CSRT.

    .venv/bin/python benchmarks/beside.py [--weights default] [--runtime auto] [--precision f32]

One target in a made clip of 640x480. On one thread for the network and one beside it; CSRT has two.
The three take turns, and medians over rounds are printed: `cyclesiam bench` counts decoding as
well, which on two cores is in the way of the thread beside.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch

from cyclesiam.cli.options import load_network
from cyclesiam.data.made_clip import make_clip
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.opencv_trackers import OPENCV_TRACKERS
from cyclesiam.tracking.ahead import Ahead
from cyclesiam.tracking.tracker import Tracker

Run = Callable[[list[np.ndarray]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="default", help="or a folder, or a bundle")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    running = RuntimeConfig(runtime=options.runtime, precision=options.precision, threads=1)
    network, _ = load_network(options.weights, torch.device("cpu"), running)
    clip = make_clip(frames=options.frames + 1, width=640, height=480)
    left, top, right, bottom = clip.boxes[0].tolist()
    box = left, top, right - left, bottom - top

    def in_turn(images: list[np.ndarray]) -> None:
        for image in images:
            tracker.step(image)

    def beside(images: list[np.ndarray]) -> None:
        with Ahead(tracker) as ahead:
            for _ in ahead.follow(images):
                pass

    def csrt(images: list[np.ndarray]) -> None:
        for image in images:
            other.update(image)

    spent: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for run in (in_turn, beside, csrt):
            tracker = Tracker(network)
            tracker.init(clip.images[0], box)
            other = OPENCV_TRACKERS["csrt"]()
            other.init(clip.images[0], box)
            cv2.setNumThreads(2 if run is csrt else 1)
            began = time.perf_counter()
            run(clip.images[1:])
            milliseconds = 1000 * (time.perf_counter() - began) / options.frames
            spent.setdefault(run.__name__, []).append(milliseconds)
    whole = statistics.median(spent["csrt"])
    for name, rounds in spent.items():
        middle = statistics.median(rounds)
        print(
            f"{name:8s} {middle:6.2f} ms ({min(rounds):.2f} to {max(rounds):.2f}), "
            f"{whole / middle:.2f} times CSRT's frames per second"
        )


if __name__ == "__main__":
    main()
