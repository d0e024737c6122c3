"""Compare settings of the tracker without any label: made motion, and cycles in real clips.

    .venv/bin/python benchmarks/settings.py CLIPS STILLS [--weights default] [--count 24]

Still pictures are shown through a view that pans and zooms, so that the box of a discovered target
is known in every frame; cut-outs are pasted over real clips, and move smoothly. Real clips are
walked forward and back, and the box at home is compared with the one that the walk began with. The
figure of each is the mean overlap.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from cyclesiam.data.compositing import CompositingConfig, composite
from cyclesiam.data.discovery import DiscoveryConfig, discover_target
from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.evaluation.metrics import overlap
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.models.checkpoints import load_weights
from cyclesiam.tracking.siamese import Network
from cyclesiam.tracking.tracker import Tracker, TrackerConfig
from cyclesiam.video import read_image, read_run

SIZE = (352, 256)  # width and height of the synthetic frames
FRAMES = 40
REACH = 20  # frames to the turn of a cycle in a real clip

SMOOTH = CompositingConfig(
    smallest=0.12, largest=0.4, shift=0.06, scale=0.02, rotation=0.03, bend=0.02, light=0.03
)

Example = tuple[list[np.ndarray], np.ndarray]  # frames; boxes (T, 4) xyxy, NaN where unknown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("stills", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--count", type=int, default=24, help="examples of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, _ = load_weights(options.weights)
    random = np.random.default_rng(5)
    kinds = {
        "zooms": list(zooms(options.stills, options.count, random)),
        "pasted": list(pasted(options.clips, options.stills, options.count, random)),
        "cycles": list(cycles(options.clips, options.count, random)),
    }
    print(f"{'':24s}", *(f"{kind:>8s}" for kind in kinds))
    for name, config in settings().items():
        scores = (
            np.mean([mean_overlap(network, config, example) for example in examples])
            for examples in kinds.values()
        )
        print(f"{name:24s}", *(f"{score:8.3f}" for score in scores), flush=True)


def settings() -> dict[str, TrackerConfig]:
    """Change one setting at a time."""
    plain = TrackerConfig()
    changes: list[tuple[str, Sequence[float]]] = [
        ("size_smoothing", (0.15, 0.6)),
        ("window_influence", (0.3, 0.5)),
        ("size_penalty", (0.04, 0.15)),
    ]
    named = {"as it is": plain}
    for field, values in changes:
        for value in values:
            choice = replace(plain.choice, **{field: value})
            named[f"{field} {value}"] = replace(plain, choice=choice)
    for share in (0.0, 0.5, 0.85):
        named[f"filter {share}"] = replace(plain, online=replace(plain.online, share=share))
    return named


def mean_overlap(network: Network, config: TrackerConfig, example: Example) -> float:
    """Track through an example; give the mean overlap where the truth is known, past frame 0."""
    frames, boxes = example
    tracker = Tracker(network, config)
    left, top, right, bottom = boxes[0]
    tracker.init(frames[0], (left, top, right - left, bottom - top))
    found = np.array([tracker.update(frame).box for frame in frames[1:]])
    return float(np.nanmean(overlap(found, boxes[1:])))


def zooms(folder: Path, count: int, random: np.random.Generator) -> Iterator[Example]:
    """Show stills through a moving view: the truth is known by construction."""
    for scene in draw(folder, count, random):
        image = read_image(scene.path)
        height, width = image.shape[:2]
        scale = 0.6 * min(width / SIZE[0], height / SIZE[1])
        start = np.array([width / 2, height / 2, SIZE[0] * scale, SIZE[1] * scale])
        factor = np.exp(random.uniform(-0.5, 0.5))
        drift = random.uniform(-0.15, 0.15, 2) * (width, height)
        frames, views = [], []
        for part in np.linspace(0, 1, FRAMES):
            view = np.concatenate((start[:2] + part * drift, start[2:] * factor**part))
            views.append(view)
            matrix = crop_to_image_matrix(view.tolist(), SIZE)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            frames.append(
                cv2.warpAffine(image, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
            )
        target = discover_target(frames[0], None, random, DiscoveryConfig())
        yield frames, np.array([seen(target, views[0], view) for view in views])


def pasted(clips: Path, stills: Path, count: int, random: np.random.Generator) -> Iterator[Example]:
    """Let cut-outs of stills move smoothly over real clips: the truth is known, too."""
    donors = [read_image(scene.path) for scene in draw(stills, 2 * count, random)]
    for number, scene in enumerate(draw(clips, count, random)):
        run = read_run(scene.path, 0, FRAMES)
        yield composite(run, donors[2 * number : 2 * number + 2], random, SMOOTH)[:2]


def seen(box: np.ndarray, first: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Give a box, xyxy in the frame of the first view, as another view shows it."""
    corners = box.reshape(2, 2) / SIZE * first[2:] + first[:2] - first[2:] / 2
    return ((corners - view[:2] + view[2:] / 2) / view[2:] * SIZE).ravel()


def cycles(folder: Path, count: int, random: np.random.Generator) -> Iterator[Example]:
    """Walk real clips forward and back: only home is known."""
    for scene in draw(folder, count, random):
        run = read_run(scene.path, 0, REACH + 1)
        moving = DiscoveryConfig(motion_preference=1.0)
        target = discover_target(run[0], run[min(3, len(run) - 1)], random, moving)
        frames = run + run[-2::-1]
        boxes = np.full((len(frames), 4), np.nan)
        boxes[0] = boxes[-1] = target
        yield frames, boxes


def draw(folder: Path, count: int, random: np.random.Generator) -> list[Scene]:
    scenes, _ = find_scenes([folder])
    return [scenes[i] for i in random.permutation(len(scenes))[:count]]


if __name__ == "__main__":
    main()
