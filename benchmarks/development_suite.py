"""One pass over the development suite: AUC, lost frames, and the split by size.

    .venv/bin/python benchmarks/development_suite.py WEIGHTS [...] [--root SUITE] [--output FOLDER]

WEIGHTS are names or folders. The suite is unpacked in the form of its benchmarks: `otb`,
`otb_more`, `vot2018`, `uav123`, `davis2016`. Tracking starts at the first box. A frame is lost
where the overlap is below 0.1. Means are over targets. Results are kept in FOLDER, one file for
each name of weights, and not computed again. By default boxes are the network's own, without
masks; `--masks` takes the tracker as it is shipped.
"""

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cv2
import numpy as np
import torch

from cyclesiam.datasets.registry import TRACKING_DATASETS
from cyclesiam.datasets.sequences import TrackingSequence
from cyclesiam.deployment.runtimes import Precision, RuntimeChoice
from cyclesiam.evaluation.protocols.one_pass import run_one_pass
from cyclesiam.geometry.boxes import box_iou
from cyclesiam.tracking.tracker import Tracker

FOLDERS = {
    "otb": "otb",
    "otb_more": "otb",
    "vot2018": "vot2018",
    "uav123": "uav123",
    "davis2016": "davis2016",
}
LOST = 0.1  # overlap below which a frame is lost
SIZES = {"under 40 px": (0, 40), "40 to 80 px": (40, 80), "above 80 px": (80, np.inf)}
THRESHOLDS = np.linspace(0, 1, 21)


class PlainBoxes:
    """A tracker as the one-pass protocol wants it: a box in, a box out."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def init(self, image: np.ndarray, box: tuple[float, float, float, float]) -> None:
        self.tracker.init(image, box)

    def update(self, image: np.ndarray) -> tuple[float, float, float, float]:
        left, top, right, bottom = self.tracker.update(image).box
        return left, top, right - left, bottom - top


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for weights in options.weights:
        name = "-".join(Path(weights).parts[-2:])
        runtime = "" if options.runtime == "pytorch" else f"-{options.runtime}-{options.precision}"
        file = options.output / f"{name}{'-masks' if options.masks else ''}{runtime}.json"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            tracker = Tracker(
                weights,
                runtime=options.runtime,
                precision=options.precision,
                threads=1,
                masks=options.masks,
            )
            file.write_text(json.dumps(evaluate(tracker, options.root)))
        print(f"{file.stem:32s}", summary(json.loads(file.read_text())), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", nargs="+")
    default = os.environ.get("CYCLESIAM_EVAL", Path.home() / ".cache/cyclesiam/eval")
    parser.add_argument("--root", type=Path, default=default)
    parser.add_argument("--output", type=Path, default=Path("runs/suite"))
    parser.add_argument("--masks", action="store_true", help="boxes that heed masks")
    parser.add_argument("--runtime", default="pytorch", choices=get_args(RuntimeChoice))
    parser.add_argument("--precision", default="auto", choices=get_args(Precision))
    return parser.parse_args()


def evaluate(tracker: Tracker, root: Path) -> dict[str, dict[str, float]]:
    """Return AUC, ratio of lost frames and first size of each target."""
    results = {}
    for name, sequence in sequences(root):
        trajectory = run_one_pass(PlainBoxes(tracker), sequence)
        known = ~np.isnan(sequence.boxes).any(axis=1)
        overlaps = box_iou(trajectory.boxes[known], sequence.boxes[known])
        width, height = sequence.boxes[0, 2:] - sequence.boxes[0, :2]
        results[name] = {
            "auc": float((overlaps[:, None] > THRESHOLDS).mean()),
            "lost": float((overlaps < LOST).mean()),
            "size": float(np.sqrt(width * height)),
        }
    return results


def sequences(root: Path) -> Iterator[tuple[str, TrackingSequence]]:
    """Read all targets of the suite, each with a name that no other has."""
    for folder, benchmark in FOLDERS.items():
        for sequence in TRACKING_DATASETS[benchmark](root / folder).sequences():
            yield f"{folder}/{sequence.name}", sequence


def summary(results: dict[str, dict[str, float]]) -> str:
    """Return the means as a line."""
    targets = [*results.values()]
    auc, lost = (statistics.fmean(target[key] for target in targets) for key in ("auc", "lost"))
    parts = [f"AUC {auc:.3f}", f"lost {lost:.1%}"]
    for size, (low, high) in SIZES.items():
        chosen = [target["auc"] for target in targets if low <= target["size"] < high]
        parts.append(f"{size} ({len(chosen)}) {statistics.fmean(chosen):.3f}")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
