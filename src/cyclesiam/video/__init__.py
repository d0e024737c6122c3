"""Frames in and out: video files, picture folders, cameras and streams; H.264 files.

Every image is RGB, uint8, (H, W, 3), upright: rotation flags of phones and cameras are applied.
Grey and palette pictures become RGB, transparency is dropped, 16 bits are scaled to 8. Frames
count from 0, and the first frame is at 0 seconds.
"""

from cyclesiam.video.images import is_picture, read_image
from cyclesiam.video.read_ahead import ReadAhead
from cyclesiam.video.sources import (
    Frame,
    Frames,
    SourceInfo,
    is_video,
    names_camera,
    names_url,
    open_frames,
    probe,
    read_run,
)
from cyclesiam.video.writer import VideoWriter

__all__ = [
    "Frame",
    "Frames",
    "ReadAhead",
    "SourceInfo",
    "VideoWriter",
    "is_picture",
    "is_video",
    "names_camera",
    "names_url",
    "open_frames",
    "probe",
    "read_image",
    "read_run",
]
