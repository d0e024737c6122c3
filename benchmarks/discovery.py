"""How often discovered targets are annotated objects, beside random boxes.

    .venv/bin/python benchmarks/discovery.py --davis DAVIS_ROOT [--draws 20]

The annotations of DAVIS-2016 score the discovery here, and do nothing else. A draw counts as a
hit when it overlaps the annotated object by more than half.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from cyclesiam.data.discovery import DiscoveryConfig, discover_target
from cyclesiam.data.segmentation_datasets import DAVIS2016
from cyclesiam.data.segmentation_sequences import ObjectBoxes
from cyclesiam.evaluation.metrics import overlap
from cyclesiam.video import read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20, help="frames of each sequence")
    options = parser.parse_args()
    plain = DiscoveryConfig()
    ways = {
        "random boxes": replace(plain, sharpness=0.0, motion_preference=0.0),
        "contrast": replace(plain, motion_preference=0.0),
        "motion": replace(plain, motion_preference=1.0),
        "as trained": plain,
    }
    overlaps: dict[str, list[float]] = {way: [] for way in ways}
    for sequence in ObjectBoxes(DAVIS2016(options.davis)).sequences():
        chosen = np.linspace(0, len(sequence.frames) - 4, options.draws).astype(int)
        for index in chosen:
            image = read_image(sequence.frames[index])
            later = read_image(sequence.frames[index + 3])
            for way, config in ways.items():
                random = np.random.default_rng((7, int(index)))
                box = discover_target(image, later, random, config)
                overlaps[way].append(float(overlap(box, sequence.boxes[index])))
    print("share of draws that overlap the annotated object by more than half; mean overlap")
    for way, values in overlaps.items():
        print(f"{way:14s} {np.mean(np.array(values) > 0.5):6.1%}   {np.nanmean(values):.3f}")


if __name__ == "__main__":
    main()
