"""Copies of clips that look as videos often do: small, blurred, dark, flat, gray, compressed.

A whole clip is degraded alike, as one camera and one file would.

Shapes: T frames, each (H, W, 3) uint8; boxes are xyxy in pixels.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

SMALL_TARGETS = (10, 24)  # pixels of a target's side that low resolution leaves
MIN_FRAME_SIDE = 32  # pixels; no frame gets smaller
GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
Degradation = Callable[[np.ndarray], np.ndarray]
"""From an (H, W, 3) float32 frame in 0..255 to the degraded one."""


def degrade_clip(
    frames: Sequence[np.ndarray], boxes: np.ndarray, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Degrade a clip in one or two of seven ways.

    Args:
        frames: T images of one size; they are not changed.
        boxes: (T, 4) of the target; the first is known.
        rng: random numbers.

    Returns:
        The degraded frames, which are smaller if the resolution is lower, and the boxes in them.
    """
    target = float(np.sqrt((boxes[0, 2:] - boxes[0, :2]).prod()))
    least = MIN_FRAME_SIDE / min(frames[0].shape[:2])
    scale = min(max(rng.uniform(*SMALL_TARGETS) / target, least), 1.0)
    kinds = {
        "low resolution": _shrink(scale),
        "blur": _blur(rng.uniform(0.8, 2.2)),
        "darkness": _darken(rng.uniform(0.4, 0.8), rng.uniform(1.1, 1.7), rng),
        "low contrast": _flatten(rng.uniform(0.25, 0.5)),
        "gray": _to_gray,
        "noise": _add_noise(rng.uniform(5, 14), rng),
        "compression": _compress(int(rng.integers(10, 35))),
    }
    drawn = set(rng.choice([*kinds], rng.integers(1, 3), replace=False))
    chosen = [degradation for name, degradation in kinds.items() if name in drawn]
    degraded = [_apply(frame, chosen) for frame in frames]
    height, width = frames[0].shape[:2]
    ratio = np.array([degraded[0].shape[1] / width, degraded[0].shape[0] / height])
    return degraded, boxes * np.tile(ratio, 2)


def _apply(frame: np.ndarray, degradations: Sequence[Degradation]) -> np.ndarray:
    changed = frame.astype(np.float32)
    for degradation in degradations:
        changed = degradation(changed)
    return np.clip(changed, 0, 255).astype(np.uint8)


def _shrink(scale: float) -> Degradation:
    return lambda frame: cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _blur(sigma: float) -> Degradation:
    return lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma)


def _darken(gain: float, gamma: float, rng: np.random.Generator) -> Degradation:
    """Return what takes light away, and leaves a sensor's noise."""
    noise = _add_noise(4, rng)
    return lambda frame: noise(255 * gain * (frame / 255) ** gamma)


def _flatten(contrast: float) -> Degradation:
    return lambda frame: frame.mean() + (frame - frame.mean()) * contrast


def _to_gray(frame: np.ndarray) -> np.ndarray:
    return np.repeat((frame @ GRAY)[..., None], 3, axis=2)


def _add_noise(deviation: float, rng: np.random.Generator) -> Degradation:
    return lambda frame: frame + rng.normal(0, deviation, (*frame.shape[:2], 1)).astype(np.float32)


def _compress(quality: int) -> Degradation:
    """Return what stores a frame as JPEG of a quality, 1..100, and reads it again."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]

    def compress(frame: np.ndarray) -> np.ndarray:
        stored = cv2.imencode(".jpg", np.clip(frame, 0, 255).astype(np.uint8), flags)[1]
        return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.float32)

    return compress
