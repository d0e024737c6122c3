"""Target discovery: boxes worth following in frames that nobody annotated.

A candidate is scored by how much it differs from its surroundings, in motion (flow against the
camera's own motion), in colour, and by how much texture it holds. Nothing here is learnt.

Shapes: N candidates; maps are (h, w, channels), reduced by `SHRINK`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names

SHRINK = 2  # flow and contrast are measured on half the resolution
SURROUND = 1.6  # side of the box that holds a candidate's surroundings, over the candidate's
TEXTURE_REACH = 9  # side in reduced pixels of the surroundings that a flow is measured from
NOISE = 0.35  # flow in reduced pixels that is noise even in a still scene


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoveryConfig:
    """What a target may look like, and how it is drawn."""

    num_candidates: int = 48
    """Random boxes that compete on contrast."""
    min_size: float = 0.10
    """Least side of a random box, over the frame's shorter side."""
    max_size: float = 0.35
    """Greatest side of a random box, over the frame's shorter side."""
    contrast_sharpness: float = 4.0
    """How strongly contrast decides; 0 draws candidates with equal chances."""
    motion_probability: float = 0.75
    """Chance that a moving region, where there is one, wins over contrast."""
    bidirectional: bool = False
    """Look at the frames just before and after, where both are there: what moves goes on so."""
    merge_gap: float = 0.0
    """Widest gap between fragments of one moving region, over the frame's shorter side."""
    min_motion_ratio: float = 0.0
    """Least share of all that moves that belongs to a region."""
    inside: bool = False
    """Leave out regions that touch the frame's border: much of them may lie outside."""
    min_texture: float = 0.0
    """Least deviation of brightness, of 255 levels, around a pixel whose motion counts: flow is
    guessed where nothing can be matched, as in the sky."""

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ValueError(f"num_candidates must be at least 1, got {self.num_candidates}")
        if not 0 < self.min_size <= self.max_size <= 1:
            raise ValueError(f"0 < min_size <= max_size <= 1 must hold, got {self}")
        if not (0 <= self.merge_gap < 1 and 0 <= self.min_motion_ratio <= 1):
            raise ValueError(f"merge_gap and min_motion_ratio are shares, got {self}")


DEFAULT_DISCOVERY = DiscoveryConfig()
STRICT_DISCOVERY = DiscoveryConfig(bidirectional=True, merge_gap=0.13, min_motion_ratio=0.3)
"""Fewer moving regions, of which more are whole objects; about 1.7 times the time of `PLAIN`."""


class DiscoveredTarget(NamedTuple):
    """A target, (4,) float xyxy in pixels, and what it was discovered by."""

    box: np.ndarray
    reason: Literal["motion", "contrast"]


def discover_target(
    image: np.ndarray,
    later: np.ndarray | None,
    random: np.random.Generator,
    config: DiscoveryConfig,
    *,
    neighbours: tuple[np.ndarray, np.ndarray] | None = None,
) -> DiscoveredTarget:
    """Draw one target, and tell by what it was discovered.

    Args:
        image: (H, W, 3) uint8 frame in which the target is wanted.
        later: (H, W, 3) another frame of the scene, some frames away; None for a still picture.
        random: source of chance.
        config: what a target may look like.
        neighbours: the frames just before and after `image`, for `config.both_sides`; None where
            one is missing.

    Returns:
        A moving region, or where none is drawn a box that stands out by contrast.
    """
    if later is not None and random.random() < config.motion_probability:
        earlier = None
        if config.bidirectional and neighbours is not None:
            earlier, later = neighbours
        moving = moving_regions(image, later, earlier, config)
        if len(moving):
            return DiscoveredTarget(moving[random.integers(len(moving))], "motion")
    boxes = random_boxes((image.shape[0], image.shape[1]), config.num_candidates, random, config)
    scores = contrast(image, boxes) * config.contrast_sharpness
    chances = np.exp(scores - scores.max())
    return DiscoveredTarget(boxes[random.choice(len(boxes), p=chances / chances.sum())], "contrast")


def random_boxes(
    frame_size: tuple[int, int], count: int, random: np.random.Generator, config: DiscoveryConfig
) -> np.ndarray:
    """Draw (count, 4) xyxy boxes inside a frame (height, width), of log-uniform size and shape."""
    height, width = frame_size
    shorter = min(frame_size)
    low, high = np.log([config.min_size, config.max_size])
    side = shorter * np.exp(random.uniform(low, high, count))
    stretch = np.exp(random.uniform(-0.6, 0.6, count))  # up to 3.3 : 1
    w, h = np.minimum(side * stretch, width), np.minimum(side / stretch, height)
    x, y = random.uniform(0, width - w), random.uniform(0, height - h)
    return np.stack((x, y, x + w, y + h), axis=-1)


def moving_regions(
    image: np.ndarray,
    later: np.ndarray,
    earlier: np.ndarray | None = None,
    config: DiscoveryConfig = DEFAULT_DISCOVERY,
) -> np.ndarray:
    """Find regions that do not move as the camera does.

    Args:
        image: (H, W, 3) uint8.
        later: (H, W, 3) uint8, another frame.
        earlier: (H, W, 3) uint8, a frame on the other side, as far away; with it only what goes on
            in its way counts: what it came by, it leaves by.
        config: which regions are kept.

    Returns:
        (N, 4) xyxy boxes in pixels, between 0.4 % and 15 % of the frame's area; N may be 0.
    """
    motion = np.linalg.norm(ahead := residual_motion(image, later), axis=-1)
    if earlier is not None:
        motion = np.sqrt(np.maximum(-(ahead * residual_motion(image, earlier)).sum(axis=-1), 0))
    if config.min_texture:
        motion *= local_texture(image) >= config.min_texture
    threshold = max(NOISE, 2.0 * float(np.median(motion)), 0.3 * float(motion.max()))
    moving = cv2.morphologyEx(
        (motion > threshold).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    if bridge := round(config.merge_gap * min(moving.shape)):
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((bridge, bridge), np.uint8))
    _, _, statistics, _ = cv2.connectedComponentsWithStats(moving)
    total = float(moving.sum())
    kept = [row for row in statistics[1:] if _is_kept(row, moving.shape, total, config)]
    regions = np.array(kept, float).reshape(-1, 5)
    boxes = np.concatenate((regions[:, :2], regions[:, :2] + regions[:, 2:4]), axis=-1)
    size = np.array([image.shape[1], image.shape[0]])
    return np.minimum(boxes * SHRINK, np.tile(size, 2))  # an odd side was rounded


def _is_kept(
    row: np.ndarray, frame: tuple[int, ...], moving: float, config: DiscoveryConfig
) -> bool:
    """Judge a region by its left, top, width, height and area, of `moving` pixels in a frame."""
    x, y, w, h, area = row.tolist()
    height, width = frame
    return (
        0.004 < area / (height * width) < 0.15
        and w < 0.85 * width
        and h < 0.85 * height
        and area >= config.min_motion_ratio * moving
        and not (config.inside and min(x, y, width - x - w, height - y - h) <= 0)
    )


def residual_motion(image: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Measure the motion that the camera does not explain.

    Returns:
        (h, w, 2) optical flow minus a fitted affine camera motion, in reduced pixels.
    """
    flow = _FLOW.calc(_grey(image), _grey(later), None)  # pyright: ignore
    h, w = flow.shape[:2]
    y, x = np.mgrid[0:h:8, 0:w:8].reshape(2, -1)
    points = np.stack((x, y), axis=-1).astype(np.float32)
    # A fixed seed inside: the same frames give the same camera.
    cv2.setRNGSeed(0)
    camera, _ = cv2.estimateAffine2D(points, points + flow[y, x], ransacReprojThreshold=1.0)
    if camera is None:
        camera = np.eye(2, 3)
    columns, rows = np.arange(w), np.arange(h)[:, None]
    moved = [columns * a + rows * b + c for a, b, c in camera - np.eye(2, 3)]
    return flow - np.stack(moved, axis=-1)


def local_texture(image: np.ndarray) -> np.ndarray:
    """Give the (h, w) standard deviation of brightness around each reduced pixel, in 0..255."""
    grey = _grey(image).astype(np.float32)
    mean = cv2.blur(grey, (TEXTURE_REACH, TEXTURE_REACH))
    squares = cv2.blur(grey * grey, (TEXTURE_REACH, TEXTURE_REACH))
    return np.sqrt(np.maximum(squares - mean * mean, 0))


def contrast(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Score how much boxes differ from their surroundings and how textured they are.

    Args:
        image: (H, W, 3) uint8.
        boxes: (N, 4) xyxy in pixels.

    Returns:
        (N,) standard scores, mean 0 and deviation 1 over the N boxes.
    """
    small = cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    colour = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    edges = np.abs(cv2.Laplacian(colour[..., 0], cv2.CV_32F))
    sums = cv2.integral(np.dstack((colour, edges)))
    inside, area = _box_sums(sums, boxes / SHRINK)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    wider = np.concatenate((centre - half * SURROUND, centre + half * SURROUND), axis=-1)
    around, wide_area = _box_sums(sums, wider / SHRINK)
    ring = (around - inside) / np.maximum(wide_area - area, 1)[:, None]
    inside /= area[:, None]
    difference = np.linalg.norm(inside[:, :3] - ring[:, :3], axis=-1)
    texture = np.log1p(inside[:, 3])
    return (_standard(difference) + _standard(texture)) / 2


_FLOW = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _grey(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _box_sums(sums: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum (N, C) channels over boxes from integral images; also the (N,) areas."""
    limits = np.array([sums.shape[1] - 1, sums.shape[0] - 1] * 2)
    x0, y0, x1, y1 = np.clip(boxes.round().astype(int), 0, limits).T
    x1, y1 = np.maximum(x1, x0 + 1).clip(max=limits[0]), np.maximum(y1, y0 + 1).clip(max=limits[1])
    totals = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return totals, np.maximum((x1 - x0) * (y1 - y0), 1).astype(float)


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-6)
