"""Steps with masks alone, frames in memory: one after another, with a thread beside, and CSRT.

    .venv/bin/python benchmarks/pipelining.py [--weights default] [--runtime auto] [--precision f32]
        [--suite davis2016 --root FOLDER]

One target in a made clip of 640x480, or in the first frames of every sequence of a suite. On one
thread for the network and one beside it; CSRT has two. The three take turns, and medians over
rounds are printed: `cyclesiam bench` counts decoding as well, which on two cores is in the way of
the thread beside.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.cli.options import load_network
from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.evaluation.trackers.opencv import OPENCV_TRACKERS
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.siamese import Network
from cyclesiam.tracking.tracker import Tracker

Run = Callable[[list[np.ndarray]], None]


class Clip(NamedTuple):
    """Frames, RGB uint8, and the target's xywh in the first."""

    name: str
    images: list[np.ndarray]
    box: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="default", help="or a folder, or a bundle")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--suite", choices=["davis2016", "otb"], help="instead of the made clip")
    parser.add_argument("--root", help="where the suite lies")
    options = parser.parse_args()
    if options.suite and not options.root:
        parser.error("--suite needs --root, where it lies")
    running = RuntimeConfig(runtime=options.runtime, precision=options.precision, threads=1)
    network, _ = load_network(options.weights, "cpu", running)
    times = [compare(network, clip, options.rounds) for clip in clips(options)]
    if len(times) > 1:
        ratios = [clip["csrt"] / clip["beside"] for clip in times]
        whole = sum(clip["csrt"] for clip in times) / sum(clip["beside"] for clip in times)
        print(
            f"beside over CSRT, of {len(ratios)} clips: median {statistics.median(ratios):.2f}, "
            f"{min(ratios):.2f} to {max(ratios):.2f}; of all their time {whole:.2f}"
        )


def clips(options: argparse.Namespace) -> Iterator[Clip]:
    if not options.suite:
        made = make_demo_clip(frames=options.frames + 1, width=640, height=480)
        yield Clip("made clip", made.images, *xyxy_to_xywh(made.boxes[:1]).tolist())
        return
    for sequence in TRACKING_DATASETS[options.suite](options.root).sequences():
        images = list(islice(sequence.images(), options.frames + 1))
        first = np.asarray(sequence.boxes)[:1]
        yield Clip(sequence.name, images, *xyxy_to_xywh(first).tolist())


def compare(network: Network, clip: Clip, rounds: int) -> dict[str, float]:
    """Print, and give, the milliseconds a frame of each."""
    first, *images = clip.images

    def in_turn(images: list[np.ndarray]) -> None:
        for image in images:
            tracker.step(image)

    def beside(images: list[np.ndarray]) -> None:
        with PipelinedTracker(tracker) as ahead:
            for _ in ahead.track(images):
                pass

    def csrt(images: list[np.ndarray]) -> None:
        for image in images:
            other.update(image)

    runs: tuple[Run, ...] = (in_turn, beside, csrt)
    spent: dict[str, list[float]] = {run.__name__: [] for run in runs}
    for _ in range(rounds):
        for run in runs:
            tracker = Tracker(network)
            tracker.init(first, clip.box)
            other = OPENCV_TRACKERS["csrt"]()
            other.init(first, clip.box)
            cv2.setNumThreads(2 if run is csrt else 1)
            began = time.perf_counter()
            run(images)
            spent[run.__name__].append(1000 * (time.perf_counter() - began) / len(images))
    middles = {name: statistics.median(times) for name, times in spent.items()}
    height, width = first.shape[:2]
    print(f"{clip.name}, {width}x{height}, target {clip.box[2]:.0f}x{clip.box[3]:.0f}")
    for name, times in spent.items():
        print(
            f"  {name:8s} {middles[name]:6.2f} ms ({min(times):.2f} to {max(times):.2f}), "
            f"{middles['csrt'] / middles[name]:.2f} times CSRT's frames per second",
            flush=True,
        )
    return middles


if __name__ == "__main__":
    main()
