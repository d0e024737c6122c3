"""Target discovery: boxes worth tracking in frames that nobody annotated.

A target is a region that moves against the camera's own motion. Where none is drawn, random boxes
compete by contrast: how much their color differs from their surroundings, and how much texture
they hold. Nothing here is learned.

Shapes: N boxes; maps are (h, w, channels), reduced by `SHRINK`.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from cyclesiam.config_aliases import accepts_old_names

SHRINK = 2  # flow and contrast are measured at half the resolution
SURROUND = 1.6  # side of the box that holds a candidate's surroundings, over the candidate's
TEXTURE_REACH = 9  # side in reduced pixels of the window in which texture is measured
NOISE = 0.35  # flow in reduced pixels that is noise even in a still scene
MIN_AREA, MAX_AREA = 0.004, 0.15  # ratios of the frame's area between which a region is kept
MAX_SIDE = 0.85  # ratio of the frame's side that a region may span


@accepts_old_names
@dataclass(frozen=True, kw_only=True, slots=True)
class DiscoveryConfig:
    """What a target may look like, and how it is drawn."""

    num_candidates: int = 48
    """Random boxes that compete by contrast; more find better ones, and take longer."""
    min_size: float = 0.10
    """Smallest side of a random box, over the frame's shorter side."""
    max_size: float = 0.35
    """Largest side of a random box, over the frame's shorter side."""
    contrast_sharpness: float = 4.0
    """How strongly contrast decides. A larger value draws the best candidate more often; 0 draws
    all with equal probability."""
    motion_probability: float = 0.75
    """Probability that a moving region, where there is one, is taken."""
    bidirectional: bool = False
    """Compare with the frames just before and after, where both exist. Only motion that continues
    counts."""
    merge_gap: float = 0.0
    """Widest gap between fragments that become one region, over the frame's shorter side. A larger
    value merges more."""
    min_motion_ratio: float = 0.0
    """Smallest ratio of all moving pixels that a region must hold. A larger value keeps fewer
    regions."""
    min_texture: float = 0.0
    """Smallest standard deviation of brightness, of 255 levels, around a pixel whose motion counts.
    Flow is a guess where there is nothing to match, such as in the sky."""

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ValueError(f"num_candidates must be at least 1, got {self.num_candidates}")
        if not 0 < self.min_size <= self.max_size <= 1:
            raise ValueError(f"0 < min_size <= max_size <= 1 must hold, got {self}")
        if not (0 <= self.merge_gap < 1 and 0 <= self.min_motion_ratio <= 1):
            raise ValueError(f"merge_gap and min_motion_ratio must lie in 0..1, got {self}")


DEFAULT_DISCOVERY = DiscoveryConfig()
STRICT_DISCOVERY = DiscoveryConfig(bidirectional=True, merge_gap=0.13, min_motion_ratio=0.3)
"""Fewer moving regions, of which more are whole objects; about 1.7 times the default's time."""


class DiscoveredTarget(NamedTuple):
    """A target: (4,) float xyxy in pixels, and by what it was discovered."""

    box: np.ndarray
    reason: Literal["motion", "contrast"]


def discover_target(
    image: np.ndarray,
    later: np.ndarray | None,
    rng: np.random.Generator,
    config: DiscoveryConfig,
    *,
    neighbors: tuple[np.ndarray, np.ndarray] | None = None,
) -> DiscoveredTarget:
    """Draw one target: a moving region, or where none is drawn a box with high contrast.

    Args:
        image: (H, W, 3) uint8, the frame of the target.
        later: (H, W, 3) uint8, another frame of the scene, some frames away; None for a still.
        rng: random numbers.
        config: what a target may look like.
        neighbors: the frames just before and after `image`, for `config.bidirectional`; None where
            one is missing.
    """
    if later is not None and rng.random() < config.motion_probability:
        earlier = None
        if config.bidirectional and neighbors is not None:
            earlier, later = neighbors
        moving = moving_regions(image, later, earlier, config)
        if len(moving):
            return DiscoveredTarget(moving[rng.integers(len(moving))], "motion")
    boxes = random_boxes((image.shape[0], image.shape[1]), config.num_candidates, rng, config)
    scores = contrast(image, boxes) * config.contrast_sharpness
    weights = np.exp(scores - scores.max())
    return DiscoveredTarget(boxes[rng.choice(len(boxes), p=weights / weights.sum())], "contrast")


def random_boxes(
    frame_size: tuple[int, int], count: int, rng: np.random.Generator, config: DiscoveryConfig
) -> np.ndarray:
    """Draw (count, 4) xyxy boxes inside a frame (height, width), of log-uniform size and aspect."""
    height, width = frame_size
    shorter = min(frame_size)
    low, high = np.log([config.min_size, config.max_size])
    side = shorter * np.exp(rng.uniform(low, high, count))
    stretch = np.exp(rng.uniform(-0.6, 0.6, count))  # up to 3.3 : 1
    w, h = np.minimum(side * stretch, width), np.minimum(side / stretch, height)
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return np.stack((x, y, x + w, y + h), axis=-1)


def moving_regions(
    image: np.ndarray,
    later: np.ndarray,
    earlier: np.ndarray | None = None,
    config: DiscoveryConfig = DEFAULT_DISCOVERY,
) -> np.ndarray:
    """Return the regions that move otherwise than the camera.

    Args:
        image: (H, W, 3) uint8.
        later: (H, W, 3) uint8, another frame.
        earlier: (H, W, 3) uint8, a frame as far away on the other side. With it, only motion that
            continues counts: a pixel must leave as it came.
        config: which regions are kept.

    Returns:
        (N, 4) xyxy boxes in pixels, between 0.4 % and 15 % of the frame's area; N may be 0.
    """
    forward = residual_motion(image, later)
    motion = np.linalg.norm(forward, axis=-1)
    if earlier is not None:
        motion = np.sqrt(np.maximum(-(forward * residual_motion(image, earlier)).sum(axis=-1), 0))
    if config.min_texture:
        motion *= local_texture(image) >= config.min_texture
    threshold = max(NOISE, 2.0 * float(np.median(motion)), 0.3 * float(motion.max()))
    moving = cv2.morphologyEx(
        (motion > threshold).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    if gap := round(config.merge_gap * min(moving.shape)):
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    _, _, statistics, _ = cv2.connectedComponentsWithStats(moving)
    least = config.min_motion_ratio * float(moving.sum())
    kept = [row for row in statistics[1:] if _is_kept(row, moving.shape, least)]
    regions = np.array(kept, float).reshape(-1, 5)
    boxes = np.concatenate((regions[:, :2], regions[:, :2] + regions[:, 2:4]), axis=-1)
    size = np.array([image.shape[1], image.shape[0]])
    return np.minimum(boxes * SHRINK, np.tile(size, 2))  # an odd side was rounded


def _is_kept(row: np.ndarray, frame: tuple[int, ...], min_area: float) -> bool:
    """Check whether a region (left, top, width, height, area) of a frame (h, w) is kept."""
    _, _, w, h, area = row.tolist()
    height, width = frame
    return (
        MIN_AREA < area / (height * width) < MAX_AREA
        and w < MAX_SIDE * width
        and h < MAX_SIDE * height
        and area >= min_area
    )


def residual_motion(image: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Measure the motion that the camera does not explain.

    Returns:
        (h, w, 2) optical flow minus a fitted affine camera motion, in reduced pixels.
    """
    # A small frame changes the scales of the object that computes the flow, for good.
    # A new one each time keeps the result independent of earlier frames.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = dis.calc(_reduced_gray(image), _reduced_gray(later), None)  # pyright: ignore
    camera, _ = fit_camera(flow, first=0, step=8, error=1.0)
    return flow - camera_flow(camera, flow.shape)


def fit_camera(
    flow: np.ndarray, *, first: int, step: int, error: float
) -> tuple[np.ndarray, float]:
    """Fit an affine camera motion to (h, w, 2) flow.

    Args:
        flow: in pixels of its own.
        first: row and column of the first point that the motion is fitted to.
        step: pixels from one point to the next.
        error: pixels that the motion may miss a point by.

    Returns:
        (2, 3) the motion of a pixel, and the ratio of points that it explains, 0..1.
    """
    h, w = flow.shape[:2]
    y, x = np.mgrid[first:h:step, first:w:step].reshape(2, -1)
    points = np.stack((x, y), axis=-1).astype(np.float32)
    cv2.setRNGSeed(0)  # the same frames give the same camera
    camera, explained = cv2.estimateAffine2D(
        points, points + flow[y, x], ransacReprojThreshold=error
    )
    if camera is None:
        return np.eye(2, 3), 0.0
    return camera, float(explained.mean())


def camera_flow(camera: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the (h, w, 2) flow of an affine camera motion (2, 3)."""
    columns, rows = np.arange(shape[1]), np.arange(shape[0])[:, None]
    explained = [columns * a + rows * b + c for a, b, c in camera - np.eye(2, 3)]
    return np.stack(explained, axis=-1)


def local_texture(image: np.ndarray) -> np.ndarray:
    """Return the (h, w) standard deviation of brightness around each reduced pixel, in 0..255."""
    gray = _reduced_gray(image).astype(np.float32)
    mean = cv2.blur(gray, (TEXTURE_REACH, TEXTURE_REACH))
    squares = cv2.blur(gray * gray, (TEXTURE_REACH, TEXTURE_REACH))
    return np.sqrt(np.maximum(squares - mean * mean, 0))


def contrast(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Score how much boxes differ from their surroundings, and how textured they are.

    Args:
        image: (H, W, 3) uint8.
        boxes: (N, 4) xyxy in pixels.

    Returns:
        (N,) standard scores: mean 0 and deviation 1 over the N boxes, of both, averaged.
    """
    small = cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    color = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    edges = np.abs(cv2.Laplacian(color[..., 0], cv2.CV_32F))
    integral = cv2.integral(np.dstack((color, edges)))
    inside, area = _box_sums(integral, boxes / SHRINK)
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    wider = np.concatenate((center - half * SURROUND, center + half * SURROUND), axis=-1)
    around, wide_area = _box_sums(integral, wider / SHRINK)
    ring = (around - inside) / np.maximum(wide_area - area, 1)[:, None]
    inside /= area[:, None]
    difference = np.linalg.norm(inside[:, :3] - ring[:, :3], axis=-1)
    texture = np.log1p(inside[:, 3])
    return (_standardize(difference) + _standardize(texture)) / 2


def _reduced_gray(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, None, fx=1 / SHRINK, fy=1 / SHRINK, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _box_sums(integral: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, C) sums over boxes in integral images (h + 1, w + 1, C), and (N,) areas."""
    limits = np.array([integral.shape[1] - 1, integral.shape[0] - 1] * 2)
    x0, y0, x1, y1 = np.clip(boxes.round().astype(int), 0, limits).T
    x1, y1 = np.maximum(x1, x0 + 1).clip(max=limits[0]), np.maximum(y1, y0 + 1).clip(max=limits[1])
    totals = integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0]
    return totals, np.maximum((x1 - x0) * (y1 - y0), 1).astype(float)


def _standardize(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-6)
