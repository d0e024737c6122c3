"""How often tubes are annotated objects.

    .venv/bin/python benchmarks/tube_precision.py --davis DAVIS_2016_ROOT [--davis2017 ROOT]

The annotations of DAVIS score the tubes here, and do nothing else. A frame of a tube counts as
right when its box overlaps that of an annotated object by more than half. What moves and was not
annotated counts as wrong.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.data.tubes import DEFAULT_TUBES, Tube, find_tubes
from cyclesiam.datasets.davis import DAVIS2016, DAVIS2017
from cyclesiam.datasets.segmentation_sequences import SegmentationSequence
from cyclesiam.evaluation.metrics.boxes import iou
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.video import read_image


class Overlap(NamedTuple):
    """Overlaps of one frame of a tube with the annotated object that it overlaps most."""

    box: float
    mask: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016")
    parser.add_argument("--davis2017", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    datasets = [DAVIS2016(options.davis)]
    datasets += [DAVIS2017(options.davis2017)] if options.davis2017 else []
    overlaps: list[Overlap] = []
    found = frames = 0
    seconds = 0.0
    sequences = [dataset.read(name) for dataset in datasets for name in dataset.names]
    for sequence in sequences:
        images = [read_image(path) for path in sequence.frames]
        begin = time.process_time()
        tubes = find_tubes(images, DEFAULT_TUBES)
        seconds, frames = seconds + time.process_time() - begin, frames + len(images)
        own = [overlap for tube in tubes for overlap in compare(tube, sequence)]
        overlaps += own
        found += sum(overlap.box > 0.5 for overlap in own) >= DEFAULT_TUBES.min_length
        print(f"{sequence.name:20s} {len(tubes)} tubes  {describe(own)}")
    print(f"{'all':20s} {found} of {len(sequences)} sequences  {describe(overlaps)}")
    print(f"{1000 * seconds / frames:.0f} ms of CPU time a frame")


def compare(tube: Tube, sequence: SegmentationSequence) -> list[Overlap]:
    """Return the overlap of each frame of a tube with the best annotated object."""
    overlaps = []
    for number, box in enumerate(tube.boxes):
        labels = sequence.labels(tube.first + number)
        mask = tube.mask_in(number, (labels.shape[0], labels.shape[1])) > 127
        best = Overlap(0.0, 0.0)
        for label in np.unique(labels[labels > 0]):
            truth = labels == label
            joint = np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)
            best = max(best, Overlap(float(iou(box, mask_to_box(truth))), float(joint)))
        overlaps.append(best)
    return overlaps


def describe(overlaps: list[Overlap]) -> str:
    """Return precision, and mean overlaps of all frames and of those that are right."""
    if not overlaps:
        return "-"
    values = np.array(overlaps)
    right = values[values[:, 0] > 0.5]
    box, mask = values.mean(axis=0)
    text = f"{len(values)} frames, {len(right) / len(values):.2f} right, "
    text += f"box {box:.2f}, mask {mask:.2f}"
    if len(right):
        box, mask = right.mean(axis=0)
        text += f"; of the right ones {box:.2f}, {mask:.2f}"
    return text


if __name__ == "__main__":
    main()
