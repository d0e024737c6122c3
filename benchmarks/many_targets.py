"""Milliseconds of a step that follows one target, and several, of which each is a thing that moves.

    .venv/bin/python benchmarks/many_targets.py [--weights default] [--runtime auto]
        [--precision f32] [--threads 2] [--targets 1 4 16] [--no-masks]

Made clips, each with a target of its own, lie side by side in one large picture. As many targets
of it as are asked for are followed, one number of them after another, round by round; medians over
rounds of the mean of a step, frames in memory, decoding not counted.
"""

import argparse
import statistics
import time

import cv2
import torch

from cyclesiam.cli.options import load_network
from cyclesiam.data.made_crowd import make_crowd
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.tracking.tracker import Tracker


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="default", help="or a folder, or a bundle")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--targets", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    running = RuntimeConfig(
        runtime=options.runtime, precision=options.precision, threads=options.threads
    )
    masks = not options.no_masks
    network, _ = load_network(options.weights, torch.device("cpu"), running, masks=masks)
    images, tracks = make_crowd(max(options.targets), options.frames + 1)
    boxes = xyxy_to_xywh(torch.from_numpy(tracks[0])).tolist()
    spent: dict[int, list[float]] = {count: [] for count in options.targets}
    followed: dict[int, int] = {}
    for _ in range(options.rounds):
        for count, times in spent.items():
            tracker = Tracker(network)
            results = tracker.start(images[0], boxes[:count])
            began = time.perf_counter()
            for image in images[1:]:
                results = tracker.step(image)
            times.append(1000 * (time.perf_counter() - began) / options.frames)
            followed[count] = sum(result.state == "tracking" for result in results)
    one = statistics.median(spent[options.targets[0]])
    for count, times in spent.items():
        middle = statistics.median(times)
        print(
            f"{count:3d} targets {middle:7.2f} ms ({min(times):.2f} to {max(times):.2f}), "
            f"{middle / one:5.2f} times {options.targets[0]}; {followed[count]} tracked at the end"
        )


if __name__ == "__main__":
    main()
