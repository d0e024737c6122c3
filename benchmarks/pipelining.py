"""Compare steps with masks: sequential, pipelined with a second thread, and CSRT.

    .venv/bin/python benchmarks/pipelining.py [--weights default] [--runtime auto] [--precision f32]
        [--suite davis2016 --root FOLDER]

One target is tracked in a demo clip of 640x480, or in the first frames of each sequence of a suite.
The network has one thread, the pipelined update another; CSRT has two. The three take turns.
Printed are medians over rounds. Frames are in memory: decoding, which `cyclesiam bench` counts,
would compete with the second thread on two cores.
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
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.tracker import Tracker

Run = Callable[[list[np.ndarray]], None]


class Clip(NamedTuple):
    """Frames, RGB uint8, and the xywh box of the target in the first."""

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
    parser.add_argument("--suite", choices=["davis2016", "otb"], help="instead of the demo clip")
    parser.add_argument("--root", help="folder of the suite")
    options = parser.parse_args()
    if options.suite and not options.root:
        parser.error("--suite needs --root, its folder")
    runtime = RuntimeConfig(runtime=options.runtime, precision=options.precision, threads=1)
    network, _ = load_network(options.weights, "cpu", runtime)
    times = [compare(network, clip, options.rounds) for clip in clips(options)]
    if len(times) > 1:
        ratios = [clip["csrt"] / clip["pipelined"] for clip in times]
        whole = sum(clip["csrt"] for clip in times) / sum(clip["pipelined"] for clip in times)
        print(
            f"pipelined over CSRT, {len(ratios)} clips: median {statistics.median(ratios):.2f}, "
            f"{min(ratios):.2f} to {max(ratios):.2f}; of their total time {whole:.2f}"
        )


def clips(options: argparse.Namespace) -> Iterator[Clip]:
    if not options.suite:
        demo = make_demo_clip(frames=options.frames + 1, width=640, height=480)
        yield Clip("demo clip", demo.images, *xyxy_to_xywh(demo.boxes[:1]).tolist())
        return
    for sequence in TRACKING_DATASETS[options.suite](options.root).sequences():
        images = list(islice(sequence.images(), options.frames + 1))
        first = np.asarray(sequence.boxes)[:1]
        yield Clip(sequence.name, images, *xyxy_to_xywh(first).tolist())


def compare(network: Network, clip: Clip, rounds: int) -> dict[str, float]:
    """Print and return the median milliseconds a frame of each of the three."""
    first, *images = clip.images

    def sequential(images: list[np.ndarray]) -> None:
        for image in images:
            tracker.step(image)

    def pipelined(images: list[np.ndarray]) -> None:
        with PipelinedTracker(tracker) as pipeline:
            for _ in pipeline.track(images):
                pass

    def csrt(images: list[np.ndarray]) -> None:
        for image in images:
            other.update(image)

    runs: tuple[Run, ...] = (sequential, pipelined, csrt)
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
    medians = {name: statistics.median(times) for name, times in spent.items()}
    height, width = first.shape[:2]
    print(f"{clip.name}, {width}x{height}, target {clip.box[2]:.0f}x{clip.box[3]:.0f}")
    for name, times in spent.items():
        print(
            f"  {name:10s} {medians[name]:6.2f} ms ({min(times):.2f} to {max(times):.2f}), "
            f"{medians['csrt'] / medians[name]:.2f} times CSRT's frames per second",
            flush=True,
        )
    return medians


if __name__ == "__main__":
    main()
