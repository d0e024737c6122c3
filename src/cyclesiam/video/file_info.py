"""What a video file is called, and what it holds."""

from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .y4m .gif".split()
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
