"""Clips in which an object of a still moves over a real video, and slowly changes its look.

Look-alikes of the object pass behind it, and another thing passes in front. So its box is known in
every frame, without labels.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.data.scenes import Scene, read_downscaled, round_robin, sample_images
from cyclesiam.synthetic.compositing import CompositingConfig, deform, random_cutout
from cyclesiam.synthetic.cutouts import object_cutout, segment_object
from cyclesiam.synthetic.sprites import (
    MAX_SPRITE_SIZE,
    SPRITE_FILL,
    Pose,
    Sprite,
    paste_sprite,
)

ATTEMPTS = 5  # images that are searched for an object before a piece of the last one is used
SIDES = 0.08, 0.35  # of a target, over the frame's shorter side
REACH = 0.15, 0.4  # how far a path leads from the middle, over the frame's sides
WAVES = 0.3, 0.8  # of a path, in WAVE_FRAMES frames
WAVE_FRAMES = 32
JITTER = CompositingConfig(deformation=0.02, color=0.03)  # of a thing, from frame to frame
NEW_LOOK = 0.35  # weight of the other look at the end
MAX_LOOKALIKES = 2
MIN_VISIBLE = 0.7  # ratio of the target that the first frame must show
HIDDEN_BELOW = 0.1  # ratio below which its box counts as unknown


class ObjectClip(NamedTuple):
    """A clip with a target.

    Args:
        frames: T images of one size.
        boxes: (T, 4) of the whole target; NaN where it is hidden.
    """

    frames: list[np.ndarray]
    boxes: np.ndarray


def draw_object_clips(
    scenes: Sequence[Scene], count: int, frames: int, rng: np.random.Generator
) -> Iterator[ObjectClip]:
    """Draw clips of some frames from scenes; a scene that cannot be read is left out.

    Targets are whole objects where stills show any, otherwise pieces of images.
    """
    videos = [scene for scene in scenes if scene.frames > 1] or list(scenes)
    images = sample_images(scenes, (ATTEMPTS + 2) * count, rng)
    for scene in round_robin(videos, count, rng):
        first = int(rng.integers(max(scene.frames - frames, 0) + 1))
        background = read_downscaled(scene, first, frames)
        target, others = find_sprite(images, rng), [*islice(images, 2)]
        if not background or target is None or len(others) < 2:
            continue
        # A short scene is shown forward and back.
        background = ((background + background[-2::-1]) * frames)[:frames]
        look, occluder = (random_cutout(image, MAX_SPRITE_SIZE, rng) for image in others)
        clip = render_object(background, target, look.pixels, occluder, rng)
        if np.isfinite(clip.boxes[0]).all():
            yield clip


def find_sprite(images: Iterator[np.ndarray], rng: np.random.Generator) -> Sprite | None:
    """Return the first object in some images, or a piece of the last; None without images."""
    image = None
    for image in islice(images, ATTEMPTS):
        mask = segment_object(image)
        if mask is not None:
            size = (image.shape[1], image.shape[0])
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
            return object_cutout(image, np.asarray(mask))
    return None if image is None else random_cutout(image, MAX_SPRITE_SIZE, rng)


def render_object(
    background: Sequence[np.ndarray],
    target: Sprite,
    look: np.ndarray,
    occluder: Sprite,
    rng: np.random.Generator,
) -> ObjectClip:
    """Move a target over frames, between look-alikes behind it and an occluder before it.

    Args:
        background: T frames of a scene; they are not changed.
        target: what moves.
        look: (S, S, 3) pixels that the target's take on in part, S as in `target`.
        occluder: what passes in front.
        rng: random numbers.
    """
    count, frame_size = len(background), (background[0].shape[0], background[0].shape[1])
    path = object_path(count, frame_size, target.aspect, rng)
    behind = [
        _lookalike(target, path, frame_size, rng) for _ in range(rng.integers(MAX_LOOKALIKES + 1))
    ]
    scale = rng.uniform(0.4, 0.9)
    in_front = _resized(object_path(count, frame_size, 1.0, rng), path, scale)
    frames, boxes = [], []
    for time, frame in enumerate(background):
        image, mask = frame.copy(), np.zeros(frame_size, np.float32)
        for sprite, poses in behind:
            paste_sprite(image, deform(sprite, rng, JITTER), poses[time])
        weight = NEW_LOOK * time / max(count - 1, 1)
        pixels = np.asarray(cv2.addWeighted(target.pixels, 1 - weight, look, weight, 0))
        changed = deform(target._replace(pixels=pixels), rng, JITTER)
        box = paste_sprite(image, changed, path[time], mask)
        area = mask.sum()
        paste_sprite(image, deform(occluder, rng, JITTER), in_front[time], mask, 0)
        visible = mask.sum() / max(area, 1)
        boxes.append(np.where(visible < (HIDDEN_BELOW if time else MIN_VISIBLE), np.nan, box))
        frames.append(image)
    return ObjectClip(frames, np.stack(boxes))


def _lookalike(
    target: Sprite, path: list[Pose], frame_size: tuple[int, int], rng: np.random.Generator
) -> tuple[Sprite, list[Pose]]:
    """Return the target in a slightly other color, and its own path."""
    tint = np.exp(rng.normal(0, 0.12, 3))
    pixels = np.clip(target.pixels * tint, 0, 255).astype(np.uint8)
    poses = object_path(len(path), frame_size, target.aspect, rng)
    return target._replace(pixels=pixels), _resized(poses, path, float(np.exp(rng.normal(0, 0.2))))


def object_path(
    count: int, frame_size: tuple[int, int], aspect: float, rng: np.random.Generator
) -> list[Pose]:
    """Draw poses on a smooth path around the middle of a frame.

    Args:
        count: number of poses.
        frame_size: height and width in pixels.
        aspect: width over height of what moves; it changes on the way.
        rng: random numbers.
    """
    height, width = frame_size
    side = min(frame_size) * np.exp(rng.uniform(*np.log(SIDES))) / SPRITE_FILL
    waves = rng.uniform(*WAVES, 5) * 2 * np.pi * count / WAVE_FRAMES  # of x, y, size, angle, aspect
    phases = rng.uniform(0, 2 * np.pi, 5)
    reach = rng.uniform(*REACH, 2)
    poses = []
    for part in np.linspace(0, 1, count):
        swing = np.sin(waves * part + phases)
        center = (0.5 + reach * swing[:2]) * (width, height)
        stretch = np.sqrt(aspect) * np.exp(0.25 * swing[4])
        size = side * np.exp(0.35 * swing[2]) * np.array([stretch, 1 / stretch])
        poses.append(Pose(center, size, 0.5 * float(swing[3])))
    return poses


def _resized(poses: list[Pose], like: list[Pose], scale: float) -> list[Pose]:
    pairs = zip(poses, like, strict=True)
    return [replace(pose, size=other.size * scale) for pose, other in pairs]
