"""How often discovered targets are annotated objects, beside random boxes.

    .venv/bin/python benchmarks/discovery.py --davis DAVIS_ROOT [--draws 20]

The annotations of DAVIS-2016 score the discovery here, and do nothing else. A draw counts as a
hit when it overlaps the annotated object by more than half. Frames are seen as in training: their
center, on a canvas of 352 x 256. Moving regions are drawn where there are any, and counted apart.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.data.discovery import DEFAULT_DISCOVERY, STRICT_DISCOVERY, discover_target
from cyclesiam.datasets.davis import DAVIS2016
from cyclesiam.datasets.segmentation_sequences import BoxesFromMasks
from cyclesiam.evaluation.metrics.boxes import iou
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.video import read_image

CANVAS = 352, 256  # width and height of clips in training


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20, help="frames of each sequence")
    options = parser.parse_args()
    plain = DEFAULT_DISCOVERY
    cv2.setNumThreads(1)
    configs = {
        "random boxes": replace(plain, contrast_sharpness=0.0, motion_probability=0.0),
        "contrast": replace(plain, motion_probability=0.0),
        "motion": replace(plain, motion_probability=1.0),
        "default": plain,
        "bidirectional": replace(plain, motion_probability=1.0, bidirectional=True),
        "strict": replace(STRICT_DISCOVERY, motion_probability=1.0),
        "strict, default probability": STRICT_DISCOVERY,
    }
    strict = replace(STRICT_DISCOVERY, motion_probability=1.0)
    for least in (3.0, 6.0, 10.0):
        configs[f"strict, texture {least:g}"] = replace(strict, min_texture=least)
    for name in ("bidirectional", "merge_gap", "min_motion_ratio"):
        configs[f"strict, no {name}"] = replace(strict, **{name: getattr(plain, name)})
    overlaps: dict[str, list[tuple[float, bool]]] = {name: [] for name in configs}
    seconds = dict.fromkeys(configs, 0.0)
    for image, before, after, later, box, number in frames(options.davis, options.draws):
        for name, config in configs.items():
            rng = np.random.default_rng((7, int(number)))
            begin = time.process_time()
            target = discover_target(image, later, rng, config, neighbors=(before, after))
            seconds[name] += time.process_time() - begin
            overlaps[name].append((float(iou(target.box, box)), target.reason == "motion"))
    print("hits of all draws; mean overlap; ratio by motion; hits of these; time of a draw")
    for name, values in overlaps.items():
        value, moving = np.array(values).T
        hits, moving = value > 0.5, moving.astype(bool)
        of_moving = f"{hits[moving].mean():6.1%}" if moving.any() else "     -"
        print(
            f"{name:24s} {hits.mean():6.1%}  {np.nanmean(value):.3f}  {moving.mean():4.0%}  "
            f"{of_moving}  {1000 * seconds[name] / len(values):.1f} ms"
        )


def frames(root: Path, draws: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield a frame, those just before and after, a later one, the object's box, and a number."""
    for sequence in BoxesFromMasks(DAVIS2016(root)).sequences():
        for index in np.linspace(1, len(sequence.frames) - 4, draws).astype(int):
            images = [read_image(sequence.frames[index + step]) for step in (0, -1, 1, 3)]
            height, width = images[0].shape[:2]
            scale = min(height / CANVAS[1], width / CANVAS[0])
            size = np.array(CANVAS) * scale
            corner = (np.array([width, height]) - size) / 2
            view = crop_to_image_matrix([width / 2, height / 2, *size.tolist()], CANVAS)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            views = [cv2.warpAffine(image, view, CANVAS, flags=flags) for image in images]
            box = (sequence.boxes[index].reshape(2, 2) - corner) / scale
            yield *views, np.clip(box, 0, CANVAS).reshape(4), np.array(index)


if __name__ == "__main__":
    main()
