"""Frames in and out: video files, image folders, cameras and streams; H.264 files.

Every image is RGB, uint8, (H, W, 3), upright: rotation flags of phones and cameras are applied.
Gray and palette images become RGB, transparency is dropped, 16 bits are scaled to 8. Frames
count from 0, and the first frame is at 0 seconds.
"""

from importlib.util import find_spec

from cyclesiam.video.file_info import SourceInfo, is_url, is_video
from cyclesiam.video.folders import is_pattern
from cyclesiam.video.image_sources import count_images, read_images
from cyclesiam.video.images import is_image, read_image

if find_spec("av"):
    from cyclesiam.video.read_ahead import ReadAhead
    from cyclesiam.video.sources import (
        Frame,
        Frames,
        is_camera,
        open_frames,
        probe,
        read_frames,
    )
    from cyclesiam.video.writer import VideoWriter
else:  # a machine that was lent to train
    from cyclesiam.video.opencv_files import probe, read_frames

__all__ = [
    "Frame",
    "Frames",
    "ReadAhead",
    "SourceInfo",
    "VideoWriter",
    "count_images",
    "is_camera",
    "is_image",
    "is_pattern",
    "is_url",
    "is_video",
    "open_frames",
    "probe",
    "read_frames",
    "read_image",
    "read_images",
]
