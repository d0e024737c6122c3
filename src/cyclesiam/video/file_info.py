"""What a video file or stream is called, and what it holds."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .qt .avi .divx .mkv .webm .mpg .mpeg .mpe .m1v .m2v .vob .ts .tp .trp .mts "
    ".m2ts .wmv .asf .flv .f4v .ogv .ogm .3gp .3g2 .mxf .dv .rm .rmvb .wtv .nut .ivf .h264 .264 "
    ".avc .h265 .265 .hevc .av1 .obu .dav .mjpeg .mjpg .y4m .gif .apng".split()
)
SCHEMES = frozenset(  # of streams, and of files on servers, that FFmpeg reads
    "http https hls rtsp rtsps rtmp rtmpe rtmps rtmpt rtmpte rtmpts rtp srtp udp udplite tcp tls "
    "srt rist mms mmsh mmst ftp sftp smb gopher ipfs ipns unix file".split()
)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a video file or image folder holds; sizes in pixels, upright."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int


def is_video(path: str | Path) -> bool:
    """Check whether a name ends like a video's."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_url(source: str | Path | int) -> bool:
    """Check whether a source is a URL: of a stream, or of a file on a server.

    A path that exists is a file, whatever its name.

    >>> is_url("rtsp://10.0.0.5/door"), is_url("take://1.mp4"), is_url("12:00:00.mp4")
    (True, False, False)
    """
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", str(source), re.IGNORECASE)
    return bool(scheme) and scheme[1].lower() in SCHEMES and not os.path.exists(str(source))


def file_url(path: str | Path) -> str:
    """Return how FFmpeg must be told a file, or it takes what is before a colon for a protocol."""
    return f"file:{path}"
