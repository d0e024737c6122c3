"""A guided filter with a color image as guide, of nothing but box blurs.

Source: He, Sun, Tang: Guided Image Filtering, ECCV 2010, equations 14 to 16.
"""

import cv2
import numpy as np

NEXT, LAST = [1, 2, 0], [2, 0, 1]  # the two other colors of each


def guided_filter(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Return values smoothed, so that their edges are those of the guide.

    In every window the result is a linear function of the guide's colors. OpenCV has the same
    filter, but only in its contrib packages.

    Args:
        guide: (H, W, 3) uint8.
        values: (H, W) float32.
        radius: of the windows, in pixels; their side is 2 * `radius` + 1.
        epsilon: variance of the guide, in squared levels, below which a window counts as flat.

    Returns:
        (H, W) float32.
    """
    whole = guide.astype(np.uint16)  # integers, and four channels at once, are blurred faster
    means, diagonal = _blur(guide, radius), _blur(whole * whole, radius)
    beside = _blur(whole[..., NEXT] * whole[..., LAST], radius)
    colors = _planes(guide).astype(np.float32)
    mean, right = _blur_with(values, values * colors, radius)
    # The covariance matrix of the colors: its diagonal, and beside it what each color leaves out
    # (of red: green with blue). Results go into arrays that are there: new ones cost more.
    diagonal -= means * means
    diagonal += np.float32(epsilon)
    for color in range(3):
        beside[color] -= means[NEXT[color]] * means[LAST[color]]
        right[color] -= means[color] * mean
    slopes = _solve(diagonal, beside, right)
    for slope, one in zip(slopes, means, strict=True):
        mean -= slope * one
    smooth, slopes = _blur_with(mean, slopes, radius)
    for slope, color in zip(slopes, colors, strict=True):
        smooth += slope * color
    return smooth


def _solve(diagonal: np.ndarray, beside: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve symmetric 3 x 3 equations by cofactors, one for each pixel; all are (3, H, W)."""
    (rr, gg, bb), (gb, br, rg), (r, g, b) = diagonal, beside, right
    c_rr, c_gg, c_bb = gg * bb - gb * gb, rr * bb - br * br, rr * gg - rg * rg
    c_gb, c_br, c_rg = br * rg - rr * gb, rg * gb - gg * br, gb * br - rg * bb
    scale = 1 / (rr * c_rr + rg * c_rg + br * c_br)
    return np.stack(
        [
            (c_rr * r + c_rg * g + c_br * b) * scale,
            (c_rg * r + c_gg * g + c_gb * b) * scale,
            (c_br * r + c_gb * g + c_bb * b) * scale,
        ]
    )


def _blur_with(one: np.ndarray, three: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Blur one plane (H, W) and three (3, H, W) together."""
    planes = _blur(cv2.merge([one, *three]), radius)
    return planes[0], planes[1:]


def _blur(image: np.ndarray, radius: int) -> np.ndarray:
    """Return the means over windows of (H, W, C), as (C, H, W) float32."""
    side = 2 * radius + 1
    blurred = cv2.boxFilter(image, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT)
    return _planes(blurred)


def _planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))
