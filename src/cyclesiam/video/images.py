"""Images and folders of images, read with OpenCV."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cyclesiam.errors import SourceError
from cyclesiam.video.bit_depth import Levels, measure_levels, to_8_bits

DEFAULT_FPS = 25.0  # of images without times
# ANYDEPTH keeps 16 bits, ANYCOLOR drops alpha; unlike UNCHANGED they apply the orientation
READ_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .jp2 .j2k .png .bmp .dib .webp .avif .tif .tiff .tga".split()
    + ".ppm .pgm .pbm .pnm .pam .ras .sr".split()
)
NOT_BY_OPENCV = (
    "AVIF",
    "DIB",
    "JPEG2000",
    "TGA",
)  # or not by every build; Pillow does


def is_image(path: str | Path) -> bool:
    """Check whether a name ends like an image's."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as RGB uint8 (H, W, 3), turned upright by its EXIF orientation.

    Of a file of several pictures, this is the first. 16 bits are scaled to 8 by what this image
    holds; `open_frames` and `read_images` scale all images of a source alike.

    Raises:
        SourceError: the file is missing or damaged, or its pixels are floating-point numbers.
    """
    return to_rgb(read_pixels(path), path)


def read_pixels(path: str | Path) -> np.ndarray:
    """Read an image as OpenCV stores it: gray (H, W) or BGR (H, W, 3), 8 or 16 bits.

    Raises:
        SourceError: the file is missing or damaged.
    """
    try:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    image = None
    with suppress(cv2.error):
        image = cv2.imdecode(data, READ_FLAGS)
    if image is None:
        image = _decode_with_pillow(data.tobytes())
    if image is None:
        raise SourceError(f"{path}: is not an image, or is damaged; replace or remove it")
    return image


def _decode_with_pillow(data: bytes) -> np.ndarray | None:
    with (
        suppress(OSError, EOFError, SyntaxError, ValueError, KeyError),
        Image.open(BytesIO(data), formats=NOT_BY_OPENCV) as image,
    ):
        return np.asarray(image.convert("RGB"))[..., ::-1]
    return None


def to_rgb(image: np.ndarray, name: str | Path, levels: Levels | None = None) -> np.ndarray:
    """Convert an image as OpenCV stores it to RGB uint8 (H, W, 3).

    Args:
        image: gray or BGR.
        name: for messages.
        levels: of 16-bit pixels; without, they are measured in this image.

    Raises:
        SourceError: its pixels are floating-point numbers.
    """
    if image.dtype == np.uint16:
        image = to_8_bits(image, levels or measure_levels([image]))
    if image.dtype != np.uint8:
        raise SourceError(f"{name}: holds {image.dtype} pixels; save it with 8 or 16 bits")
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
