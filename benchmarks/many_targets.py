"""Milliseconds of a step that follows one target, and several, of which each is a thing that moves.

    .venv/bin/python benchmarks/many_targets.py [--weights default] [--runtime auto]
        [--precision f32] [--threads 2] [--targets 1 4 16] [--no-masks]

Made clips, each with a target of its own, lie side by side in one large picture. As many targets
of it as are asked for are followed, one number of them after another, round by round: with masks
also by a tracker whose thread beside learns and draws them (`Ahead`, as `track` does), where there
are two threads or more. Medians over rounds of the mean of a step, frames in memory, decoding not
counted.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from cyclesiam.cli.options import load_network
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.geometry.boxes import xyxy_to_xywh
from cyclesiam.synthetic.demo_clip import make_demo_grid
from cyclesiam.threads import set_num_threads
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.results import TrackResult
from cyclesiam.tracking.siamese import Network
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
    images, tracks = make_demo_grid(max(options.targets), options.frames + 1)
    boxes = xyxy_to_xywh(tracks[0]).tolist()
    ways = ("in turn",) if options.threads < 2 or options.no_masks else ("in turn", "beside")
    networks = {way: load(options, options.threads - (way == "beside")) for way in ways}
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for count in options.targets:
            for way, network in networks.items():
                threads = options.threads - (way == "beside")
                set_num_threads(threads)
                tracker = Tracker(network)
                tracker.start(images[0], boxes[:count])
                began = time.perf_counter()
                results = follow(tracker, images[1:], beside=way == "beside")
                passed = 1000 * (time.perf_counter() - began) / options.frames
                spent.setdefault((way, count), []).append(passed)
                lost = sum(result.state != "tracking" for result in results)
                if lost:
                    print(f"{lost} of {count} targets are not tracked at the end")
    for (way, count), times in spent.items():
        middle, one = (statistics.median(spent[way, n]) for n in (count, options.targets[0]))
        print(
            f"{count:3d} targets {way:8s} {middle:7.2f} ms ({min(times):.2f} to {max(times):.2f}), "
            f"{middle / one:5.2f} times {options.targets[0]}"
        )


def load(options: argparse.Namespace, threads: int) -> Network:
    running = RuntimeConfig(runtime=options.runtime, precision=options.precision, threads=threads)
    device, masks = "cpu", not options.no_masks
    return load_network(options.weights, device, running, masks=masks)[0]


def follow(
    tracker: Tracker, images: Sequence[np.ndarray], *, beside: bool
) -> tuple[TrackResult, ...]:
    """Follow into all images; give the results in the last."""
    if not beside:
        return [tracker.step(image) for image in images][-1]
    with PipelinedTracker(tracker) as ahead:
        return list(ahead.track(images))[-1]


if __name__ == "__main__":
    main()
