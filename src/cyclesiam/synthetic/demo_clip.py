"""A synthetic clip with exact boxes, for the demo and for tests, free of any license.

Seen from above, a striped beetle (the target) crawls over stony ground. It turns, comes nearer and
goes away. A blue beetle (the distractor) crawls beside it, and a falling leaf covers a part of it
once. The camera pans, zooms and rolls. All motion is smooth and counted in frames, so a shorter
clip is the beginning of a longer one.

Shapes are polygons in units of the object: the body reaches from about -1 to 1 along x.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

SUPERSAMPLING = 2.0  # sprite pixels per image pixel at scale 1; the largest scale is 1.4
PERIOD = 170  # frames of one sweep through the image and back
LEAF_FRAME = 78  # when the leaf covers the target most
GRID_WIDTH, GRID_HEIGHT = 320, 240  # of each clip in a grid, in pixels
SENSOR_NOISE = 3.0  # standard deviation, in gray levels

SOIL = ((74, 60, 42), (112, 96, 66), (134, 128, 84), (88, 98, 54))
STONE = ((96, 92, 86), (150, 142, 130), (186, 180, 166))
TARGET_SHELL = ((176, 74, 22), (222, 120, 36), (238, 170, 74))
DISTRACTOR_SHELL = ((38, 62, 104), (62, 102, 150), (120, 158, 186))
LEAF = ((62, 84, 26), (116, 128, 44), (168, 150, 66))


@dataclass(frozen=True, slots=True, eq=False)
class DemoClip:
    """A clip and the ground truth of its target.

    Attributes:
        images: T frames, RGB uint8 (H, W, 3).
        boxes: (T, 4) xyxy in pixels, of the target's whole body, covered or not.
    """

    images: list[np.ndarray]
    boxes: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class DemoSprite:
    """An object to paste, in the middle of a square image.

    Attributes:
        color: (S, S, 3) float32, in gray levels.
        opacity: (S, S) float32 in [0, 1].
        outline: (N, 2) polygon in units of the object.
        radius: image pixels of one unit at scale 1.
    """

    color: np.ndarray
    opacity: np.ndarray
    outline: np.ndarray
    radius: float


@dataclass(frozen=True, slots=True)
class DemoPose:
    """Where an object is in the image: center in pixels, scale, angle in radians (clockwise)."""

    x: float
    y: float
    scale: float
    angle: float

    def rotation(self) -> np.ndarray:
        """Return the matrix (2, 2) that rotates and scales."""
        c, s = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return np.array([[c, -s], [s, c]])


def make_demo_clip(
    seed: int = 0, frames: int = 120, width: int = 480, height: int = 360
) -> DemoClip:
    """Return a clip; the same arguments always give the same one.

    Args:
        seed: of appearances, paths and noise.
        frames: how many; a longer clip begins with the shorter one.
        width: of the images, in pixels.
        height: of the images, in pixels; objects grow with it.

    Returns:
        The frames, and the box of the target in each; it is always inside the image.

    Raises:
        ValueError: there is no frame, or a side is below 64 pixels.
    """
    if frames < 1 or width < 64 or height < 64:
        raise ValueError(f"too small for a clip: {frames} frames of {width} x {height}")
    appearance, paths, noise = (np.random.default_rng([seed, use]) for use in range(3))
    radius = 0.125 * height
    ground = _make_ground(appearance, 2 * width, 2 * height)
    target = _make_beetle(appearance, radius, TARGET_SHELL, slimness=0.62, stripes=5.0)
    distractor = _make_beetle(
        appearance, 0.85 * radius, DISTRACTOR_SHELL, slimness=0.85, stripes=0.0
    )
    leaf = _make_leaf(appearance, 0.9 * radius)
    move_target, move_distractor, move_camera = _draw_paths(paths, width, height)
    meeting, falls = move_target(LEAF_FRAME), paths.choice([-1.0, 1.0])

    images, boxes = [], []
    for frame in range(frames):
        since = frame - LEAF_FRAME
        drop = 0.013 * height * falls * since
        leaf_pose = DemoPose(
            meeting.x + 2.0 * math.sin(0.2 * since), meeting.y + drop, 1.0, 0.05 * since
        )
        pose = move_target(frame)
        image = _view_ground(ground, move_camera(frame), width, height)
        image = composite_sprite(image, distractor, move_distractor(frame), shadow=True)
        image = composite_sprite(image, target, pose, shadow=True)
        image = composite_sprite(image, leaf, leaf_pose, shadow=False)
        images.append(_photograph(image, noise, frame))
        boxes.append(sprite_box(target, pose))
    return DemoClip(images, np.stack(boxes))


def make_demo_grid(count: int, frames: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return a clip with `count` targets, each in a demo clip of its own, side by side.

    Args:
        count: how many targets; a larger grid has the same ones first, at other places.
        frames: how many.

    Returns:
        T frames, RGB uint8 (H, W, 3), and the (T, count, 4) xyxy boxes in pixels.

    Raises:
        ValueError: a count is below 1.
    """
    if min(count, frames) < 1:
        raise ValueError(f"count and frames must be 1 or more, got {count} and {frames}")
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    images = [
        np.zeros((rows * GRID_HEIGHT, columns * GRID_WIDTH, 3), np.uint8) for _ in range(frames)
    ]
    boxes = np.empty((frames, count, 4))
    for seed in range(count):
        clip = make_demo_clip(seed=seed, frames=frames, width=GRID_WIDTH, height=GRID_HEIGHT)
        top, left = seed // columns * GRID_HEIGHT, seed % columns * GRID_WIDTH
        for image, part in zip(images, clip.images, strict=True):
            image[top : top + GRID_HEIGHT, left : left + GRID_WIDTH] = part
        boxes[:, seed] = clip.boxes + np.tile((left, top), 2)
    return images, boxes


def sprite_box(sprite: DemoSprite, pose: DemoPose) -> np.ndarray:
    """Return the box (4,) xyxy of an object's whole outline, in image pixels."""
    points = sprite.radius * sprite.outline @ pose.rotation().T + (pose.x, pose.y)
    return np.concatenate((points.min(0), points.max(0)))


def composite_sprite(
    image: np.ndarray, sprite: DemoSprite, pose: DemoPose, *, shadow: bool
) -> np.ndarray:
    """Return a float32 image (H, W, 3) with an object pasted on it."""
    H, W = image.shape[:2]
    opacity = _warp(sprite.opacity, pose, W, H)
    if shadow:  # the sun stands at the upper left
        off = 0.12 * sprite.radius * pose.scale
        below = DemoPose(pose.x + off, pose.y + off, pose.scale, pose.angle)
        dark = cv2.GaussianBlur(_warp(sprite.opacity, below, W, H), (0, 0), max(0.5, off / 2))
        image = image * (1 - 0.45 * dark[..., None])
    color = _warp(sprite.color, pose, W, H)
    return image + opacity[..., None] * (color - image)


def _warp(layer: np.ndarray, pose: DemoPose, width: int, height: int) -> np.ndarray:
    """Warp a layer of a sprite to its pose in an image of (height, width)."""
    turn = pose.rotation() / SUPERSAMPLING
    middle = layer.shape[0] / 2
    # continuous coordinates: pixel (i, j) is centered at (j + 0.5, i + 0.5)
    shift = np.array([pose.x, pose.y]) - 0.5 - turn @ np.full(2, middle - 0.5)
    return cv2.warpAffine(layer, np.column_stack((turn, shift)), (width, height))


def _draw_paths(rng: np.random.Generator, width: int, height: int):
    """Draw smooth paths of target, distractor and camera, as functions of the frame's number."""
    side = rng.choice([-1.0, 1.0])
    p = rng.uniform(0, 2 * math.pi, 9)  # phases

    def target(frame: int) -> DemoPose:
        u = 2 * math.pi * frame / PERIOD
        return DemoPose(
            x=width * (0.5 - 0.28 * side * math.cos(u)),
            y=height * (0.5 + 0.18 * math.sin(1.5 * u + p[0])),
            scale=1.4 ** math.sin(1.2 * u + p[1]),
            angle=math.radians(35) * math.sin(1.4 * u + p[2]),
        )

    def distractor(frame: int) -> DemoPose:
        u = 2 * math.pi * frame / PERIOD
        return DemoPose(
            x=width * (0.5 + 0.34 * side * math.cos(0.8 * u)),
            y=height * (0.5 + 0.36 * math.sin(0.9 * u + p[3])),
            scale=1.15 ** math.sin(u + p[4]),
            angle=0.8 * u + p[5],
        )

    def camera(frame: int) -> DemoPose:
        u = 2 * math.pi * frame / PERIOD
        return DemoPose(
            x=width * (1 + 0.2 * math.sin(0.7 * u + p[6])),
            y=height * (1 + 0.2 * math.sin(0.6 * u + p[7])),
            scale=1.15 + 0.1 * math.sin(0.8 * u + p[8]),
            angle=math.radians(4) * math.sin(0.5 * u + p[0]),
        )

    return target, distractor, camera


def _view_ground(ground: np.ndarray, camera: DemoPose, width: int, height: int) -> np.ndarray:
    """Crop what the camera sees: its pose is the center in the ground, zoom and roll."""
    turn = camera.rotation()
    shift = np.array([width / 2, height / 2]) - turn @ np.array([camera.x, camera.y])
    matrix = np.column_stack((turn, shift))
    return cv2.warpAffine(ground, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def _photograph(image: np.ndarray, rng: np.random.Generator, frame: int) -> np.ndarray:
    """Turn light into pixels: lens blur, slow drift of exposure, sensor noise."""
    soft = cv2.GaussianBlur(image, (0, 0), 0.7)
    exposure = 1 + 0.05 * math.sin(2 * math.pi * frame / 75)
    noisy = soft * exposure + rng.normal(0, SENSOR_NOISE, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _cloud(rng: np.random.Generator, width: int, height: int, coarsest: float) -> np.ndarray:
    """Return natural-looking noise in [0, 1], (height, width), as a sum of octaves."""
    total, size, strength = np.zeros((height, width), np.float32), coarsest, 1.0
    while size >= 2:
        grid = rng.random((math.ceil(height / size) + 3, math.ceil(width / size) + 3), np.float32)
        octave = cv2.resize(grid, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        total += strength * octave[:height, :width]
        size, strength = size / 2, strength * 0.6
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / (high - low), 0, 1)


def _paint(values: np.ndarray, palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Map values in [0, 1] to colors along a palette; return float32 (..., 3)."""
    stops = np.linspace(0, 1, len(palette))
    channels = [np.interp(values, stops, channel) for channel in zip(*palette, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _fill(outline: np.ndarray, unit: float, size: int) -> np.ndarray:
    """Fill a polygon, in units, in the middle of a (size, size) image, with values in [0, 1]."""
    finer = 4  # drawn larger and averaged: smooth edges at the right place
    points = (outline * unit + size / 2) * finer - 0.5
    canvas = np.zeros((size * finer, size * finer), np.uint8)
    cv2.fillPoly(canvas, [np.rint(points * 16).astype(np.int32)], 255, shift=4)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _shade(opacity: np.ndarray, roundness: float) -> np.ndarray:
    """Return brightness factors of a bulging body that is lit from the upper left."""
    inside = cv2.distanceTransform((opacity > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    depth = np.clip(inside / max(inside.max(), 1e-6), 0, 1)
    height = cv2.GaussianBlur(np.sqrt(1 - (1 - depth) ** 2), (0, 0), opacity.shape[0] / 60)
    slope_y, slope_x = np.gradient(height * inside.max() * roundness)
    light = (1 + slope_x + slope_y) / np.sqrt(3 * (1 + slope_x**2 + slope_y**2))
    return (0.55 + 0.8 * np.clip(light, 0, 1)).astype(np.float32)


def _grid(unit: float) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the size of a sprite, and x and y of its pixels in units of the object."""
    size = 2 * math.ceil(1.3 * unit)
    line = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) / unit
    return size, *np.meshgrid(line, line)


def _blob(rng: np.random.Generator, slimness: float, roughness: float) -> np.ndarray:
    """Draw a smooth closed outline (N, 2) that reaches about 1 along x and `slimness` along y."""
    theta = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    radius = np.ones_like(theta)
    for waves in (2, 3, 4, 5):
        phase = rng.uniform(0, 2 * math.pi)
        radius += rng.normal(0, roughness / waves) * np.cos(waves * theta + phase)
    return np.column_stack((radius * np.cos(theta), slimness * radius * np.sin(theta)))


def _make_beetle(
    rng: np.random.Generator,
    radius: float,
    shell: tuple[tuple[int, int, int], ...],
    *,
    slimness: float,
    stripes: float,
) -> DemoSprite:
    """Return a shiny body with a dark head, a seam, two eyes, and stripes or spots."""
    unit = radius * SUPERSAMPLING
    size, x, y = _grid(unit)
    outline = _blob(rng, slimness, 0.05)
    opacity = _fill(outline, unit, size)
    cloud = _cloud(rng, size, size, unit / 2)
    color = _paint(cloud, shell)
    if stripes:
        marks = np.sin(stripes * math.pi * (x + 0.25 * y**2) + 2.5 * (cloud - 0.5))
    else:
        marks = 2.2 * (_cloud(rng, size, size, unit / 3) - 0.45)
    color *= 1 - 0.75 * np.clip(4 * marks - 0.8, 0, 1)[..., None]
    head = np.clip(12 * (x - 0.58), 0, 1)[..., None]
    color += head * (np.array((46, 38, 34), np.float32) * (0.7 + 0.6 * cloud[..., None]) - color)
    seam = np.exp(-((y / 0.03) ** 2)) * (x < 0.58)
    color *= 1 - 0.5 * seam[..., None]
    for side in (-1, 1):
        far = np.hypot(x - 0.76, y - side * 0.45 * slimness)
        eye = np.clip(12 * (0.1 - far), 0, 1)[..., None]
        color += eye * (np.array((226, 216, 180), np.float32) - color)
    color *= _shade(opacity, 1.0)[..., None]
    return DemoSprite(np.clip(color, 0, 255), opacity, outline, radius)


def _make_leaf(rng: np.random.Generator, radius: float) -> DemoSprite:
    """Return a pointed leaf with veins."""
    unit = radius * SUPERSAMPLING
    size, x, y = _grid(unit)
    along = np.linspace(-1, 1, 60)
    half = 0.5 * (1 - along**2) * (1 + 0.06 * np.sin(17 * along))
    outline = np.concatenate(
        (np.column_stack((along, half)), np.column_stack((along, -half))[::-1])
    )
    opacity = _fill(outline, unit, size)
    color = _paint(_cloud(rng, size, size, unit / 2), LEAF)
    veins = np.cos(9 * math.pi * (x - 0.9 * np.abs(y))) ** 24 + np.exp(-((y / 0.03) ** 2))
    color *= (1 + 0.3 * np.clip(veins, 0, 1) + 0.25 * y)[..., None]
    return DemoSprite(np.clip(color, 0, 255), opacity, outline, radius)


def _make_ground(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return soil with moss and stones, float32 (height, width, 3)."""
    soil = 0.65 * _cloud(rng, width, height, height / 5) + 0.35 * _cloud(rng, width, height, 12)
    ground = _paint(np.clip(1.3 * soil - 0.15, 0, 1), SOIL)
    grain = _cloud(rng, width, height, 8)
    ground *= (0.72 + 0.56 * grain)[..., None]
    for _ in range(110):
        radius = height * rng.uniform(0.006, 0.034)
        stone = _make_stone(rng, radius)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        _embed(ground, stone, DemoPose(x, y, 1.0, rng.uniform(0, 2 * math.pi)))
    return ground


def _make_stone(rng: np.random.Generator, radius: float) -> DemoSprite:
    unit = radius * SUPERSAMPLING
    size, _, _ = _grid(unit)
    outline = _blob(rng, rng.uniform(0.6, 0.95), 0.12)
    opacity = _fill(outline, unit, size)
    color = _paint(0.3 * rng.random() + 0.7 * _cloud(rng, size, size, max(3, unit / 2)), STONE)
    color *= (rng.uniform(0.55, 1.05) * _shade(opacity, 0.8))[..., None]
    return DemoSprite(np.clip(color, 0, 255), opacity, outline, radius)


def _embed(ground: np.ndarray, stone: DemoSprite, pose: DemoPose) -> None:
    """Paste a stone on the ground, in place; only its neighborhood is computed."""
    reach = math.ceil(1.8 * stone.radius) + 2
    left, top = max(0, int(pose.x) - reach), max(0, int(pose.y) - reach)
    part = ground[top : int(pose.y) + reach, left : int(pose.x) + reach]
    part[:] = composite_sprite(
        part, stone, DemoPose(pose.x - left, pose.y - top, 1.0, pose.angle), shadow=True
    )
