"""Masks of a tube: what moves, corrected by the colors that the target keeps.

Flow bleeds into surroundings without texture, and misses a part that rests. Colors of the target
and of its surroundings are counted over the frames around, and decide together with motion.

Shapes: n frames of a tube; windows are W x W pixels with W = WINDOW.
"""

import cv2
import numpy as np

from cyclesiam.geometry.boxes import xyxy_to_cxcywh
from cyclesiam.geometry.crops import crop_to_image_matrix

WINDOW = 64  # pixels on a side of the window around a region
CONTEXT = 1.7  # side of a window over the region's box
SPAN = 10  # frames before and after whose colors count
ROUNDS = 3  # of estimating colors and masks in turn
BINS = 16, 32, 32  # of L, a and b; a and b of real pictures vary less
UNIFORM = 0.02  # share of a color that was never seen
COLOR_WEIGHT = 1.5
COLOR_LIMIT = 3.0  # logit of color alone
MOTION_LIMITS = -2.0, 0.4  # logit of motion alone; low inside, because flow bleeds outwards
LEAST_PART = 0.15  # area of a part over the largest part's; smaller ones are specks


def windows_around(boxes: np.ndarray) -> np.ndarray:
    """Return the (n, 4) xyxy windows around (n, 4) xyxy boxes."""
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = half * CONTEXT + 2
    return np.concatenate((center - half, center + half), axis=-1)


def crop_window(
    image: np.ndarray, window: np.ndarray, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """Resize a window, xyxy in pixels of an (H, W, ...) image, to W x W."""
    matrix = crop_to_image_matrix(xyxy_to_cxcywh(window).tolist(), (WINDOW, WINDOW))
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (WINDOW, WINDOW), flags=how, borderMode=border)


def refine_masks(crops: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return the (n, W, W) bool masks of a target.

    Args:
        crops: (n, W, W, 3) uint8, windows of the frames.
        votes: (n, W, W) float share of votes for motion, 0..1.
    """
    votes = np.clip(votes, 1e-3, 1 - 1e-3).astype(np.float32)
    motion = np.clip(np.log(votes / (1 - votes)), *MOTION_LIMITS)
    colors = _color_bins(crops)
    probability = votes
    for _ in range(ROUNDS):
        logit = motion + COLOR_WEIGHT * _color_logit(colors, probability)
        probability = _smooth(1 / (1 + np.exp(-logit)))
    return np.stack([_keep_large_parts(mask) for mask in probability > 0.5])


def color_contrast(crops: np.ndarray, masks: np.ndarray) -> float:
    """Return how much the colors in masks differ from those around: 0 equal, 1 disjoint.

    Args:
        crops: (n, W, W, 3) uint8, windows of the frames.
        masks: (n, W, W) bool.
    """
    size = int(np.prod(BINS))
    contrasts = []
    for own, mask in zip(_color_bins(crops), masks.reshape(len(masks), -1), strict=True):
        inside, around = (
            _density(np.bincount(own[part], minlength=size)) for part in (mask, ~mask)
        )
        contrasts.append(np.abs(inside - around).sum() / 2)
    return float(np.median(contrasts))


def _color_bins(crops: np.ndarray) -> np.ndarray:
    """Return the (n, W * W) number of each pixel's color."""
    lab = cv2.cvtColor(crops.reshape(-1, WINDOW, 3), cv2.COLOR_RGB2LAB).reshape(crops.shape)
    index = lab.astype(np.int32) // (256 // np.array(BINS, np.int32))
    bins = np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), BINS)
    return bins.reshape(len(crops), -1)


def _color_logit(colors: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the (n, W, W) logarithm of how much more frequent a color is on the target."""
    n = len(colors)
    weights = probability.reshape(n, -1)
    inside, outside = _counts(colors, weights), _counts(colors, 1 - weights)
    logits = np.empty((n, WINDOW, WINDOW), np.float32)
    for number, own in enumerate(colors):
        start, end = max(number - SPAN, 0), min(number + SPAN + 1, n)
        target, around = (_density(counts[end] - counts[start]) for counts in (inside, outside))
        unseen = UNIFORM / len(np.unique(own))
        ratio = np.log((target[own] + unseen) / (around[own] + unseen))
        logit = np.clip(ratio, -COLOR_LIMIT, COLOR_LIMIT).reshape(WINDOW, WINDOW)
        logits[number] = cv2.GaussianBlur(logit, (0, 0), 1.0)
    return logits


def _counts(colors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (n + 1, bins) sums of weights by color, over all frames before each."""
    size = int(np.prod(BINS))
    counts = np.zeros((len(colors) + 1, size), np.float32)
    for number, (own, weight) in enumerate(zip(colors, weights, strict=True)):
        counts[number + 1] = counts[number] + np.bincount(own, weight, size)
    return counts


def _density(counts: np.ndarray) -> np.ndarray:
    """Return frequencies of colors, blurred over neighboring bins."""
    blurred = counts.reshape(BINS)
    for axis in range(3):
        moved = np.moveaxis(blurred, axis, 0)
        padded = np.concatenate((moved[:1], moved, moved[-1:]))
        mixed = padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4
        blurred = np.moveaxis(mixed, 0, axis)
    return blurred.ravel() / max(float(blurred.sum()), 1e-6)


def _smooth(probability: np.ndarray) -> np.ndarray:
    """Average each frame's mask with its neighbors' in time."""
    smooth = probability.copy()
    smooth[1:-1] = probability[:-2] / 4 + probability[1:-1] / 2 + probability[2:] / 4
    return smooth


def _keep_large_parts(mask: np.ndarray) -> np.ndarray:
    """Remove specks and fill holes of a mask."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(contour) for contour in contours]
    kept = [c for c, area in zip(contours, areas, strict=True) if area >= LEAST_PART * max(areas)]
    filled = np.zeros_like(opened)
    cv2.drawContours(filled, kept, -1, 1, cv2.FILLED)
    return filled.astype(bool)
