"""The frames of any source, one after the other or a range of them."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Self

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from cyclesiam.errors import SourceError
from cyclesiam.video.damage import Damage
from cyclesiam.video.decoding import (
    DEFAULT_FPS,
    decode,
    open_container,
    packet_index,
    read_from_key_frame,
    to_upright_rgb,
)
from cyclesiam.video.file_info import SourceInfo, is_url
from cyclesiam.video.image_sources import ImageSource, find_images
from cyclesiam.video.live import Connection, ReconnectingSource, TimedImages, ignore_event

# Containers whose frames have numbers only, in the order of coding, and no times.
FORMATS_WITHOUT_TIMES = frozenset({"avi", "mjpeg", "mpjpeg"})

# Containers of recorders and broadcasts: parts are put together, each with times of its own.
FORMATS_WITH_JOINTS = frozenset({"mpegts", "mpeg"})
MAX_GAP = 10.0  # seconds between two of their frames; a longer one is a joint, as for FFmpeg
LARGE_PIXELS = 2**24  # of a frame: 8K has twice as many


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a source: its number, its time in seconds, RGB uint8 (H, W, 3)."""

    index: int
    time: float
    image: np.ndarray


class Frames:
    """The frames of a source, one after the other; a context manager that closes the source.

    Attributes:
        fps: frames a second; of images, `DEFAULT_FPS`.
        count: frames, by the source's header; None for cameras and where it is unknown.
        size: (width, height) in pixels; None only before a live source has sent a frame.
        pixel_aspect: width of a pixel divided by its height, as it is meant to be shown; boxes and
            sizes are in pixels.
        live: whether it is a camera or an endless stream, which does not wait for its reader.
        damage: what the decoder reported as damaged in a file so far, but shows.

    Raises:
        SourceError: while iterating: a frame cannot be read, or has another size than the first.
    """

    def __init__(
        self,
        timed_images: TimedImages,
        *,
        fps: float,
        count: int | None,
        location: Callable[[int], str],
        close: Callable[[], None],
        live: bool = False,
        stop: Callable[[], None] = lambda: None,
        damage: Damage | None = None,
        on_skip: Callable[[SourceError], None] | None = None,
    ) -> None:
        self._on_skip = on_skip
        self.pixel_aspect = Fraction(1)
        self.damage = Damage() if damage is None else damage
        self.fps, self.count, self.live = fps, count, live
        self.stop = stop
        """End the wait for a broken source; the only method for other threads."""
        self.size: tuple[int, int] | None = None
        self._timed_images, self._location, self._close = timed_images, location, close
        self._next_index = 0
        try:
            self._first: Frame | None = self._read()  # so that size is known and errors are raised
        except StopIteration:
            close()
            raise SourceError(
                f"{location(0)}: nothing can be decoded; convert it with ffmpeg, or pick another"
            ) from None
        except BaseException:
            close()
            raise

    def _read(self) -> Frame:
        time, image = self._next_image()
        size = (image.shape[1], image.shape[0])
        if self.size is None:
            self.size = size
        elif size != self.size:
            raise SourceError(
                f"{self._location(self._next_index)}: is {size[0]} x {size[1]}, but the first "
                f"frame is {self.size[0]} x {self.size[1]}; all frames must have one size"
            )
        self._next_index += 1
        return Frame(self._next_index - 1, time, image)

    def _next_image(self) -> tuple[float, np.ndarray]:
        while True:
            try:
                return next(self._timed_images)
            except SourceError as error:
                if self._on_skip is None:
                    raise
                self._on_skip(error)
                self.damage.missing.append(self._next_index)
                self._next_index += 1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._read()

    def close(self) -> None:
        """Close the file, camera or connection; further calls do nothing."""
        self._first, self._timed_images = None, iter(())
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def is_camera(source: str | Path | int) -> bool:
    """Check whether a source is a camera's number: 5, or "5" if no file has that name."""
    return isinstance(source, int) or (str(source).isdigit() and not Path(source).exists())


def open_frames(
    source: str | Path | int,
    *,
    reconnect_timeout: float = 0.0,
    on_event: Callable[[str], None] = ignore_event,
    skip_broken: bool = False,
) -> Frames:
    """Open a source of frames.

    Args:
        source: a video file, a folder of images (in the order of the numbers in their names), a
            pattern of them (`frames/%05d.png`, `frames/*.png`), an image file (of a TIFF stack or
            an animation all pictures), a camera's number (5, or "5" if no file has that name), a
            stream's URL (rtsp, http, ...), of which a lossy connection may drop frames, or "-",
            which is standard input.
        reconnect_timeout: seconds for which a camera or stream that broke or ended is opened
            again, with growing pauses; 0 for not at all. It has no effect on files.
        on_event: called with a line of text when the source breaks and when it is back, and at the
            end of a file whose decoder reported damaged frames. Also where a folder's files may
            not be what was meant.
        skip_broken: whether images of a folder that cannot be read are left out. Frames keep the
            numbers of their files. Without, the first one raises an error.

    Raises:
        SourceError: the source is missing, empty, without images, or cannot be decoded. A file
            that is damaged or cut yields the frames before, then raises with the frame's number.
    """
    name = str(source)
    if is_camera(source):
        return _open_live(
            f"/dev/video{name}", format="v4l2", timeout=reconnect_timeout, on_event=on_event
        )
    if is_url(source):
        return _open_live(name, timeout=reconnect_timeout, on_event=on_event)
    if name == "-":
        return _open_video(name, on_event)
    path = Path(name)
    if images := find_images(path):
        return _open_images(images, on_event, skip_broken=skip_broken)
    return _open_video(name, on_event)


def probe(path: str | Path) -> SourceInfo:
    """Measure a video file or image folder; only its first frame is decoded.

    Raises:
        SourceError: the source is missing or cannot be decoded, or a video is damaged or cut.
    """
    path = Path(path)
    if images := find_images(path):
        return images.info()
    with open_frames(path) as frames:
        assert frames.size is not None
        return SourceInfo(path, packet_index(path).frames, frames.fps, *frames.size)


def read_frames(path: str | Path, start: int, count: int) -> list[np.ndarray]:
    """Read consecutive frames of a video file or image folder, without those before.

    A video is read from the key frame before `start`, so many key frames make this fast. The
    frames are exactly those of reading from the beginning.

    Args:
        path: video file or image folder.
        start: number of the first frame.
        count: how many frames.

    Returns:
        `count` RGB images, uint8 (H, W, 3); fewer if the source ends before.

    Raises:
        SourceError: the source is missing, damaged, or cannot be decoded.
    """
    if start < 0 or count < 0:
        raise ValueError(f"start and count must be 0 or more, got {start} and {count}")
    path = Path(path)
    if images := find_images(path):
        return [image for _, image in images.read(start, start + count)]
    index = packet_index(path)
    times = index.times[start : start + count]
    if count == 0 or (index.times and not times):
        return []
    found = read_from_key_frame(path, times) if times else []
    if times and [time for time, _ in found] == times:
        return [image for _, image in found]
    container, stream = open_container(str(path))  # it has no times, or seeking failed
    with closing(container):
        frames = islice(decode(container, stream, str(path)), start, start + count)
        return [to_upright_rgb(frame) for frame in frames]


def _open_images(
    images: ImageSource, on_event: Callable[[str], None], *, skip_broken: bool
) -> Frames:
    for note in images.notes():
        on_event(note)
    is_skipping = skip_broken and images.stack is None
    return Frames(
        images.read(),
        fps=images.fps,
        count=len(images),
        location=images.location,
        close=lambda: None,
        on_skip=(lambda error: on_event(f"left out: {error}")) if is_skipping else None,
    )


def _open_video(name: str, on_event: Callable[[str], None]) -> Frames:
    container, stream = open_container(name)
    damage = Damage()

    def images() -> TimedImages:
        try:
            yield from _timed_images(container, stream, name, damage=damage)
        finally:
            if damage:
                on_event(f"{name}: {damage}; boxes there and later may be wrong")

    frames = Frames(
        images(),
        fps=_frame_rate(stream),
        count=stream.frames or None,
        location=lambda index: f"{name}, frame {index}",
        close=container.close,
        damage=damage,
    )
    frames.pixel_aspect = _pixel_aspect(stream, frames)
    return frames


def _open_live(
    name: str, *, timeout: float, on_event: Callable[[str], None], format: str | None = None
) -> Frames:
    """Open a camera or URL; a URL with a known length, as of a file on a server, is not live."""

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
        reconnect_timeout=timeout if live else 0.0,
        on_event=on_event,
    )
    frames = Frames(
        iter(images),
        fps=_frame_rate(stream),
        count=stream.frames or None,
        location=lambda index: f"{name}, frame {index}",
        close=images.close,
        live=live,
        stop=images.stop,
    )
    frames.pixel_aspect = _pixel_aspect(stream, frames)
    return frames


def _pixel_aspect(stream: VideoStream, frames: Frames) -> Fraction:
    """Return width divided by height of a stream's pixels, once its first frame is decoded."""
    found = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not found or found <= 0:  # unknown
        return Fraction(1)
    is_turned = frames.size == (stream.height, stream.width) != (stream.width, stream.height)
    return 1 / found if is_turned else found


def _frame_rate(stream: VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)


def _timed_images(
    container: InputContainer,
    stream: VideoStream,
    name: str,
    *,
    live: bool = False,
    damage: Damage | None = None,
) -> TimedImages:
    """Yield the images of a container that was just opened, with their times since the first."""
    # threads that each decode a whole frame are fast, but return some frames late
    # and hold a frame each
    is_large = stream.width * stream.height >= LARGE_PIXELS
    stream.thread_type = "SLICE" if live or is_large else "AUTO"
    step = 1 / _frame_rate(stream)
    may_jump = not live and container.format.name in FORMATS_WITH_JOINTS
    counts_only = container.format.name in FORMATS_WITHOUT_TIMES
    begin = None
    time = -step
    for frame in decode(container, stream, name, live=live, damage=damage):
        if live and counts_only:
            now = monotonic()
        elif counts_only or frame.time is None or not isfinite(frame.time):
            now = time + step + (begin or 0)
        else:
            now = frame.time
        begin = now if begin is None else begin
        since_last = now - begin - time
        if since_last < 0 or (may_jump and since_last > MAX_GAP):  # streams were joined here
            begin = now - time - step
        time = now - begin
        yield time, to_upright_rgb(frame)
