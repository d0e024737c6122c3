"""Examples to score trackers by without labels: synthetic motion, and cycles in real videos.

There are three kinds. `zooms` show a still through a view that pans and zooms. `pasted` show a
cut-out that changes while it moves over a scene, among an occluder and a look-alike. In both, the
box is known in every frame by construction. `cycles` are real videos to be tracked forward and
back, from a region that moves otherwise than the camera.

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
from cyclesiam.synthetic.compositing import CompositingConfig, deform, random_cutout
from cyclesiam.synthetic.sprites import Pose, Sprite, paste_sprite

ExampleKind = Literal["zooms", "pasted", "cycles"]
KINDS: tuple[ExampleKind, ...] = ("zooms", "pasted", "cycles")
VIEW = (352, 256)  # width and height of the frames of a zoom
MIN_CYCLE_FRAMES = 5  # frames to the turn; a shorter video shows no drift
MARK_INTERVAL = 5  # frames of a cycle between those whose moving regions are found
MOTION_GAP = 3  # frames between the two that motion is measured from
ATTEMPTS = 4  # parts of a video that are searched for a moving target
JITTER = CompositingConfig(deformation=0.02, color=0.03)  # of a pasted target, from frame to frame


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleConfig:
    """How many examples there are of each kind, and how long they are."""

    zooms: int = 10
    """Number of stills through a moving view."""
    pasted: int = 16
    """Number of cut-outs that move over scenes."""
    cycles: int = 16
    """Number of videos that are tracked forward and back."""
    frames: int = 80
    """Frames of a synthetic example; more make it harder."""
    cycle_frames: int = 45
    """Frames to the turn of a cycle; fewer where a video is shorter. More make it harder."""
    seed: int = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        if min(self.zooms, self.pasted, self.cycles) < 0 or self.frames < 2:
            raise ValueError(f"counts must be 0 or more, frames 2 or more, got {self}")
        if self.cycle_frames < MIN_CYCLE_FRAMES:
            raise ValueError(
                f"cycle_frames must be {MIN_CYCLE_FRAMES} or more, got {self.cycle_frames}"
            )


@dataclass(frozen=True, slots=True)
class Example:
    """Frames to track in, and what is known of the target.

    Args:
        kind: how it was made.
        frames: T images of one size; a cycle is tracked forward and back in them.
        boxes: (T, 4) of the target, NaN where unknown; in a cycle only the first is known.
        moving_regions: frame of a cycle to the (N, 4) regions in it that move otherwise than the
            camera; empty for the other kinds.
    """

    kind: ExampleKind
    frames: list[np.ndarray]
    boxes: np.ndarray
    moving_regions: dict[int, np.ndarray]


def make_examples(scenes: Sequence[Scene], config: ExampleConfig) -> list[Example]:
    """Draw examples from scenes; the same scenes and config give the same ones.

    A kind that the scenes do not allow is missing. Zooms need a still, or a frame of a video;
    cycles need a video in which something moves. A scene that cannot be read is left out.

    Raises:
        TrainingError: no example of any kind can be made.
    """
    examples: list[Example] = []
    for number, (kind, draw) in enumerate(zip(KINDS, (_zooms, _pasted, _cycles), strict=True)):
        # Each kind has its own generator: more of one leave the others as they are.
        rng = np.random.default_rng((config.seed, number))
        examples += draw(scenes, getattr(config, kind), config, rng)
    if not examples:
        raise TrainingError(
            f"nothing to score by: none of {len(scenes)} held-out scenes can be read and shows "
            "anything to track; give more videos or images"
        )
    return examples


def _zooms(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """Pan and zoom over stills, from a target with high contrast."""
    for image in sample_images(scenes, count, rng):
        height, width = image.shape[:2]
        scale = 0.6 * min(width / VIEW[0], height / VIEW[1])
        start = np.array([width / 2, height / 2, VIEW[0] * scale, VIEW[1] * scale])
        factor, drift = np.exp(rng.uniform(-0.5, 0.5)), rng.uniform(-0.15, 0.15, 2)
        views = [
            np.concatenate((start[:2] + part * drift * (width, height), start[2:] * factor**part))
            for part in np.linspace(0, 1, config.frames)
        ]
        frames = [_render(image, view) for view in views]
        target = discover_target(frames[0], None, rng, DiscoveryConfig()).box
        boxes = np.array([_box_in_view(target, views[0], view) for view in views])
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        boxes[((centers < 0) | (centers > VIEW)).any(axis=1)] = np.nan  # mostly out of view
        yield Example("zooms", frames, boxes, {})


def _render(image: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Resize a view (cxcywh in the image's pixels) of an image to a frame."""
    matrix = crop_to_image_matrix(view.tolist(), VIEW)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, VIEW, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _box_in_view(box: np.ndarray, first: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Map a box, xyxy in the frame of the first view, to the frame of another view."""
    corners = box.reshape(2, 2) / VIEW * first[2:] + first[:2] - first[2:] / 2
    return ((corners - view[:2] + view[2:] / 2) / view[2:] * VIEW).ravel()


def _pasted(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """Move cut-outs over scenes, while each turns into another piece of the same image."""
    videos = [scene for scene in scenes if scene.frames > 1] or list(scenes)
    donors = sample_images(scenes, 2 * count, rng)
    for scene in round_robin(videos, count, rng):
        background = read_downscaled(scene, 0, config.frames)
        pair = [donor for _, donor in zip(range(2), donors, strict=False)]
        if not background or len(pair) < 2:
            continue
        # A short scene is shown forward and back.
        background = (background + background[-2::-1]) * config.frames
        frames, boxes = _paste_target(background[: config.frames], pair, rng)
        if np.isfinite(boxes[0]).all():
            yield Example("pasted", frames, boxes, {})


def _paste_target(
    background: list[np.ndarray], donors: list[np.ndarray], rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Paste a target, a look-alike behind it and an occluder in front of it on T frames."""
    count, frame_size = len(background), (background[0].shape[0], background[0].shape[1])
    path = _smooth_path(count, frame_size, rng)
    side = int(np.clip(np.sqrt(path[0].size.prod()), 24, 128))
    target, later = random_cutout(donors[0], side, rng), random_cutout(donors[0], side, rng)
    lookalike = Sprite(target.pixels, random_cutout(donors[0], side, rng).alpha)
    occluder = random_cutout(donors[1], side, rng)
    behind = _resized(_smooth_path(count, frame_size, rng), path)
    in_front = _resized(_smooth_path(count, frame_size, rng), path)
    frames, boxes = [], []
    for time, frame in enumerate(background):
        image = frame.copy()
        weight = 0.6 * time / max(count - 1, 1)  # at the end, most of the appearance is new
        pixels = cv2.addWeighted(target.pixels, 1 - weight, later.pixels, weight, 0)
        paste_sprite(image, deform(lookalike, rng, JITTER), behind[time])
        changed = deform(Sprite(np.asarray(pixels), target.alpha), rng, JITTER)
        boxes.append(paste_sprite(image, changed, path[time]))
        paste_sprite(image, deform(occluder, rng, JITTER), in_front[time])
        frames.append(image)
    return frames, np.stack(boxes)


def _smooth_path(count: int, frame_size: tuple[int, int], rng: np.random.Generator) -> list[Pose]:
    """Draw `count` poses on a smooth path that stays in a frame (height, width)."""
    height, width = frame_size
    side = min(frame_size) * np.exp(rng.uniform(np.log(0.15), np.log(0.4)))
    waves = rng.uniform(0.3, 2.0, 4) * 2 * np.pi  # x, y, size, angle over the whole time
    phases = rng.uniform(0, 2 * np.pi, 4)
    reach, stretch = rng.uniform(0.1, 0.35, 2), np.exp(rng.normal(0, 0.2))
    poses = []
    for part in np.linspace(0, 1, count):
        swing = np.sin(waves * part + phases)
        center = (0.5 + reach * swing[:2]) * (width, height)
        size = side * np.exp(0.3 * swing[2]) * np.array([stretch, 1 / stretch])
        poses.append(Pose(center, size, 0.6 * float(swing[3])))
    return poses


def _resized(poses: list[Pose], like: list[Pose]) -> list[Pose]:
    return [replace(pose, size=other.size) for pose, other in zip(poses, like, strict=True)]


def _cycles(
    scenes: Sequence[Scene], count: int, config: ExampleConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """Read parts of videos that begin with a moving region."""
    videos = [scene for scene in scenes if scene.frames > MIN_CYCLE_FRAMES]
    for scene in round_robin(videos, count, rng):
        for _ in range(ATTEMPTS):
            first = int(rng.integers(max(scene.frames - config.cycle_frames, 1)))
            frames = read_downscaled(scene, first, config.cycle_frames + 1)
            if len(frames) <= MIN_CYCLE_FRAMES:
                continue
            targets = moving_regions(frames[0], frames[MOTION_GAP])
            if len(targets):
                boxes = np.full((len(frames), 4), np.nan)
                boxes[0] = targets[rng.integers(len(targets))]
                yield Example("cycles", frames, boxes, _find_motion(frames))
                break


def _find_motion(frames: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Return the moving regions of every fifth frame; frames without any are left out."""
    marks = range(MARK_INTERVAL, len(frames) - MOTION_GAP, MARK_INTERVAL)
    moving = {mark: moving_regions(frames[mark], frames[mark + MOTION_GAP]) for mark in marks}
    return {mark: regions for mark, regions in moving.items() if len(regions)}
