"""Clips whose target is hidden for a while, behind something or outside the frame, and reappears.

They are made from real scenes without labels. A cut-out of an image moves over a scene, so its box
and whether it is visible are known in every frame.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cyclesiam.data.scenes import Scene, read_downscaled, round_robin, sample_images
from cyclesiam.synthetic.compositing import CompositingConfig, deform, random_cutout
from cyclesiam.synthetic.sprites import MAX_SPRITE_SIZE, Pose, Sprite, paste_sprite
from cyclesiam.validation.object_clips import ATTEMPTS, find_sprite

OcclusionKind = Literal["covered", "leaves"]
JITTER = CompositingConfig(deformation=0.015, color=0.03)  # of a target, from frame to frame
HIDDEN_BELOW = 0.1  # ratio of visible pixels below which a target counts as hidden
VISIBLE_ABOVE = 0.9  # ratio above which it counts as wholly visible
OCCLUDER_SCALE = 1.7  # side of the occluder, over the target's
LENGTH = 90  # frames of a clip
MIN_HIDDEN, MAX_HIDDEN = 10, 20  # frames for which a target is hidden
TRANSITION = 9  # frames that a target takes to vanish, and to reappear


@dataclass(frozen=True, slots=True)
class OcclusionClip:
    """Frames to track in, and where the target is.

    Args:
        kind: how the target is hidden.
        frames: T images of one size.
        boxes: (T, 4) of the whole target within the frame; NaN where it is hidden.
        reappears_at: the first frame in which nearly all of a hidden target is visible again.
    """

    kind: OcclusionKind
    frames: list[np.ndarray]
    boxes: np.ndarray
    reappears_at: int


def make_occlusion_clips(scenes: Sequence[Scene], count: int, seed: int) -> list[OcclusionClip]:
    """Draw clips from scenes; the same arguments give the same ones.

    Targets are whole objects where stills show any, otherwise pieces of images. A scene that cannot
    be read is left out.

    Args:
        scenes: what to draw from.
        count: how many clips; every other one is `covered`.
        seed: of all random numbers.
    """
    rng = np.random.default_rng((seed, 5))
    videos = [scene for scene in scenes if scene.frames > 1] or list(scenes)
    images = sample_images(scenes, (ATTEMPTS + 1) * count, rng)
    clips: list[OcclusionClip] = []
    for scene in round_robin(videos, count, rng):
        background = read_downscaled(scene, 0, LENGTH)
        target, occluder = find_sprite(images, rng), next(images, None)
        if not background or target is None or occluder is None:
            continue
        # A short scene is shown forward and back.
        background = ((background + background[-2::-1]) * LENGTH)[:LENGTH]
        kind: OcclusionKind = "leaves" if len(clips) % 2 else "covered"
        hidden = int(rng.integers(MIN_HIDDEN, MAX_HIDDEN))
        clips.append(render_occlusion(background, target, occluder, rng, kind=kind, hidden=hidden))
    return clips


def render_occlusion(
    background: list[np.ndarray],
    target: Sprite,
    occluder: np.ndarray,
    rng: np.random.Generator,
    *,
    kind: OcclusionKind,
    hidden: int = 15,
) -> OcclusionClip:
    """Move a target over frames, and hide it once, half way.

    Args:
        background: T frames of a scene; they are not changed.
        target: what moves.
        occluder: (H, W, 3) image that the occluder is cut from.
        rng: random numbers.
        kind: behind an occluder, or outside the frame.
        hidden: frames for which the target is not visible.

    Raises:
        ValueError: there are too few frames to show the target, hide it and show it again.
    """
    count, (height, width) = len(background), background[0].shape[:2]
    first = count // 2 - hidden // 2
    if first < 2 * TRANSITION or count - first - hidden < 2 * TRANSITION:
        raise ValueError(f"{count} frames are too few to hide a target for {hidden} of them")
    path = _slow_path(count, (height, width), target.aspect, rng)
    phases = _hiding_phases(count, first, hidden)
    if kind == "leaves":
        path = _leave_frame(path, phases, (height, width), rng)
    front = Sprite(
        random_cutout(occluder, MAX_SPRITE_SIZE, rng).pixels,
        np.ones((MAX_SPRITE_SIZE,) * 2, np.float32),
    )
    direction = rng.uniform(0, 2 * np.pi)
    frames, boxes, ratios = [], [], []
    for time, frame in enumerate(background):
        image = frame.copy()
        mask = np.zeros((height, width), np.float32)
        changed = deform(target, rng, JITTER)
        boxes.append(paste_sprite(image, changed, path[time], mask))
        if kind == "covered":
            pose = _occluder_pose(path[time], phases[time], direction)
            paste_sprite(image, front, pose, mask, 0)
        area = np.sum(target.alpha) * path[time].size.prod() / target.alpha.size
        ratios.append(float(mask.sum() / area))
        frames.append(image)
    visible = np.array(ratios)
    known = np.where(visible[:, None] < HIDDEN_BELOW, np.nan, np.stack(boxes))
    return OcclusionClip(kind, frames, known, _reappearance(visible, first))


def _slow_path(
    count: int, frame_size: tuple[int, int], aspect: float, rng: np.random.Generator
) -> list[Pose]:
    """Draw `count` poses on a slow path in the middle of a frame (height, width)."""
    height, width = frame_size
    side = min(frame_size) * np.exp(rng.uniform(np.log(0.2), np.log(0.4)))
    waves, phases = rng.uniform(0.5, 2.0, 4) * 2 * np.pi, rng.uniform(0, 2 * np.pi, 4)
    stretch = np.sqrt(aspect) * np.exp(rng.normal(0, 0.1))
    poses = []
    for part in np.linspace(0, 1, count):
        swing = np.sin(waves * part + phases)
        center = (0.5 + 0.22 * swing[:2]) * (width, height)
        size = side * np.exp(0.2 * swing[2]) * np.array([stretch, 1 / stretch])
        poses.append(Pose(center, size, 0.3 * float(swing[3])))
    return poses


def _hiding_phases(count: int, first: int, hidden: int) -> np.ndarray:
    """Return (T,) how far each frame is from hiding: -1 before, 0 while hidden, 1 after."""
    times = np.arange(count)
    return np.clip((times - first + 1) / TRANSITION, -1, 0) + np.clip(
        (times - first - hidden) / TRANSITION, 0, 1
    )


def _leave_frame(
    path: list[Pose], phases: np.ndarray, frame_size: tuple[int, int], rng: np.random.Generator
) -> list[Pose]:
    """Lead a path out over one side of the frame, and back in where it went out."""
    height, width = frame_size
    outward = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)][rng.integers(4)])
    moved = []
    for pose, phase in zip(path, phases, strict=True):
        reach = 0.75 * pose.size.max()
        outside = np.where(outward > 0, np.array([width, height]) + reach, -reach)
        exit_point = np.where(outward == 0, pose.center, outside)
        moved.append(replace(pose, center=exit_point + abs(phase) * (pose.center - exit_point)))
    return moved


def _occluder_pose(pose: Pose, phase: float, direction: float) -> Pose:
    """Return the occluder's pose: in front of a hidden target, otherwise beside it."""
    side = pose.size.max()
    away = 1.8 * side * phase * np.array([np.cos(direction), np.sin(direction)])
    return Pose(pose.center + away, np.full(2, OCCLUDER_SCALE * side), 0.0)


def _reappearance(visible: np.ndarray, first: int) -> int:
    """Return the first frame after hiding in which nearly all of a target is visible."""
    hidden = first + int(np.argmin(visible[first : first + TRANSITION]))
    after = np.flatnonzero(visible[hidden:] > VISIBLE_ABOVE)
    return hidden + int(after[0]) if len(after) else len(visible)
