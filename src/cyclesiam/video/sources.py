"""The frames of any source, one after the other or a run of them."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Self

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from cyclesiam.errors import SourceError
from cyclesiam.video.decoding import (
    USUAL_FPS,
    decode,
    open_container,
    packet_index,
    read_from_key_frame,
    to_upright_rgb,
)
from cyclesiam.video.images import is_image, list_images, read_image
from cyclesiam.video.live import Connection, ReconnectingSource, TimedImages, ignore_event

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .y4m .gif".split()
)

# Containers whose pictures have numbers only, in the order of coding, and no times.
FORMATS_WITHOUT_TIMES = frozenset({"avi", "mjpeg", "mpjpeg"})


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
        live: it is a camera or a stream without end, which does not wait for its reader.

    Raises:
        SourceError: while iterating: a frame cannot be read, or has another size than the first.
    """

    def __init__(
        self,
        timed_images: TimedImages,
        *,
        fps: float,
        count: int | None,
        place: Callable[[int], str],
        close: Callable[[], None],
        live: bool = False,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.fps, self.count, self.live = fps, count, live
        self.stop = stop
        """Let a wait for a broken source end; the only thing that another thread may call."""
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


def is_camera(source: str | Path | int) -> bool:
    """Whether it is a camera's number: 5, or "5" where no file has that name."""
    return isinstance(source, int) or (str(source).isdigit() and not Path(source).exists())


def is_url(source: str | Path | int) -> bool:
    """Whether it is a URL: of a stream, or of a file on a server."""
    return "://" in str(source)


def open_frames(
    source: str | Path | int,
    *,
    patience: float = 0.0,
    tell: Callable[[str], None] = ignore_event,
) -> Frames:
    """Open whatever gives frames.

    Args:
        source: a video file, a folder of pictures (in the order of the numbers in their names), a
            single picture, a camera's number (5, or "5" where no file has that name), or a
            stream's URL (rtsp, http, ...), of which a lossy connection may drop frames.
        patience: seconds for which a camera or stream that broke or ended is opened again, with
            growing pauses; its frames then go on. 0: it is not. Not for what has an end: a file.
        tell: is told, in a line, of each break and return.

    Raises:
        SourceError: it is missing, empty, without pictures, or cannot be decoded. A file that is
            damaged or ends early gives the frames before, then raises with the frame's number.
    """
    name = str(source)
    if is_camera(source):
        return _open_live(f"/dev/video{name}", format="v4l2", patience=patience, tell=tell)
    if is_url(source):
        return _open_live(name, patience=patience, tell=tell)
    path = Path(name)
    if path.is_dir():
        return _open_pictures(list_images(path))
    if is_image(path):
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
    if not (path.is_dir() or is_image(path)):
        count = packet_index(path).frames
    assert count is not None
    return SourceInfo(path, count, fps, width, height)


def read_frames(path: str | Path, start: int, count: int) -> list[np.ndarray]:
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
    if path.is_dir() or is_image(path):
        files = list_images(path) if path.is_dir() else [path]
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


def _open_video(name: str) -> Frames:
    container, stream = open_container(name)
    return Frames(
        _timed_images(container, stream, name),
        fps=_rate(stream),
        count=stream.frames or None,
        place=lambda index: f"{name}, frame {index}",
        close=container.close,
    )


def _open_live(
    name: str, *, patience: float, tell: Callable[[str], None], format: str | None = None
) -> Frames:
    """Open a camera or URL; one that announces its end, as a file on a server, is not live."""

    def connect() -> tuple[InputContainer, VideoStream]:
        return open_container(name, format=format, live=True)

    def read(container: InputContainer, stream: VideoStream) -> Connection:
        return _timed_images(container, stream, name, live=True), container.close

    container, stream = connect()
    live = container.duration is None
    images = ReconnectingSource(
        name,
        read(container, stream),
        lambda: read(*connect()),
        patience=patience if live else 0.0,
        tell=tell,
    )
    return Frames(
        iter(images),
        fps=_rate(stream),
        count=stream.frames or None,
        place=lambda index: f"{name}, frame {index}",
        close=images.close,
        live=live,
        stop=images.stop,
    )


def _rate(stream: VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or USUAL_FPS)


def _timed_images(
    container: InputContainer, stream: VideoStream, name: str, *, live: bool = False
) -> TimedImages:
    """Give the images of a container that was just opened, with their times from the first on."""
    # threads that each take a whole frame are fast, but answer some frames late
    stream.thread_type = "SLICE" if live else "AUTO"
    step = 1 / _rate(stream)
    counts_only = container.format.name in FORMATS_WITHOUT_TIMES
    begin = None
    time = -step
    for picture in decode(container, stream, name, live=live):
        if live and counts_only:
            now = monotonic()
        elif counts_only or picture.time is None or not isfinite(picture.time):
            now = time + step + (begin or 0)
        else:
            now = picture.time
        begin = now if begin is None else begin
        time = now - begin
        yield time, to_upright_rgb(picture)
