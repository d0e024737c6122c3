"""Compositing: cut-outs of images that move over clips, with a box that is known in every frame.

A piece of one image, in a random shape, is pasted on the frames of another scene. It moves, turns,
grows and deforms from frame to frame. Nobody annotated it, yet its box and mask are exact, so
training learns where a target ends, which discovery cannot tell. Distractors, some cut from the
same image, pass behind and in front of it.

Shapes: T frames, each (H, W, 3) uint8; sprites are described in `sprites`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.masks import mask_to_box
from cyclesiam.synthetic.sprites import (
    MAX_SPRITE_SIZE,
    MIN_SPRITE_SIZE,
    SPRITE_FILL,
    Deformation,
    Pose,
    Sprite,
    warp_sprite,
)


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class CompositingConfig:
    """How cut-outs look and move.

    Changes are standard deviations from one frame to the next; a larger value changes more.
    """

    probability: float = 0.7
    """Probability of a clip with a pasted target."""
    min_size: float = 0.08
    """Smallest side of a target, over the frame's shorter side."""
    max_size: float = 0.45
    """Largest side of a target, over the frame's shorter side."""
    shift: float = 0.25
    """Change of the position, over the target's side."""
    scale: float = 0.12
    """Change of the logarithm of the size; the aspect changes half as much."""
    rotation: float = 0.15
    """Change of the angle, in radians."""
    shear: float = 0.0
    """Change of the shear: shift to the side, over the height that it belongs to."""
    deformation: float = 0.04
    """Displacement of every point, over the target's side."""
    color: float = 0.1
    """Relative change of brightness, and of each color channel."""
    max_distractors: int = 3
    """Largest number of cut-outs beside the target."""
    lookalike_probability: float = 0.5
    """Probability that a distractor is cut from the target's image."""
    object_probability: float = 0.0
    """Probability that a cut-out is a whole object of a still, where there is one. Others are
    pieces of random shape."""

    def __post_init__(self) -> None:
        for name in ("probability", "lookalike_probability", "object_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if self.shear < 0:
            raise ValueError(f"shear must be 0 or more, got {self.shear}")
        if not 0 < self.min_size <= self.max_size <= 1 or self.max_distractors < 0:
            raise ValueError(
                "0 < min_size <= max_size <= 1 and 0 or more max_distractors must hold, "
                f"got {self.min_size}, {self.max_size} and {self.max_distractors}"
            )


class Layer(NamedTuple):
    """A sprite that moves through a clip.

    Args:
        sprite: what moves.
        poses: where, in T frames.
        role: the target, or a distractor behind or in front of it.
        deformations: in T frames.
    """

    sprite: Sprite
    poses: Sequence[Pose]
    role: Literal["behind", "target", "front"]
    deformations: Sequence[Deformation] = ()


class CompositeClip(NamedTuple):
    """A clip with a pasted target.

    Args:
        frames: T images.
        boxes: (T, 4) xyxy of the target in pixels, within the frame, also where something covers
            it; NaN where it left the frame.
        masks: (T, H, W) bool, the visible pixels of the target.
    """

    frames: Sequence[np.ndarray] | np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


def composite(
    frames: list[np.ndarray],
    donors: list[np.ndarray],
    rng: np.random.Generator,
    config: CompositingConfig,
    *,
    objects: Sequence[Sprite] = (),
) -> CompositeClip:
    """Paste a target and distractors on frames, each moving on a path of its own.

    Args:
        frames: T images of one size; they are not changed.
        donors: images to cut from; the target is cut from the first.
        rng: random numbers.
        config: how the cut-outs look and move.
        objects: whole objects that replace pieces of donors with `config.object_probability`; the
            target's is the first.
    """
    height, width = frames[0].shape[:2]
    layers = sample_layers(len(frames), (height, width), donors, rng, config, objects=objects)
    return paste_layers([frame.copy() for frame in frames], layers)


def sample_layers(
    count: int,
    frame_size: tuple[int, int],
    donors: list[np.ndarray],
    rng: np.random.Generator,
    config: CompositingConfig,
    *,
    objects: Sequence[Sprite] = (),
) -> list[Layer]:
    """Draw what is pasted on `count` frames of (height, width), the hindmost first; no pixels.

    The other arguments are those of `composite`.
    """
    target_object = objects[0] if objects and rng.random() < config.object_probability else None
    aspect = target_object.aspect if target_object else 1.0
    path = random_path(count, frame_size, rng, config, aspect)
    target = target_object or cut_piece(donors[0], _resolution(path), rng)
    front: list[Layer] = []
    behind: list[Layer] = []
    for _ in range(rng.integers(config.max_distractors + 1)):
        alike = rng.random() < config.lookalike_probability
        donor = donors[0] if alike else donors[rng.integers(len(donors))]
        poses = _distractor_path(path, rng, config)
        in_front = rng.random() < 0.3
        if alike and target_object:
            sprite = target_object
        elif not alike and objects and rng.random() < config.object_probability:
            sprite = objects[int(rng.integers(len(objects)))]
        else:
            sprite = cut_piece(donor, _resolution(poses), rng)
        if in_front:
            front.append(Layer(sprite, poses, "front"))
        else:
            behind.append(Layer(sprite, poses, "behind"))
    layers = [*behind, Layer(target, path, "target"), *front]
    changes = [
        [random_deformation(layer.sprite.side, rng, config) for layer in layers]
        for _ in range(count)
    ]
    return [
        layer._replace(deformations=deformations)
        for layer, deformations in zip(layers, zip(*changes, strict=True), strict=True)
    ]


def paste_layers(
    frames: Sequence[np.ndarray] | np.ndarray, layers: Sequence[Layer]
) -> CompositeClip:
    """Paste layers on T frames (H, W, 3) uint8, in place, the first layer first."""
    boxes = np.full((len(frames), 4), np.nan)
    masks = np.zeros((len(frames), *frames[0].shape[:2]), np.float32)
    sprites = [layer.sprite.resized() for layer in layers]
    for time, frame in enumerate(frames):
        mask = masks[time]
        for sprite, layer in zip(sprites, layers, strict=True):
            changed = layer.deformations[time].apply(sprite)
            patch = warp_sprite(changed, layer.poses[time], mask.shape)
            if patch is None:
                continue
            patch.paste_on(frame)
            if layer.role == "target":
                boxes[time] = patch.box
                patch.set_values(mask, 1)
            elif layer.role == "front":
                patch.set_values(mask, 0)
    return CompositeClip(frames, boxes, masks > 0.5)


def random_cutout(image: np.ndarray, side: int, rng: np.random.Generator) -> Sprite:
    """Cut a piece of random shape out of an (H, W, 3) image, as a sprite of `side` pixels."""
    return cut_piece(image, side, rng).resized()


def cut_piece(image: np.ndarray, side: int, rng: np.random.Generator) -> Sprite:
    """Draw a piece of random shape, as a sprite of `side` pixels that are a part of the image."""
    shorter = min(image.shape[:2])
    span = min(max(int(shorter * np.exp(rng.uniform(np.log(0.15), np.log(0.7)))), 16), shorter)
    y = rng.integers(image.shape[0] - span + 1)
    x = rng.integers(image.shape[1] - span + 1)
    return Sprite(image[y : y + span, x : x + span], random_shape(side, rng))


def random_shape(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an (S, S) float32 alpha: one to four lobes that span `SPRITE_FILL` of both its sides.

    Between lobes the background is visible, as it is in the box of most real objects.
    """
    steps = (np.arange(MIN_SPRITE_SIZE * 2) + 0.5) / MIN_SPRITE_SIZE - 1
    grid = np.stack(np.meshgrid(steps, steps))
    inside = np.zeros(grid.shape[1:], bool)
    for lobe in range(rng.integers(1, 5)):
        spread = 0.0 if lobe == 0 else 0.5
        middle = rng.uniform(-spread, spread, (2, 1, 1))
        draw = _bar if rng.random() < 0.25 else _blob
        x, y = grid - middle
        inside |= draw(x, y, rng)
    x0, y0, x1, y1 = mask_to_box(inside).astype(int)
    margin = round(side * (1 - SPRITE_FILL) / 2)
    shape = inside[y0:y1, x0:x1].astype(np.float32)
    shape = cv2.resize(shape, (side - 2 * margin,) * 2, interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(np.pad((shape > 0.5).astype(np.float32), margin), (3, 3), 0)


def _bar(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which pixels lie in a rotated rectangle around the origin."""
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (abs(along) < rng.uniform(0.3, 0.7)) & (abs(across) < rng.uniform(0.15, 0.6))


def _blob(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which pixels lie in a wavy ellipse around the origin."""
    theta = np.arctan2(y, x)
    radius = np.full_like(theta, rng.uniform(0.35, 0.7))
    for wave in range(1, 6):
        phase = rng.uniform(0, 2 * np.pi)
        radius *= 1 + rng.normal(0, 0.2 / wave) * np.cos(wave * theta + phase)
    return np.hypot(*rng.uniform(1, 1.8, 2)[:, None, None] * (x, y)) < radius


def random_path(
    count: int,
    frame_size: tuple[int, int],
    rng: np.random.Generator,
    config: CompositingConfig,
    aspect: float = 1.0,
) -> list[Pose]:
    """Draw `count` poses of a target with an aspect, in frames of (height, width)."""
    height, width = frame_size
    low, high = np.log([config.min_size, config.max_size])
    side = min(frame_size) * np.exp(rng.uniform(low, high)) / SPRITE_FILL
    stretch = np.sqrt(aspect) * np.exp(rng.normal(0, 0.3))
    start = Pose(
        np.array([rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height]),
        side * np.array([stretch, 1 / stretch]),
        rng.normal(0, 0.3),
    )
    return _continue(start, count, rng, config)


def _continue(
    start: Pose, count: int, rng: np.random.Generator, config: CompositingConfig
) -> list[Pose]:
    """Draw `count` poses from the first one on, at a nearly constant speed."""
    shift = rng.normal(0, config.shift, 2)
    growth = rng.normal(0, config.scale) + rng.normal(0, config.scale / 2, 2)
    turn = rng.normal(0, config.rotation)
    slant = rng.normal(0, config.shear) if config.shear else 0.0
    poses = [start]
    for _ in range(count - 1):
        last = poses[-1]
        side = SPRITE_FILL * np.sqrt(last.size.prod())
        center = last.center + (shift + rng.normal(0, config.shift / 3, 2)) * side
        size = last.size * np.exp(growth + rng.normal(0, config.scale / 3))
        poses.append(Pose(center, size, last.angle + turn, last.shear + slant))
    return poses


def _distractor_path(
    path: list[Pose], rng: np.random.Generator, config: CompositingConfig
) -> list[Pose]:
    """Draw the path of a distractor that starts near a target."""
    start = path[0]
    direction, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.0)
    away = distance * np.array([np.cos(direction), np.sin(direction)])
    first = replace(
        start,
        center=start.center + away * start.size,
        size=start.size * np.exp(rng.normal(0, 0.4)),
        angle=rng.normal(0, 0.5),
    )
    return _continue(first, len(path), rng, config)


def _resolution(poses: list[Pose]) -> int:
    """Return the side in pixels at which a sprite is stored about as large as it is shown."""
    return int(np.clip(np.sqrt(poses[0].size.prod()), MIN_SPRITE_SIZE, MAX_SPRITE_SIZE))


def deform(sprite: Sprite, rng: np.random.Generator, config: CompositingConfig) -> Sprite:
    """Change shape and light of a sprite a little, as from one frame to the next."""
    return random_deformation(sprite.side, rng, config).apply(sprite)


def random_deformation(
    side: int, rng: np.random.Generator, config: CompositingConfig
) -> Deformation:
    """Draw a deformation of a sprite of `side` pixels."""
    shifts = rng.normal(0, config.deformation * side, (4, 4, 2)).astype(np.float32)
    gain = (1 + rng.normal(0, config.color)) * (1 + rng.normal(0, config.color / 2, 3))
    return Deformation(shifts, gain.astype(np.float32))
