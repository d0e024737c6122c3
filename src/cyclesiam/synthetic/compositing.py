"""Compositing: cut-outs of pictures that move over clips, with a box that is known in every frame.

A piece of one picture, in a random shape, is pasted over the frames of another scene and moves,
turns, swells and bends on its way. Nobody drew it, yet where it is and how far it reaches is
exact: it teaches what discovery cannot, where a target ends. Companions, some cut from the same
stuff, pass behind and before it.

Shapes: T frames, each (H, W, 3) uint8; a sprite is (S, S, 3) pixels and an (S, S) alpha.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names
from cyclesiam.geometry.masks import mask_to_box

SPRITE_FILL = 0.75  # share of a sprite's side that its shape spans; the rest is room to bend
MAX_SPRITE_SIZE, COARSEST = 128, 24  # sides of sprites in pixels: about as large as they are shown


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class CompositingConfig:
    """How cut-outs look and move. Changes are standard deviations from one frame to the next."""

    probability: float = 0.7
    """Share of clips that show a pasted target."""
    min_size: float = 0.08
    """Least side of a target, over the frame's shorter side."""
    max_size: float = 0.45
    """Greatest side of a target, over the frame's shorter side."""
    shift: float = 0.25
    """Of the place, over the target's side."""
    scale: float = 0.12
    """Of the logarithm of the size; the aspect changes half as much."""
    rotation: float = 0.15
    """Of the angle, in radians."""
    deformation: float = 0.04
    """Of every point's displacement, over the target's side."""
    color: float = 0.1
    """Of brightness and of each colour's, over their value."""
    max_distractors: int = 3
    """Most cut-outs beside the target."""
    lookalike_probability: float = 0.5
    """Chance that a companion is made of the target's stuff."""
    object_probability: float = 0.0
    """Share of cut-outs that are whole objects from still pictures, where there are such; the
    others are pieces of random shape."""

    def __post_init__(self) -> None:
        for name in ("probability", "lookalike_probability", "object_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 < self.min_size <= self.max_size <= 1 or self.max_distractors < 0:
            raise ValueError(
                "0 < min_size <= max_size <= 1 and 0 or more max_distractors must hold, "
                f"got {self.min_size}, {self.max_size} and {self.max_distractors}"
            )


class Sprite(NamedTuple):
    """A cut-out.

    Args:
        pixels: (S, S, 3) uint8.
        alpha: (S, S) float32 in 0..1.
        aspect: width over height, as it should be shown.
    """

    pixels: np.ndarray
    alpha: np.ndarray
    aspect: float = 1.0


class CompositeClip(NamedTuple):
    """What `composite` made.

    Args:
        frames: T pictures.
        boxes: (T, 4) xyxy of the target in pixels: its whole extent within the frame, whatever
            covers it; NaN where it left the frame.
        masks: (T, H, W) bool, the pixels of the target that are to be seen.
    """

    frames: list[np.ndarray]
    boxes: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True, slots=True)
class Pose:
    """How a sprite lies in a frame.

    Args:
        centre: x, y in pixels.
        size: width and height of the sprite's square, in pixels.
        angle: in radians.
    """

    centre: np.ndarray
    size: np.ndarray
    angle: float


def composite(
    frames: list[np.ndarray],
    donors: list[np.ndarray],
    rng: np.random.Generator,
    config: CompositingConfig,
    *,
    objects: Sequence[Sprite] = (),
) -> CompositeClip:
    """Let cut-outs move over frames.

    Args:
        frames: T pictures of one size; they are not changed.
        donors: pictures to cut from; the target comes from the first.
        rng: random numbers.
        config: how the cut-outs look and move.
        objects: whole objects that stand in for pieces of donors, `config.objects` of them; the
            target's is the first.
    """
    height, width = frames[0].shape[:2]
    whole = objects[0] if objects and rng.random() < config.object_probability else None
    path = random_path(len(frames), (height, width), rng, config, whole.aspect if whole else 1.0)
    target = whole or random_cutout(donors[0], _resolution(path), rng)
    before: list[tuple[Sprite, list[Pose]]] = []
    behind: list[tuple[Sprite, list[Pose]]] = []
    for _ in range(rng.integers(config.max_distractors + 1)):
        alike = rng.random() < config.lookalike_probability
        donor = donors[0] if alike else donors[rng.integers(len(donors))]
        poses = _beside(path, rng, config)
        layer = before if rng.random() < 0.3 else behind
        if alike and whole:
            sprite = whole
        elif not alike and objects and rng.random() < config.object_probability:
            sprite = objects[int(rng.integers(len(objects)))]
        else:
            sprite = random_cutout(donor, _resolution(poses), rng)
        layer.append((sprite, poses))
    shown, boxes, masks = [], [], []
    for time, frame in enumerate(frames):
        picture, mask = frame.copy(), np.zeros((height, width), np.float32)
        for sprite, poses in behind:
            paste_sprite(picture, deform(sprite, rng, config), poses[time])
        boxes.append(paste_sprite(picture, deform(target, rng, config), path[time], mask, 1))
        for sprite, poses in before:
            paste_sprite(picture, deform(sprite, rng, config), poses[time], mask, 0)
        shown.append(picture)
        masks.append(mask > 0.5)
    return CompositeClip(shown, np.stack(boxes), np.stack(masks))


def random_cutout(picture: np.ndarray, side: int, rng: np.random.Generator) -> Sprite:
    """Cut a piece of random shape out of an (H, W, 3) picture, as a sprite of a side in pixels."""
    shorter = min(picture.shape[:2])
    span = min(max(int(shorter * np.exp(rng.uniform(np.log(0.15), np.log(0.7)))), 16), shorter)
    y = rng.integers(picture.shape[0] - span + 1)
    x = rng.integers(picture.shape[1] - span + 1)
    piece = picture[y : y + span, x : x + span]
    way = cv2.INTER_AREA if span > side else cv2.INTER_LINEAR
    return Sprite(cv2.resize(piece, (side, side), interpolation=way), random_shape(side, rng))


def random_shape(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an alpha, (S, S) float32: one to four lobes that span `FILLED` of both its sides.

    Between lobes the background shows, as it does in the box around most real objects.
    """
    steps = (np.arange(COARSEST * 2) + 0.5) / COARSEST - 1
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
    """Give the pixels of a turned rectangle around the origin."""
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (abs(along) < rng.uniform(0.3, 0.7)) & (abs(across) < rng.uniform(0.15, 0.6))


def _blob(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give the pixels of a wavy ellipse around the origin."""
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
    """Draw `count` poses of a target of an aspect on its way through frames of (height, width)."""
    height, width = frame_size
    low, high = np.log([config.min_size, config.max_size])
    side = min(frame_size) * np.exp(rng.uniform(low, high)) / SPRITE_FILL
    stretch = np.sqrt(aspect) * np.exp(rng.normal(0, 0.3))
    start = Pose(
        np.array([rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height]),
        side * np.array([stretch, 1 / stretch]),
        rng.normal(0, 0.3),
    )
    return _follow(start, count, rng, config)


def _follow(
    start: Pose, count: int, rng: np.random.Generator, config: CompositingConfig
) -> list[Pose]:
    """Continue a pose for `count` frames, at a nearly even pace."""
    shift = rng.normal(0, config.shift, 2)
    growth = rng.normal(0, config.scale) + rng.normal(0, config.scale / 2, 2)
    turn = rng.normal(0, config.rotation)
    poses = [start]
    for _ in range(count - 1):
        last = poses[-1]
        side = SPRITE_FILL * np.sqrt(last.size.prod())
        centre = last.centre + (shift + rng.normal(0, config.shift / 3, 2)) * side
        size = last.size * np.exp(growth + rng.normal(0, config.scale / 3))
        poses.append(Pose(centre, size, last.angle + turn))
    return poses


def _beside(path: list[Pose], rng: np.random.Generator, config: CompositingConfig) -> list[Pose]:
    """Draw the way of a companion that begins near a target."""
    start = path[0]
    direction, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.0)
    away = distance * np.array([np.cos(direction), np.sin(direction)])
    beside = replace(
        start,
        centre=start.centre + away * start.size,
        size=start.size * np.exp(rng.normal(0, 0.4)),
        angle=rng.normal(0, 0.5),
    )
    return _follow(beside, len(path), rng, config)


def _resolution(poses: list[Pose]) -> int:
    """Side in pixels of a sprite that is shown about as large as it is stored."""
    return int(np.clip(np.sqrt(poses[0].size.prod()), COARSEST, MAX_SPRITE_SIZE))


def deform(sprite: Sprite, rng: np.random.Generator, config: CompositingConfig) -> Sprite:
    """Change a sprite a little, as things change from one frame to the next: form and light."""
    side = len(sprite.alpha)
    coarse = rng.normal(0, config.deformation * side, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    steps = np.arange(side, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    where = x + field[..., 0], y + field[..., 1]
    pixels = cv2.remap(sprite.pixels, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    alpha = cv2.remap(sprite.alpha, *where, cv2.INTER_LINEAR)
    gain = (1 + rng.normal(0, config.color)) * (1 + rng.normal(0, config.color / 2, 3))
    lit = np.clip(pixels * gain.astype(np.float32), 0, 255).astype(np.uint8)
    return Sprite(lit, alpha, sprite.aspect)


def paste_sprite(
    frame: np.ndarray,
    sprite: Sprite,
    pose: Pose,
    mask: np.ndarray | None = None,
    value: float = 1,
) -> np.ndarray:
    """Lay a sprite over a frame, in place.

    Args:
        frame: (H, W, 3) uint8.
        sprite: what is pasted.
        pose: where.
        mask: (H, W) float32 in which a value is laid over the same pixels, in place.
        value: that value.

    Returns:
        (4,) xyxy of the sprite's pixels in the frame; NaN where none is in it.
    """
    height, width = frame.shape[:2]
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    turned = np.array([[cos, -sin], [sin, cos]]) * pose.size  # unit square to pixels
    reach = np.abs(turned).sum(axis=1) / 2
    x0, y0 = np.floor(np.maximum(pose.centre - reach, 0)).astype(int).tolist()
    x1, y1 = np.ceil(np.minimum(pose.centre + reach, (width, height))).astype(int).tolist()
    if x1 <= x0 or y1 <= y0:
        return np.full(4, np.nan)
    # the sprite's middle comes to the centre; pixel i is sampled at i + 0.5
    linear, middle = turned / len(sprite.alpha), len(sprite.alpha) / 2 - 0.5
    offset = pose.centre - 0.5 - (x0, y0) - linear @ np.full(2, middle)
    matrix, size = np.column_stack((linear, offset)), (x1 - x0, y1 - y0)
    alpha = cv2.warpAffine(sprite.alpha, matrix, size)
    pixels = cv2.warpAffine(sprite.pixels, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    part = frame[y0:y1, x0:x1]
    part[:] = part + (pixels.astype(np.float32) - part) * alpha[..., None]
    if mask is not None:
        mask[y0:y1, x0:x1] += (value - mask[y0:y1, x0:x1]) * alpha
    return mask_to_box(alpha > 0.5) + np.array([x0, y0, x0, y0])
