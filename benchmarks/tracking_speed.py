"""Compare the CPU time of a tracking step with OpenCV's trackers, on one thread, in turn.

    .venv/bin/python benchmarks/tracking_speed.py [--weights default] [--rounds 7] [--frames 20]

Each round runs every tracker over the same frames of the demo clip, one after another. Printed are
medians over rounds; ratios are taken within each round. CPU time is measured, not wall time: on a
busy machine only CPU time is reliable. Only its ratios can be compared between machines.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

# Before anything loads a BLAS. `setNumThreads` does not reach the threads of OpenCV's BLAS. They
# wait busily, so their time after a step of KCF would count for the next tracker.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cv2
import torch

from cyclesiam.evaluation.trackers.cyclesiam import CycleSiamTracker
from cyclesiam.evaluation.trackers.interface import BoxTracker
from cyclesiam.evaluation.trackers.opencv import OPENCV_TRACKERS
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.synthetic.demo_clip import make_demo_clip
from cyclesiam.tracking.tracker import Tracker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network, _ = load_weights(options.weights)
    makers: dict[str, Callable[[], BoxTracker]] = {
        "cyclesiam": lambda: CycleSiamTracker(Tracker(network), region="bare_box"),
        "csrt": OPENCV_TRACKERS["csrt"],
        "kcf": OPENCV_TRACKERS["kcf"],
    }
    if network.has_masks:
        makers["with masks"] = lambda: CycleSiamTracker(Tracker(network), region="rotated")
    clip = make_demo_clip(frames=options.frames + 1, width=640, height=480)
    left, top, right, bottom = clip.boxes[0]
    box = (left, top, right - left, bottom - top)
    milliseconds: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(-1, options.rounds):  # the first round warms up
        for name, make in makers.items():
            tracker = make()
            tracker.init(clip.images[0], box)
            start = time.process_time()
            for image in clip.images[1:]:
                tracker.update(image)
            spent = (time.process_time() - start) / options.frames * 1000
            if number >= 0:
                milliseconds[name].append(spent)
    print(
        f"CPU ms a frame, 640x480, one thread, {options.rounds} rounds of {options.frames} frames"
    )
    for name, values in milliseconds.items():
        print(
            f"{name:10s} median {statistics.median(values):7.2f}   "
            f"of CSRT {ratio_of(values, milliseconds['csrt'])}"
        )
    if "with masks" in milliseconds:
        ratio = ratio_of(milliseconds["with masks"], milliseconds["cyclesiam"])
        print(f"Masks and rotated boxes, over boxes alone: {ratio}")


def ratio_of(values: list[float], others: list[float]) -> str:
    """Return the median ratio, and its range over the rounds, as text."""
    ratios = [a / b for a, b in zip(values, others, strict=True)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


if __name__ == "__main__":
    main()
