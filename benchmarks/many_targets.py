"""Time steps that track one or several moving targets.

    .venv/bin/python benchmarks/many_targets.py [--weights default] [--runtime auto]
        [--precision f32] [--threads 2] [--targets 1 4 16] [--no-masks]

Demo clips, each with a target, lie side by side in one large frame. Each number of targets is
tracked in turn, round by round. With masks and two threads or more, `PipelinedTracker` is timed as
well. Printed are medians over rounds of the mean of a step, without decoding.
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
from cyclesiam.tracking.network import Network
from cyclesiam.tracking.pipelined import PipelinedTracker
from cyclesiam.tracking.results import TrackResult
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
    alone = options.threads < 2 or options.no_masks
    modes = ("sequential",) if alone else ("sequential", "pipelined")
    networks = {mode: load(options, options.threads - (mode == "pipelined")) for mode in modes}
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for count in options.targets:
            for mode, network in networks.items():
                threads = options.threads - (mode == "pipelined")
                set_num_threads(threads)
                tracker = Tracker(network)
                tracker.start(images[0], boxes[:count])
                began = time.perf_counter()
                results = track(tracker, images[1:], pipelined=mode == "pipelined")
                elapsed = 1000 * (time.perf_counter() - began) / options.frames
                spent.setdefault((mode, count), []).append(elapsed)
                lost = sum(result.state != "tracking" for result in results)
                if lost:
                    print(f"{lost} of {count} targets are not tracked at the end")
    for (mode, count), times in spent.items():
        median, one = (statistics.median(spent[mode, n]) for n in (count, options.targets[0]))
        print(
            f"{count:3d} targets {mode:10s} {median:7.2f} ms "
            f"({min(times):.2f} to {max(times):.2f}), {median / one:5.2f} times that of "
            f"{options.targets[0]}"
        )


def load(options: argparse.Namespace, threads: int) -> Network:
    runtime = RuntimeConfig(runtime=options.runtime, precision=options.precision, threads=threads)
    device, masks = "cpu", not options.no_masks
    return load_network(options.weights, device, runtime, masks=masks)[0]


def track(
    tracker: Tracker, images: Sequence[np.ndarray], *, pipelined: bool
) -> tuple[TrackResult, ...]:
    """Track through all images; return the results in the last."""
    if not pipelined:
        return [tracker.step(image) for image in images][-1]
    with PipelinedTracker(tracker) as pipeline:
        return list(pipeline.track(images))[-1]


if __name__ == "__main__":
    main()
