"""Video files read with OpenCV, for machines without PyAV: enough to train.

It does not notice files that are damaged or cut, and counts frames as their headers do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.video.file_info import SourceInfo, file_url
from cyclesiam.video.image_sources import find_images
from cyclesiam.video.images import DEFAULT_FPS


def probe(path: str | Path) -> SourceInfo:
    """Measure a video file or image folder; only its first frame is decoded.

    Raises:
        SourceError: the source is missing or cannot be decoded.
    """
    path = Path(path)
    if images := find_images(path):
        return images.info()
    with _open(path) as video:
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = video.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS
        decoded, image = video.read()
    if not decoded:
        raise SourceError(f"{path}: nothing can be decoded; convert it with ffmpeg")
    return SourceInfo(path, frames, fps, image.shape[1], image.shape[0])


def read_frames(path: str | Path, start: int, count: int) -> list[np.ndarray]:
    """Read consecutive frames of a video file or image folder.

    Args:
        path: video file or image folder.
        start: number of the first frame; those before are decoded, too.
        count: how many frames.

    Returns:
        `count` RGB images, uint8 (H, W, 3); fewer if the source ends before.

    Raises:
        SourceError: the source is missing or cannot be decoded.
    """
    path = Path(path)
    if images := find_images(path):
        return [image for _, image in images.read(start, start + count)]
    images = []
    with _open(path) as video:
        if all(video.grab() for _ in range(start)):
            while len(images) < count and (decoded := video.read())[0]:
                images.append(cv2.cvtColor(decoded[1], cv2.COLOR_BGR2RGB))
    return images


@contextmanager
def _open(path: Path) -> Iterator[cv2.VideoCapture]:
    one_thread = [cv2.CAP_PROP_N_THREADS, 1]  # many files are read at once
    video = cv2.VideoCapture(file_url(path), cv2.CAP_FFMPEG, one_thread)
    try:
        if not video.isOpened():
            raise SourceError(f"{path}: cannot be opened as a video; convert it with ffmpeg")
        yield video
    finally:
        video.release()
