"""Motion against the camera's in every frame of a video, from optical flow.

Flow between neighboring frames is chained over several, so that slow motion shows. A pixel moves
where it leaves as it came: its motion over the frames before and after has one direction.

Shapes: n frames; maps are (h, w, channels), reduced by `GRID` from the (H, W) that flow is
computed at.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from cyclesiam.data.discovery import camera_flow, fit_camera

SHORT_SIDE = 270  # pixels of the frames that flow is computed at; more takes longer
GRID = 2  # pixels of such a frame in a cell of the maps: the flow has no finer detail
REACH = 2  # doublings of the gap that motion is measured over: 4 frames
MEMORY = 0.7  # weight of the frames before in a vote; a larger value holds on to masks longer
CAMERA_STEP = 6  # cells between points that the camera is fitted to
CAMERA_ERROR = 0.75  # cells that such a point may be off


class Motion(NamedTuple):
    """Motion in a video.

    Args:
        forward: n - 1 maps of flow to the next frame, in cells.
        backward: n - 1 maps of flow from the next frame back, in cells.
        residual: n maps of motion over `gap` frames that the camera does not explain, in cells.
        strength: n maps of the motion that continues, in cells.
        cameras: (n - 1, 2, 3) affine motion of the background to the next frame.
        inliers: (n - 1,) ratio of the points that it explains, 0..1.
        scale: (x, y) pixels of a frame in a cell.
    """

    forward: list[np.ndarray]
    backward: list[np.ndarray]
    residual: list[np.ndarray]
    strength: list[np.ndarray]
    cameras: np.ndarray
    inliers: np.ndarray
    scale: np.ndarray


def measure_motion(frames: Sequence[np.ndarray]) -> Motion:
    """Measure the motion in consecutive frames of a video, (H, W, 3) uint8, at least two."""
    gray = [_reduced_gray(frame) for frame in frames]
    forward, backward = _flows(gray)
    height, width = frames[0].shape[:2]
    h, w = forward[0].shape[:2]
    fitted = [camera_motion(flow) for flow in forward]
    ahead, behind = _residuals(forward), _residuals(backward[::-1])[::-1]
    residual, strength = [], []
    still = np.zeros((h, w, 2), np.float32)
    for number in range(len(frames)):
        after = ahead[number] if number < len(ahead) else still
        before = behind[number - 1] if number else still
        strength.append(np.sqrt(np.maximum(-(after * before).sum(axis=-1), 0)))
        residual.append((after - before) / 2)
    return Motion(
        forward,
        backward,
        residual,
        strength,
        np.stack([camera for camera, _ in fitted]),
        np.array([ratio for _, ratio in fitted]),
        np.array([width / w, height / h]),
    )


def vote(masks: Sequence[np.ndarray], motion: Motion) -> list[np.ndarray]:
    """Return the (h, w) share, 0..1, of votes that each cell gets from masks of frames around.

    Args:
        masks: n maps, true or 1 where something moves.
        motion: that carries masks from frame to frame.
    """
    masks = [np.asarray(mask, np.float32) for mask in masks]
    earlier, later = (
        _accumulate(masks, motion.backward),
        _accumulate(masks[::-1], motion.forward[::-1]),
    )
    return [
        (before + after - (1 - MEMORY) * mask) / (1 + MEMORY)
        for before, after, mask in zip(earlier, later[::-1], masks, strict=True)
    ]


def warp(
    values: np.ndarray,
    flow: np.ndarray,
    *,
    nearest: bool = False,
    border: int = cv2.BORDER_CONSTANT,
) -> np.ndarray:
    """Sample a map of another frame where the flow to that frame leads; 0 outside by default."""
    h, w = flow.shape[:2]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.remap(values, x + flow[..., 0], y + flow[..., 1], how, borderMode=border)


def camera_motion(flow: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the (2, 3) affine motion of the camera, and the ratio of points that it explains."""
    return fit_camera(flow, first=CAMERA_STEP // 2, step=CAMERA_STEP, error=CAMERA_ERROR)


def _reduced_gray(frame: np.ndarray) -> np.ndarray:
    """Return the frame in gray, SHORT_SIDE high or wide, of sides that GRID divides."""
    height, width = frame.shape[:2]
    ratio = SHORT_SIDE / min(height, width)
    size = [max(round(side * ratio / GRID), 8) * GRID for side in (width, height)]
    return cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def _flows(gray: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the flow from each frame to the next, and back, in cells."""
    # A small frame changes the scales of the object that computes the flow, for good.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(1)  # half the resolution, not a quarter: masks keep closer to the target
    dis.setPatchStride(5)
    dis.setGradientDescentIterations(8)

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        found = dis.calc(first, second, None)  # pyright: ignore
        size = (found.shape[1] // GRID, found.shape[0] // GRID)
        return cv2.resize(found, size, interpolation=cv2.INTER_AREA) / GRID

    pairs = [*pairwise(gray)]
    return [flow(*pair) for pair in pairs], [flow(*pair[::-1]) for pair in pairs]


def _residuals(flows: list[np.ndarray]) -> list[np.ndarray]:
    """Chain flow over up to 2**REACH frames, and subtract the camera's part."""
    chained = flows
    for doubling in range(REACH):
        gap = 2**doubling
        further = [
            flow + warp(chained[i + gap], flow, border=cv2.BORDER_REPLICATE)
            for i, flow in enumerate(chained[:-gap])
        ]
        chained = further + chained[len(further) :]
    return [_residual(flow) for flow in chained]


def _residual(flow: np.ndarray) -> np.ndarray:
    """Subtract the camera's part from flow; 0 where it leads out of the frame."""
    h, w = flow.shape[:2]
    x, y = flow[..., 0] + np.arange(w), flow[..., 1] + np.arange(h)[:, None]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    explained = camera_flow(camera_motion(flow)[0], flow.shape).astype(np.float32)
    return (flow - explained) * inside[..., None]


def _accumulate(masks: list[np.ndarray], flows: list[np.ndarray]) -> list[np.ndarray]:
    """Carry masks along; `flows[i]` leads from frame i + 1 to frame i."""
    carried = [masks[0]]
    for mask, flow in zip(masks[1:], flows, strict=True):
        carried.append(MEMORY * warp(carried[-1], flow) + (1 - MEMORY) * mask)
    return carried
