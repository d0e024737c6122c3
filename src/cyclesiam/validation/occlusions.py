"""Clips whose target is hidden for a while, behind something or outside the frame, and comes back.

Made from real scenes, without labels: a cut-out of a picture moves over a scene, and where it is,
how far it reaches and whether it is to be seen is known in every frame.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import cv2
import numpy as np

from cyclesiam.data.scenes import Scene, read_downscaled, round_robin, sample_images
from cyclesiam.synthetic.compositing import (
    MAX_SPRITE_SIZE,
    CompositingConfig,
    Pose,
    Sprite,
    deform,
    paste_sprite,
    random_cutout,
)
from cyclesiam.synthetic.cutouts import object_cutout, segment_object

OcclusionKind = Literal["covered", "leaves"]
JITTER = CompositingConfig(deformation=0.015, color=0.03)  # of a target, from frame to frame
CLEAR = 0.1  # share of a target's pixels below which nothing of it counts as seen
COVER = 1.7  # side of what covers, over the target's
LENGTH = 90  # frames of a clip
SHORTEST, LONGEST = 10, 20  # frames for which a target is hidden
TRIES = 5  # pictures in which an object is looked for before a piece of one must do
PACE = 9  # frames that a target takes to vanish and to come back


@dataclass(frozen=True, slots=True)
class OcclusionClip:
    """What a tracker is shown, and where the target was.

    Args:
        way: how the target hides.
        frames: T pictures of one size.
        boxes: (T, 4) of the target's whole extent within the frame; NaN where it is hidden.
        back: the first frame in which a target that was hidden is wholly seen again.
    """

    kind: OcclusionKind
    frames: list[np.ndarray]
    boxes: np.ndarray
    reappears_at: int


def make_occlusion_clips(scenes: Sequence[Scene], count: int, seed: int) -> list[OcclusionClip]:
    """Draw clips from scenes, every other one covered; the same arguments give the same ones.

    Targets are whole objects where stills show such, else pieces of pictures; a scene that cannot
    be read is passed over.
    """
    rng = np.random.default_rng((seed, 5))
    videos = [scene for scene in scenes if scene.frames > 1] or list(scenes)
    pictures = sample_images(scenes, (TRIES + 1) * count, rng)
    clips: list[OcclusionClip] = []
    for scene in round_robin(videos, count, rng):
        run = read_downscaled(scene, 0, LENGTH)
        target, cover = _find_target(pictures, rng), next(pictures, None)
        if not run or target is None or cover is None:
            continue
        run = ((run + run[-2::-1]) * LENGTH)[:LENGTH]  # a short scene goes to and fro
        way: OcclusionKind = "leaves" if len(clips) % 2 else "covered"
        hidden = int(rng.integers(SHORTEST, LONGEST))
        clips.append(render_occlusion(run, target, cover, rng, way=way, hidden=hidden))
    return clips


def _find_target(pictures: Iterator[np.ndarray], rng: np.random.Generator) -> Sprite | None:
    """Cut the first object out of some pictures, or a piece of the last; None without pictures."""
    picture = None
    for picture in islice(pictures, TRIES):
        mask = segment_object(picture)
        if mask is not None:
            size = (picture.shape[1], picture.shape[0])
            mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
            return object_cutout(picture, np.asarray(mask))
    return None if picture is None else random_cutout(picture, MAX_SPRITE_SIZE, rng)


def render_occlusion(
    run: list[np.ndarray],
    target: Sprite,
    cover: np.ndarray,
    rng: np.random.Generator,
    *,
    way: OcclusionKind,
    hidden: int = 15,
) -> OcclusionClip:
    """Let a target move over frames and hide once, half way.

    Args:
        run: T frames of a scene; they are not changed.
        target: what moves.
        cover: (H, W, 3) picture of what passes before it.
        rng: random numbers.
        way: behind something that passes, or outside the frame.
        hidden: frames for which nothing is seen of it.

    Raises:
        ValueError: the run is too short to show it before, hide it and show it again.
    """
    count, (height, width) = len(run), run[0].shape[:2]
    first = count // 2 - hidden // 2
    if first < 2 * PACE or count - first - hidden < 2 * PACE:
        raise ValueError(f"{count} frames are too few to hide a target for {hidden} of them")
    path = _drift(count, (height, width), target.aspect, rng)
    depth = _depths(count, first, hidden)
    if way == "leaves":
        path = _leave(path, depth, (height, width), rng)
    front = Sprite(
        random_cutout(cover, MAX_SPRITE_SIZE, rng).pixels,
        np.ones((MAX_SPRITE_SIZE,) * 2, np.float32),
    )
    direction = rng.uniform(0, 2 * np.pi)
    frames, boxes, shares = [], [], []
    for time, frame in enumerate(run):
        picture = frame.copy()
        mask = np.zeros((height, width), np.float32)
        changed = deform(target, rng, JITTER)
        boxes.append(paste_sprite(picture, changed, path[time], mask))
        if way == "covered":
            paste_sprite(picture, front, _beside(path[time], depth[time], direction), mask, 0)
        area = np.sum(target.alpha) * path[time].size.prod() / target.alpha.size
        shares.append(float(mask.sum() / area))
        frames.append(picture)
    seen = np.array(shares)
    return OcclusionClip(way, frames, _without(np.stack(boxes), seen), _find_back(seen, first))


def _drift(
    count: int, frame_size: tuple[int, int], aspect: float, rng: np.random.Generator
) -> list[Pose]:
    """Draw a slow way in the middle of a frame (height, width)."""
    height, width = frame_size
    side = min(frame_size) * np.exp(rng.uniform(np.log(0.2), np.log(0.4)))
    waves, phases = rng.uniform(0.5, 2.0, 4) * 2 * np.pi, rng.uniform(0, 2 * np.pi, 4)
    stretch = np.sqrt(aspect) * np.exp(rng.normal(0, 0.1))
    poses = []
    for part in np.linspace(0, 1, count):
        swing = np.sin(waves * part + phases)
        centre = (0.5 + 0.22 * swing[:2]) * (width, height)
        size = side * np.exp(0.2 * swing[2]) * np.array([stretch, 1 / stretch])
        poses.append(Pose(centre, size, 0.3 * float(swing[3])))
    return poses


def _depths(count: int, first: int, hidden: int) -> np.ndarray:
    """Say how far each frame is from hiding: -1 before, 0 while hidden, 1 after; (T,)."""
    times = np.arange(count)
    return np.clip((times - first + 1) / PACE, -1, 0) + np.clip(
        (times - first - hidden) / PACE, 0, 1
    )


def _leave(
    path: list[Pose], depth: np.ndarray, frame_size: tuple[int, int], rng: np.random.Generator
) -> list[Pose]:
    """Let a path go out over one side of the frame, and come in again where it went out."""
    height, width = frame_size
    outward = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)][rng.integers(4)])
    moved = []
    for pose, away in zip(path, depth, strict=True):
        reach = 0.75 * pose.size.max()
        outside = np.where(outward > 0, np.array([width, height]) + reach, -reach)
        gone = np.where(outward == 0, pose.centre, outside)
        moved.append(replace(pose, centre=gone + abs(away) * (pose.centre - gone)))
    return moved


def _beside(pose: Pose, depth: float, direction: float) -> Pose:
    """Place what covers a target: before it while hidden, else beside it."""
    side = pose.size.max()
    away = 1.8 * side * depth * np.array([np.cos(direction), np.sin(direction)])
    return Pose(pose.centre + away, np.full(2, COVER * side), 0.0)


def _without(boxes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(seen[:, None] < CLEAR, np.nan, boxes)


def _find_back(seen: np.ndarray, first: int) -> int:
    """Find the first frame after hiding in which nearly all of a target is seen."""
    gone = first + int(np.argmin(seen[first : first + PACE]))
    after = np.flatnonzero(seen[gone:] > 0.9)
    return gone + int(after[0]) if len(after) else len(seen)
