"""Frames in and out: video files, image folders, cameras and streams; H.264 files.

Every image is RGB, uint8, (H, W, 3), upright: rotation flags of phones and cameras are applied.
Gray and palette images become RGB, transparency is dropped, 16 bits are scaled to 8. Frames
count from 0, and the first frame is at 0 seconds.
"""

from cyclesiam.video.images import is_image, read_image
from cyclesiam.video.read_ahead import ReadAhead
from cyclesiam.video.sources import (
    Frame,
    Frames,
    SourceInfo,
    is_camera,
    is_url,
    is_video,
    open_frames,
    probe,
    read_frames,
)
from cyclesiam.video.writer import VideoWriter

__all__ = [
    "Frame",
    "Frames",
    "ReadAhead",
    "SourceInfo",
    "VideoWriter",
    "is_camera",
    "is_image",
    "is_url",
    "is_video",
    "open_frames",
    "probe",
    "read_frames",
    "read_image",
]
