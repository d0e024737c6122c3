"""Draw results into images: masks, boxes with labels, and contact sheets.

The colors are those of Okabe and Ito, which people with any color vision can distinguish. A target
keeps its color through a video. A lost target is drawn dashed and dim.

Images are RGB uint8 (H, W, 3). The thickness of lines grows with the size of the image.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from cyclesiam.geometry.masks import Mask
from cyclesiam.tracking.results import TrackResult

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)
"""Source: Okabe and Ito, "Color Universal Design", 2008; without black."""
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
LINE_RATIO = 1 / 200  # thickness of a line over the mean side: 2 pixels in 480 x 360
LOST_OPACITY = 0.55
TINT = 0.4  # weight of a target's color in its pixels
DASH = 5  # length of a dash and of a gap, in thicknesses
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 22  # pixels of a capital letter at scale 1


def target_color(id: int) -> Color:
    """Return the color of a target by its id, from 1; colors repeat after the last."""
    return PALETTE[(id - 1) % len(PALETTE)]


def draw_results(image: np.ndarray, targets: Sequence[TrackResult]) -> np.ndarray:
    """Draw targets into a copy of an image: mask, box, id or name, and score.

    Args:
        image: (H, W, 3) uint8 RGB, not changed.
        targets: drawn in order, the last one on top.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = np.array(image, order="C")
    for target in targets:
        if target.state == "lost":
            over = drawn.copy()
            _draw_target(over, target)
            drawn = cv2.addWeighted(over, LOST_OPACITY, drawn, 1 - LOST_OPACITY, 0)
        else:
            _draw_target(drawn, target)
    return drawn


def draw_box(
    image: np.ndarray, box: Sequence[float], color: Color = WHITE, *, thick: bool = False
) -> np.ndarray:
    """Draw a box, xyxy, into a copy of an image, with a thin or a thick outlined line."""
    drawn = np.array(image, order="C")
    width, corners = line_width(image), _corners(drawn, box)
    if thick:
        _draw_lines(drawn, corners, BLACK, width + 2)  # an outline visible on any background
    _draw_lines(drawn, corners, color, width if thick else max(1, width // 2))
    return drawn


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Add a line of text below an image (H, W, 3), black on white.

    Characters outside ASCII become question marks. Text that is too long is cropped.
    """
    line = line_width(image)
    scale = max(0.4, 5 * line / FONT_HEIGHT)
    plate = np.full((round(1.6 * FONT_HEIGHT * scale), image.shape[1], 3), 255, np.uint8)
    ascii_text = text.encode("ascii", "replace").decode()
    at = (2 * line, round(1.2 * FONT_HEIGHT * scale))
    cv2.putText(plate, ascii_text, at, FONT, scale, BLACK, max(1, line // 2), cv2.LINE_AA)
    return np.concatenate((image, plate))


def contact_sheet(images: Sequence[np.ndarray], *, columns: int, width: int) -> np.ndarray:
    """Arrange thumbnails of images in rows, from left to right.

    Args:
        images: at least one, all of one size.
        columns: thumbnails in a row.
        width: of each thumbnail, in pixels.

    Returns:
        (rows * h, columns * width, 3) uint8; empty cells are white.
    """
    if not images or columns < 1 or width < 1:
        raise ValueError(f"a sheet of {len(images)} images in {columns} columns of {width} pixels")
    height = max(1, round(width * images[0].shape[0] / images[0].shape[1]))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * height, index % columns * width
        thumbnail = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        sheet[y : y + height, x : x + width] = thumbnail
    return sheet


def line_width(image: np.ndarray) -> int:
    """Return the thickness of lines in an image of this size, in pixels."""
    return max(1, round(LINE_RATIO * (image.shape[0] + image.shape[1]) / 2))


def _draw_target(image: np.ndarray, target: TrackResult) -> None:
    if target.mask is not None and target.mask_source == "network":
        _draw_mask(image, target.mask, target_color(target.id))
    width, corners, color = line_width(image), _corners(image, target.box), target_color(target.id)
    lost = target.state == "lost"
    _draw_lines(
        image, corners, BLACK, width + 2, dashed=lost
    )  # an outline visible on any background
    _draw_lines(image, corners, color, width, dashed=lost)
    name = (
        target.name if target.name and target.name.isascii() else target.id
    )  # the font has ASCII only
    label = f"{name} {'lost' if lost else f'{target.score:.2f}'}"
    _draw_label(image, label, corners, color)


def _draw_mask(image: np.ndarray, mask: Mask, color: Color) -> None:
    """Tint a mask's pixels, and draw its outline."""
    h, w = mask.pixels.shape
    part = image[mask.top : mask.top + h, mask.left : mask.left + w]
    tinted = part[mask.pixels] * (1 - TINT) + np.array(color) * TINT
    part[mask.pixels] = tinted.round().astype(np.uint8)
    contours, _ = cv2.findContours(
        mask.pixels.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    at = (mask.left, mask.top)
    cv2.drawContours(image, contours, -1, color, max(1, line_width(image) // 2), offset=at)


def _corners(image: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Return the first and last pixel (2, 2) of a box, clipped to three times the image."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.clip(box, -max(width, height), 2 * max(width, height))
    first = np.round((x0, y0))
    return np.stack((first, np.maximum(np.round((x1, y1)) - 1, first))).astype(int)


def _draw_lines(
    image: np.ndarray, corners: np.ndarray, color: Color, width: int, *, dashed: bool = False
) -> None:
    (x0, y0), (x1, y1) = corners.tolist()
    if not dashed:
        cv2.rectangle(image, (x0, y0), (x1, y1), color, width)
        return
    step = max(8, DASH * line_width(image))  # 8: round ends leave a gap between thin dashes
    for x in range(x0, x1 + 1, 2 * step):
        for y in (y0, y1):
            cv2.line(image, (x, y), (min(x + step, x1), y), color, width)
    for y in range(y0, y1 + 1, 2 * step):
        for x in (x0, x1):
            cv2.line(image, (x, y), (x, min(y + step, y1)), color, width)


def _draw_label(image: np.ndarray, text: str, corners: np.ndarray, color: Color) -> None:
    """Write a label above the box, or inside it where there is no space above."""
    line = line_width(image)
    scale, pad = max(0.35, 5 * line / FONT_HEIGHT), 2 * line
    (text_width, text_height), _ = cv2.getTextSize(text, FONT, scale, max(1, line // 2))
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    left = int(np.clip(corners[0, 0] - line, 0, max(image.shape[1] - plate_width, 0)))
    above = int(corners[0, 1]) - plate_height - line // 2
    top = above if above >= 0 else int(corners[0, 1]) + line
    top = int(np.clip(top, 0, max(image.shape[0] - plate_height, 0)))
    cv2.rectangle(image, (left, top), (left + plate_width, top + plate_height), color, cv2.FILLED)
    ink = BLACK if np.dot(color, (0.299, 0.587, 0.114)) > 100 else WHITE
    origin = (left + pad, top + pad + text_height)
    cv2.putText(image, text, origin, FONT, scale, ink, max(1, line // 2), cv2.LINE_AA)
