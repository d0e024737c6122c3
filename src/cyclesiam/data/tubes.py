"""Tubes: regions that move by themselves, followed through consecutive frames.

A tube gives the box and the mask of one target in many frames, without any label. Regions are
found in each frame, voted on by the frames around, and linked while they go on smoothly in both
directions. Those that move like water, leaves or a part of the scenery are rejected.

Shapes: n frames of a tube; masks are (n, S, S) with S = MASK_SIDE; maps are (h, w).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from cyclesiam.data.discovery import camera_flow
from cyclesiam.data.tube_links import Track, label_regions, link_regions
from cyclesiam.data.tube_masks import (
    WINDOW,
    color_contrast,
    crop_window,
    refine_masks,
    windows_around,
)
from cyclesiam.data.tube_motion import Motion, measure_motion, vote
from cyclesiam.geometry.boxes import box_iou, xyxy_to_cxcywh
from cyclesiam.geometry.crops import crop_to_image_matrix
from cyclesiam.geometry.masks import mask_to_box

MASK_SIDE = 32  # cells on a side of a mask
PEAK_RATIO = 0.12  # of the strongest motion in a frame, below which a cell rests
REGION_RATIO = 0.3  # of the strongest motion in a region
BLEEDING = 15  # cells on a side around a cell that its motion may bleed into
STILL = 0.15  # cells a frame that the picture of a resting camera may shift
PART_REACH = 1.0  # how far away the rest of a target may be, over the root of a region's area
PART_AREA = 0.15  # of what is near, over the region's, to be more than a speck
PART_AGREEMENT = 0.7  # cosine between motions that are alike
SEGMENT = 192  # frames that are held in memory together; tubes end there


@dataclass(frozen=True, kw_only=True, slots=True)
class TubeConfig:
    """Which moving regions become tubes."""

    min_length: int = 12
    """Fewest frames of a tube; more keep fewer tubes, of which more are right."""
    min_size: float = 10.0
    """Shortest side of a box in pixels of the frames; more keep fewer small targets."""
    max_area: float = 0.3
    """Largest ratio of the frame's area that a region may cover; more lets scenery in."""
    min_motion: float = 0.6
    """Motion over four frames, in pixels of a frame with a shorter side of 135, that is noise in a
    still scene; more misses slow targets."""
    noise_ratio: float = 4.0
    """Times that the frame's median motion must be exceeded; more keeps fewer regions."""
    min_overlap: float = 0.6
    """Least overlap (IoU) of a region with that of the next frame, carried by flow in both
    directions; more splits tubes where shape changes."""
    max_growth: float = 1.35
    """Largest ratio of a region's areas in neighboring frames; less cuts where regions merge."""
    min_box_overlap: float = 0.6
    """Least overlap (IoU) of the boxes of neighboring frames; more cuts fast changes."""
    min_travel: float = 0.32
    """Least way against the background, over the square root of the area; more rejects leaves."""
    min_straightness: float = 0.75
    """Least way from start to end over the way from frame to frame, 0..1; more rejects what
    swings."""
    max_surround: float = 0.25
    """Largest motion around a region over the motion inside; less rejects water and slopes."""
    max_elsewhere: float = 0.08
    """Largest ratio of the rest of the frame that moves likewise, while the camera moves; less
    rejects scenes that a camera travels through."""
    max_elsewhere_still: float = 0.3
    """The same while the camera rests; less rejects busy roads."""
    min_contrast: float = 0.35
    """Least difference between the colors inside and around, 0 equal to 1 disjoint; more rejects
    parts of a road or a field."""
    min_inliers: float = 0.5
    """Least ratio of the frame that the camera's motion explains; more rejects unclear scenes."""

    def __post_init__(self) -> None:
        if self.min_length < 2:
            raise ValueError(f"min_length must be at least 2, got {self.min_length}")
        ratios = self.max_area, self.min_overlap, self.min_box_overlap, self.min_straightness
        if not all(0 <= ratio <= 1 for ratio in ratios) or self.max_growth < 1:
            raise ValueError(f"ratios must lie in 0..1 and max_growth be at least 1, got {self}")


DEFAULT_TUBES = TubeConfig()


@dataclass(frozen=True, slots=True)
class Tube:
    """A moving region that is followed through consecutive frames.

    Args:
        first: number in the scene of its first frame.
        boxes: (n, 4) float32 xyxy in pixels of the scene's own frames.
        masks: (n, S, S) bool, the region inside its box, stretched to S x S cells.
    """

    first: int
    boxes: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def mask_in(self, number: int, frame_size: tuple[int, int]) -> np.ndarray:
        """Return the (H, W) uint8 mask of the tube's frame `number`, 255 on the target."""
        window = xyxy_to_cxcywh(self.boxes[number].astype(float))
        matrix = crop_to_image_matrix(window.tolist(), (MASK_SIDE, MASK_SIDE))
        grid = self.masks[number].astype(np.uint8) * 255
        return cv2.warpAffine(grid, matrix, frame_size[::-1], flags=cv2.INTER_LINEAR)


def find_tubes(frames: Iterable[np.ndarray], config: TubeConfig = DEFAULT_TUBES) -> list[Tube]:
    """Find the tubes of a video.

    Args:
        frames: consecutive frames of one size, (H, W, 3) uint8; few are held at a time.
        config: which regions become tubes.

    Returns:
        The tubes by their first frame.
    """
    tubes: list[Tube] = []
    start, frames = 0, iter(frames)
    while segment := [*islice(frames, SEGMENT)]:
        if len(segment) >= config.min_length:
            found = _find_in_segment(segment, config)
            tubes += [Tube(start + tube.first, tube.boxes, tube.masks) for tube in found]
        start += len(segment)
    return tubes


def _find_in_segment(frames: list[np.ndarray], config: TubeConfig) -> Iterator[Tube]:
    motion = measure_motion(frames)
    votes = vote([moving_cells(strength, config) for strength in motion.strength], motion)
    smallest = config.min_size / motion.scale
    regions = [label_regions(one > 0.5, smallest, config.max_area) for one in votes]
    tracks = link_regions(regions, motion, config.min_overlap, config.max_growth)
    for track in tracks:
        if len(track.masks) >= config.min_length and is_object(track, motion, config):
            yield from _refined(track, frames, votes, motion, config)


def moving_cells(strength: np.ndarray, config: TubeConfig) -> np.ndarray:
    """Return the (h, w) uint8 map of the cells whose motion is that of a target."""
    peak = float(np.percentile(strength, 99.5))
    noise = config.noise_ratio * float(np.median(strength))
    moving = strength > max(config.min_motion, noise, PEAK_RATIO * peak)
    count, labels = cv2.connectedComponents(moving.astype(np.uint8))
    for label in range(1, count):  # strong motion bleeds into its surroundings
        region = labels == label
        moving &= ~region | (strength > REGION_RATIO * np.percentile(strength[region], 90))
    return cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))


def is_object(track: Track, motion: Motion, config: TubeConfig) -> bool:
    """Check whether a region travels as one, apart from its surroundings."""
    steps, around, elsewhere, explained, shifts, part = [], [], [], [], [], []
    for number, (mask, free) in enumerate(zip(track.masks, track.free, strict=True), track.first):
        strength = np.linalg.norm(motion.residual[number], axis=-1)
        inside = float(np.median(strength[mask]))
        around.append(float(np.median(strength[_ring(mask)])) / max(inside, 1e-3))
        rest = ~cv2.dilate(mask.astype(np.uint8), np.ones((BLEEDING, BLEEDING))).astype(bool)
        elsewhere.append(float((motion.strength[number][rest] > REGION_RATIO * inside).mean()))
        part.append(_is_part(mask, free, motion.residual[number]))
        if number < len(motion.forward):
            flow = motion.forward[number]
            camera = camera_flow(motion.cameras[number], flow.shape)
            steps.append((flow[mask] - camera[mask]).mean(axis=0))
            shifts.append(float(np.linalg.norm(camera, axis=-1).mean()))
            explained.append(motion.inliers[number])
    way = float(np.linalg.norm(np.sum(steps, axis=0)))
    size = float(np.sqrt(np.median([mask.sum() for mask in track.masks])))
    still = float(np.median(shifts)) < STILL
    most_elsewhere = config.max_elsewhere_still if still else config.max_elsewhere
    return bool(
        np.mean(part) < 0.5
        and way >= config.min_travel * size
        and way >= config.min_straightness * float(np.linalg.norm(steps, axis=-1).sum())
        and float(np.median(around)) <= config.max_surround
        and float(np.median(elsewhere)) <= most_elsewhere
        and float(np.median(explained)) >= config.min_inliers
    )


def _is_part(mask: np.ndarray, free: np.ndarray, residual: np.ndarray) -> bool:
    """Check whether a region beside this one moves likewise, as the rest of a target does."""
    reach = int(PART_REACH * np.sqrt(mask.sum()))
    near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2)).astype(bool) & ~free
    if near.sum() < PART_AREA * mask.sum():
        return False
    own, other = residual[mask].mean(axis=0), residual[near].mean(axis=0)
    agreement = own @ other / max(float(np.linalg.norm(own) * np.linalg.norm(other)), 1e-6)
    return bool(agreement > PART_AGREEMENT)


def _ring(mask: np.ndarray) -> np.ndarray:
    """Return the cells around a region, but not those that its motion bleeds into."""
    reach = int(max(3, 0.35 * np.sqrt(mask.sum())))
    region = mask.astype(np.uint8)
    outer = cv2.dilate(region, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    inner = cv2.dilate(region, np.ones((2 * (reach // 2) + 1,) * 2, np.uint8))
    return outer > inner


def _refined(
    track: Track,
    frames: list[np.ndarray],
    votes: list[np.ndarray],
    motion: Motion,
    config: TubeConfig,
) -> Iterator[Tube]:
    """Correct a track's masks by color; cut it where they jump or touch the frame's border."""
    numbers = range(track.first, track.first + len(track.masks))
    rough = np.stack([mask_to_box(mask) for mask in track.masks])
    windows = windows_around(rough)
    own = [
        crop_window(votes[number] * free, window, cv2.BORDER_CONSTANT)
        for number, free, window in zip(numbers, track.free, windows, strict=True)
    ]
    windows = windows * np.tile(motion.scale, 2)
    crops = [crop_window(frames[n], window) for n, window in zip(numbers, windows, strict=True)]
    masks = refine_masks(np.stack(crops), np.stack(own))
    if color_contrast(np.stack(crops), masks) < config.min_contrast:
        return
    boxes = np.stack([_box_in_frame(*pair) for pair in zip(masks, windows, strict=True)])
    height, width = frames[0].shape[:2]
    for start, end in _smooth_runs(boxes, (height, width), config):
        grids = [_shrink(mask) for mask in masks[start:end]]
        yield Tube(track.first + start, boxes[start:end].astype(np.float32), np.stack(grids))


def _box_in_frame(mask: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return the (4,) xyxy box in pixels of the frame of a mask in a window."""
    step = (window[2:] - window[:2]) / WINDOW
    return mask_to_box(mask) * np.tile(step, 2) + np.tile(window[:2], 2)


def _shrink(mask: np.ndarray) -> np.ndarray:
    """Stretch the inside of a mask's box to S x S cells."""
    x0, y0, x1, y1 = mask_to_box(mask).astype(int).tolist()
    inside = mask[y0:y1, x0:x1].astype(np.float32)
    return cv2.resize(inside, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA) > 0.5


def _smooth_runs(
    boxes: np.ndarray, frame_size: tuple[int, int], config: TubeConfig
) -> Iterator[tuple[int, int]]:
    """Yield where runs of boxes start and end that stay in the frame and do not jump."""
    height, width = frame_size
    inside = (boxes[:, :2] >= 1).all(axis=-1) & (boxes[:, 2:] <= (width - 1, height - 1)).all(-1)
    large = (boxes[:, 2:] - boxes[:, :2]).min(axis=-1) >= config.min_size
    usable = inside & large  # NaN, of an empty mask, is neither
    start = 0
    for number in range(len(boxes) + 1):
        ends = number == len(boxes) or not usable[number]
        jumps = (
            not ends
            and number > start
            and box_iou(boxes[number - 1], boxes[number]) < config.min_box_overlap
        )
        if ends or jumps:
            if number - start >= config.min_length:
                yield start, number
            start = number + 1 if ends else number
