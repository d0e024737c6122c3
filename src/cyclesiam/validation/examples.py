"""Examples to judge trackers by without labels: made motion, and cycles in real clips.

Of three kinds. `zooms` show a still picture through a view that pans and zooms; `pasted` let a
cut-out that changes move over a scene, among an occluder and a look-alike: in both the box is known
in every frame by construction. `cycles` are real videos to be walked forward and back from a region
that moves otherwise than the camera.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.data.discovery import DiscoveryConfig, discover_target, moving_regions
from cyclesiam.data.scenes import Scene, read_downscaled, round_robin, sample_images
from cyclesiam.errors import TrainingError
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.synthetic.compositing import (
    CompositingConfig,
    Pose,
    Sprite,
    deform,
    paste_sprite,
    random_cutout,
)

ExampleKind = Literal["zooms", "pasted", "cycles"]
KINDS: tuple[ExampleKind, ...] = ("zooms", "pasted", "cycles")
VIEW = (352, 256)  # width and height of the frames of a zoom
SHORTEST_CYCLE = 5  # frames to the turn, below which a video shows no drift
MARK_EVERY = 5  # frames of a cycle between those whose moving regions are looked up
MOTION_GAP = 3  # frames between the two that motion is measured from
ATTEMPTS = 4  # moments of a video at which a moving target is looked for
JITTER = CompositingConfig(deformation=0.02, color=0.03)  # of a pasted target, from frame to frame


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleConfig:
    """How many examples of each kind, and how long they are."""

    zooms: int = 10
    """Stills seen through a moving view."""
    pasted: int = 16
    """Cut-outs over scenes."""
    cycles: int = 16
    """Walks forward and back in videos."""
    frames: int = 80
    """Frames of a made example."""
    cycle_frames: int = 45
    """Frames to the turn of a cycle; fewer where a video is shorter."""
    seed: int = 0
    """Of all chance."""

    def __post_init__(self) -> None:
        if min(self.zooms, self.pasted, self.cycles) < 0 or self.frames < 2:
            raise ValueError(f"counts must be 0 or more, frames 2 or more, got {self}")
        if self.cycle_frames < SHORTEST_CYCLE:
            raise ValueError(
                f"cycle_frames must be {SHORTEST_CYCLE} or more, got {self.cycle_frames}"
            )


@dataclass(frozen=True, slots=True)
class Example:
    """What a tracker is shown, and what is known of it.

    Args:
        kind: how it was made.
        frames: T pictures of one size; those of a cycle are to be walked forward and back.
        boxes: (T, 4) of the target, NaN where unknown; of a cycle only the first is known.
        moving: of a cycle, by frame: (N, 4) regions that move otherwise than the camera.
    """

    kind: ExampleKind
    frames: list[np.ndarray]
    boxes: np.ndarray
    moving_regions: dict[int, np.ndarray]


def make_examples(scenes: Sequence[Scene], config: ExampleConfig) -> list[Example]:
    """Draw examples from scenes; the same scenes and config give the same ones.

    Kinds that the scenes do not allow are missing in the answer: zooms need a still (or a frame of
    a video), cycles a video in which something moves. A scene that cannot be read is passed over.

    Raises:
        TrainingError: no example of any kind can be made.
    """
    examples: list[Example] = []
    for number, (kind, draw) in enumerate(zip(KINDS, (_zooms, _pasted, _cycles), strict=True)):
        # each kind has its own chance: more of one leave the others as they are
        rng = np.random.default_rng((config.seed, number))
        examples += draw(scenes, getattr(config, kind), config, rng)
    if not examples:
        raise TrainingError(
            f"nothing to judge by: of {len(scenes)} held-out scenes none can be read and shows "
            "anything to follow; give more videos or pictures"
        )
    return examples


def _zooms(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    for image in sample_images(scenes, count, rng):
        height, width = image.shape[:2]
        scale = 0.6 * min(width / VIEW[0], height / VIEW[1])
        start = np.array([width / 2, height / 2, VIEW[0] * scale, VIEW[1] * scale])
        factor, drift = np.exp(rng.uniform(-0.5, 0.5)), rng.uniform(-0.15, 0.15, 2)
        views = [
            np.concatenate((start[:2] + part * drift * (width, height), start[2:] * factor**part))
            for part in np.linspace(0, 1, config.frames)
        ]
        frames = [_look(image, view) for view in views]
        target = discover_target(frames[0], None, rng, DiscoveryConfig()).box
        boxes = np.array([_seen(target, views[0], view) for view in views])
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        boxes[((middles < 0) | (middles > VIEW)).any(axis=1)] = np.nan  # mostly out of sight
        yield Example("zooms", frames, boxes, {})


def _look(image: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Show an image through a view, cxcywh in its pixels."""
    matrix = crop_to_image_matrix(view.tolist(), VIEW)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, VIEW, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _seen(box: np.ndarray, first: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Give a box, xyxy in the frame of the first view, as another view shows it."""
    corners = box.reshape(2, 2) / VIEW * first[2:] + first[:2] - first[2:] / 2
    return ((corners - view[:2] + view[2:] / 2) / view[2:] * VIEW).ravel()


def _pasted(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """Let a cut-out go to and fro over a scene, and turn into another of the same picture."""
    videos = [scene for scene in scenes if scene.frames > 1] or list(scenes)
    donors = sample_images(scenes, 2 * count, rng)
    for scene in round_robin(videos, count, rng):
        run = read_downscaled(scene, 0, config.frames)
        pair = [donor for _, donor in zip(range(2), donors, strict=False)]
        if not run or len(pair) < 2:
            continue
        run = (run + run[-2::-1]) * config.frames  # a short scene goes to and fro
        frames, boxes = _paste_over(run[: config.frames], pair, rng)
        if np.isfinite(boxes[0]).all():
            yield Example("pasted", frames, boxes, {})


def _paste_over(
    run: list[np.ndarray], donors: list[np.ndarray], rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Paste a target, a look-alike behind it and an occluder before it over T frames."""
    count, frame_size = len(run), (run[0].shape[0], run[0].shape[1])
    path = _wander(count, frame_size, rng)
    side = int(np.clip(np.sqrt(path[0].size.prod()), 24, 128))
    target, later = random_cutout(donors[0], side, rng), random_cutout(donors[0], side, rng)
    alike = Sprite(target.pixels, random_cutout(donors[0], side, rng).alpha)
    occluder = random_cutout(donors[1], side, rng)
    behind = _resized(_wander(count, frame_size, rng), path)
    before = _resized(_wander(count, frame_size, rng), path)
    frames, boxes = [], []
    for time, frame in enumerate(run):
        picture = frame.copy()
        share = 0.6 * time / max(count - 1, 1)  # at the end, most of the look is new
        pixels = cv2.addWeighted(target.pixels, 1 - share, later.pixels, share, 0)
        paste_sprite(picture, deform(alike, rng, JITTER), behind[time])
        changed = deform(Sprite(np.asarray(pixels), target.alpha), rng, JITTER)
        boxes.append(paste_sprite(picture, changed, path[time]))
        paste_sprite(picture, deform(occluder, rng, JITTER), before[time])
        frames.append(picture)
    return frames, np.stack(boxes)


def _wander(count: int, frame_size: tuple[int, int], rng: np.random.Generator) -> list[Pose]:
    """Draw a smooth way to and fro that stays in a frame (height, width)."""
    height, width = frame_size
    side = min(frame_size) * np.exp(rng.uniform(np.log(0.15), np.log(0.4)))
    waves = rng.uniform(0.3, 2.0, 4) * 2 * np.pi  # x, y, size, angle over the whole time
    phases = rng.uniform(0, 2 * np.pi, 4)
    reach, stretch = rng.uniform(0.1, 0.35, 2), np.exp(rng.normal(0, 0.2))
    poses = []
    for part in np.linspace(0, 1, count):
        swing = np.sin(waves * part + phases)
        centre = (0.5 + reach * swing[:2]) * (width, height)
        size = side * np.exp(0.3 * swing[2]) * np.array([stretch, 1 / stretch])
        poses.append(Pose(centre, size, 0.6 * float(swing[3])))
    return poses


def _resized(poses: list[Pose], like: list[Pose]) -> list[Pose]:
    return [replace(pose, size=other.size) for pose, other in zip(poses, like, strict=True)]


def _cycles(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    videos = [scene for scene in scenes if scene.frames > SHORTEST_CYCLE]
    for scene in round_robin(videos, count, rng):
        for _ in range(ATTEMPTS):
            first = int(rng.integers(max(scene.frames - config.cycle_frames, 1)))
            run = read_downscaled(scene, first, config.cycle_frames + 1)
            if len(run) <= SHORTEST_CYCLE:
                continue
            targets = moving_regions(run[0], run[MOTION_GAP])
            if len(targets):
                boxes = np.full((len(run), 4), np.nan)
                boxes[0] = targets[rng.integers(len(targets))]
                yield Example("cycles", run, boxes, _moving(run))
                break


def _moving(run: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Find what moves in some frames of a run; frames in which nothing does are left out."""
    marks = range(MARK_EVERY, len(run) - MOTION_GAP, MARK_EVERY)
    found = {mark: moving_regions(run[mark], run[mark + MOTION_GAP]) for mark in marks}
    return {mark: regions for mark, regions in found.items() if len(regions)}
