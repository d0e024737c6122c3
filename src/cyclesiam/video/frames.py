"""The frames of any source, one after the other or a run of them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np

from cyclesiam.errors import SourceError
from cyclesiam.video.decoding import (
    USUAL_FPS,
    decode,
    open_container,
    packet_index,
    read_from_key_frame,
    to_upright_rgb,
)
from cyclesiam.video.pictures import is_picture, list_pictures, read_image

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .y4m .gif".split()
)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source: its number, its time in seconds, RGB uint8 (H, W, 3)."""

    index: int
    time: float
    image: np.ndarray


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a video file or picture folder holds; sizes in pixels, upright."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int


class Frames:
    """The frames of a source, one after the other; a context manager that closes the source.

    Attributes:
        fps: frames a second; of pictures, `USUAL_FPS`.
        count: frames that the source announces; None for cameras and where nobody knows.
        size: (width, height) in pixels; None only before a live source has sent a frame.

    Raises:
        SourceError: while iterating: a frame cannot be read, or has another size than the first.
    """

    def __init__(
        self,
        timed_images: Iterator[tuple[float, np.ndarray]],
        *,
        fps: float,
        count: int | None,
        place: Callable[[int], str],
        close: Callable[[], None],
    ) -> None:
        self.fps, self.count = fps, count
        self.size: tuple[int, int] | None = None
        self._timed_images, self._place, self._close = timed_images, place, close
        self._next_index = 0
        try:
            self._waiting = self._read()  # so that size is known and errors come at once
        except StopIteration:
            close()
            raise SourceError(
                f"{place(0)}: nothing can be decoded; convert it with ffmpeg, or pick another"
            ) from None
        except BaseException:
            close()
            raise

    def _read(self) -> Frame:
        time, image = next(self._timed_images)
        size = (image.shape[1], image.shape[0])
        if self.size is None:
            self.size = size
        elif size != self.size:
            raise SourceError(
                f"{self._place(self._next_index)}: is {size[0]} x {size[1]}, but the first frame "
                f"is {self.size[0]} x {self.size[1]}; all frames must have one size"
            )
        self._next_index += 1
        return Frame(self._next_index - 1, time, image)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if self._waiting is not None:
            frame, self._waiting = self._waiting, None
            return frame
        return self._read()

    def close(self) -> None:
        """Let go of the file, camera or connection; twice is once."""
        self._waiting, self._timed_images = None, iter(())
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def is_video(path: str | Path) -> bool:
    """Whether the name ends like a video's."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def open_frames(source: str | Path | int) -> Frames:
    """Open whatever gives frames.

    Args:
        source: a video file, a folder of pictures (in the order of the numbers in their names), a
            single picture, a camera's number (5, or "5" where no file has that name), or a
            stream's URL (rtsp, http, ...), of which a lossy connection may drop frames.

    Raises:
        SourceError: it is missing, empty, without pictures, or cannot be decoded. A file that is
            damaged or ends early gives the frames before, then raises with the frame's number.
    """
    name = str(source)
    if isinstance(source, int) or (name.isdigit() and not Path(name).exists()):
        return _open_video(f"/dev/video{name}", format="v4l2", live=True)
    if "://" in name:
        return _open_video(name, live=True)
    path = Path(name)
    if path.is_dir():
        return _open_pictures(list_pictures(path))
    if is_picture(path):
        return _open_pictures([path])
    return _open_video(name)


def probe(path: str | Path) -> SourceInfo:
    """Measure a video file or picture folder; only its first frame is decoded.

    Raises:
        SourceError: as in `open_frames`; a video that ends early raises here too.
    """
    path = Path(path)
    with open_frames(path) as frames:
        assert frames.size is not None
        width, height = frames.size
        fps, count = frames.fps, frames.count
    if not (path.is_dir() or is_picture(path)):
        count = packet_index(path).frames
    assert count is not None
    return SourceInfo(path, count, fps, width, height)


def read_run(path: str | Path, start: int, count: int) -> list[np.ndarray]:
    """Read consecutive frames of a video file or picture folder, without those before.

    A video is read from the key frame before `start`, so short distances between key frames make
    this fast. The frames are exactly those that reading from the beginning gives.

    Args:
        path: video file or picture folder.
        start: number of the first frame.
        count: how many frames.

    Returns:
        `count` RGB images, uint8 (H, W, 3); fewer where the source ends before.

    Raises:
        SourceError: as in `open_frames`.
    """
    if start < 0 or count < 0:
        raise ValueError(f"a run starts and counts at 0 or above, got {start} and {count}")
    path = Path(path)
    if path.is_dir() or is_picture(path):
        files = list_pictures(path) if path.is_dir() else [path]
        return [read_image(file) for file in files[start : start + count]]
    index = packet_index(path)
    times = index.times[start : start + count]
    if count == 0 or (index.times and not times):
        return []
    run = read_from_key_frame(path, times) if times else []
    if times and [time for time, _ in run] == times:
        return [image for _, image in run]
    container, stream = open_container(str(path))  # it has no times, or seeking went astray
    with closing(container):
        pictures = islice(decode(container, stream, str(path)), start, start + count)
        return [to_upright_rgb(picture) for picture in pictures]


def _open_pictures(files: list[Path]) -> Frames:
    timed = ((index / USUAL_FPS, read_image(file)) for index, file in enumerate(files))
    return Frames(
        timed,
        fps=USUAL_FPS,
        count=len(files),
        place=lambda index: str(files[index]),
        close=lambda: None,
    )


def _open_video(name: str, *, format: str | None = None, live: bool = False) -> Frames:
    container, stream = open_container(name, format=format, live=live)
    # threads that each take a whole frame are fast, but answer some frames late
    stream.thread_type = "SLICE" if live else "AUTO"
    fps = float(stream.average_rate or stream.guessed_rate or USUAL_FPS)

    has_times = container.format.name != "avi"  # numbers only, in the order of coding

    def timed_images() -> Iterator[tuple[float, np.ndarray]]:
        begin = None
        for index, picture in enumerate(decode(container, stream, name, live=live)):
            time = picture.time if picture.time is not None and has_times else index / fps
            begin = time if begin is None else begin
            yield time - begin, to_upright_rgb(picture)

    return Frames(
        timed_images(),
        fps=fps,
        count=stream.frames or None,
        place=lambda index: f"{name}, frame {index}",
        close=container.close,
    )
