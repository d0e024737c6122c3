"""Video containers read with PyAV: damage is detected, frames are indexed without decoding.

A container holds packets (coded frames, in the order of coding); a decoder turns them into
frames, in the order of display.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import dropwhile, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import InvalidDataError
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from cyclesiam.errors import SourceError
from cyclesiam.video.damage import Damage, PacketDecoder
from cyclesiam.video.file_info import file_url

DEFAULT_FPS = 25.0  # of a source without a frame rate
STANDARD_INPUT = "pipe:0"  # by FFmpeg's name
NETWORK_TIMEOUT = 10  # seconds without data after which a stream counts as broken

# Containers whose header holds the true length, so that an early end is damage. Others (MPEG-TS,
# raw H.264) may be cut anywhere: their length is an estimate, and they may start within a frame.
FORMATS_WITH_LENGTH = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})


def open_container(
    name: str, *, format: str | None = None, live: bool = False
) -> tuple[InputContainer, VideoStream]:
    """Open a file or, live, a device or URL, and find its video stream.

    Raises:
        SourceError: it is missing, cannot be opened, or has no video.
    """
    options = {"rtsp_transport": "tcp"} if name.startswith("rtsp") else {}  # udp loses packets
    timeout = NETWORK_TIMEOUT if live else None
    try:
        container = av.open(
            name if live else STANDARD_INPUT if name == "-" else file_url(name),
            format=format,
            options=options,
            timeout=timeout,
            metadata_errors="replace",
        )
    except FileNotFoundError as error:
        raise SourceError(f"{name}: there is no such file, folder or camera; check it") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{name}: cannot be opened as a video ({_reason(error)}); "
            "check the source, or convert it with ffmpeg"
        ) from error
    for stream in container.streams.video:
        is_cover = stream.disposition & stream.disposition.attached_pic  # of a song
        if not is_cover and stream.codec_context is not None:
            return container, stream
    container.close()
    raise SourceError(f"{name}: has no video that can be decoded, only sound or data; pick another")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


class _DamageError(Exception):
    """The packets of a file are damaged from here on; the message is the reason."""


def _read_packets(
    container: InputContainer, stream: VideoStream, *, live: bool
) -> Iterator[Packet]:
    """Yield the packets of a file; raise _DamageError where it is damaged or cut."""
    may_go_on = live or container.format.name not in FORMATS_WITH_LENGTH
    end = None
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt and not may_go_on:
                raise _DamageError("its data are damaged or cut")
            if packet.pts is not None:
                end = max(end or 0, packet.pts + (packet.duration or 0))
            yield packet
    except av.FFmpegError as error:
        raise _DamageError(_reason(error)) from error
    announced = _announced_end(container, stream)
    if announced is None or end is None or stream.time_base is None or live:
        return
    missing = announced - float(end * stream.time_base)
    # headers round, and the last frames may be left out by an edit: three frames and 2 % are fine
    if missing > 3 / float(stream.average_rate or DEFAULT_FPS) + 0.02 * announced:
        raise _DamageError(f"it ends {missing:.1f} s before the end that it announces")


def _announced_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Read from the header when the last frame ends, in seconds; None if it is unknown."""
    if container.format.name not in FORMATS_WITH_LENGTH:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # Matroska
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6  # of several streams the longest counts, maybe sound
    return None


def decode(
    container: InputContainer,
    stream: VideoStream,
    name: str,
    *,
    live: bool = False,
    damage: Damage | None = None,
) -> Iterator[av.VideoFrame]:
    """Decode all frames.

    Args:
        container: that was just opened.
        stream: of it.
        name: of the source, for messages.
        live: whether the source is a camera or an endless stream.
        damage: receives what is damaged, but can be shown.

    Raises:
        SourceError: while iterating, after the frames before: the file is damaged or cut.
    """
    may_go_on = live or container.format.name not in FORMATS_WITH_LENGTH
    damage = Damage() if damage is None else damage
    decoder = PacketDecoder(stream, live=live)
    count = 0
    try:
        for packet in _read_packets(container, stream, live=live):
            if packet.is_corrupt and count:
                damage.breaks.append(count)
            try:
                for frame, is_damaged in decoder.decode(packet):
                    if is_damaged and not (count or frame.key_frame):
                        continue  # it refers to frames that were sent before reading began
                    if is_damaged:
                        damage.frames.append(count)
                    yield frame
                    count += 1
            except InvalidDataError as error:
                if not may_go_on:
                    raise _DamageError(_reason(error)) from error
                if count:
                    damage.missing.append(count)
    except (_DamageError, av.FFmpegError) as error:
        with suppress(av.FFmpegError):
            for frame in stream.codec_context.decode(None):  # frames still in the decoder
                yield frame
                count += 1
        raise SourceError(
            f"{name}: reading broke at frame {count}: {_reason(error)}; "
            "use the frames before it, or get an undamaged copy"
        ) from error


class _Converters(threading.local):
    """Each thread's converter of pixel formats.

    `to_ndarray(format=...)` makes a new one for each frame. That takes up to five times as long,
    and starts as many threads as there are cores. After a fork, the first converter that is freed
    in the new process waits forever for threads that do not exist there.
    """

    def __init__(self) -> None:
        self.own = VideoReformatter()


_converters = _Converters()


def to_upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert a frame to RGB and apply its display matrix: (x, y) goes to (ax + cy, bx + dy)."""
    image = _converters.own.reformat(frame, format="rgb24", threads=1).to_ndarray()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), "<i4")[:5]
    if abs(b) > abs(a):  # x becomes y: a quarter turn
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """The frames of a file, as its packets tell without decoding.

    Args:
        frames: how many.
        times: of the frames in the order of display, in the stream's time base; empty if the file
            has no times.
        key_times: of the key frames, where decoding can begin.
    """

    frames: int
    times: list[int]
    key_times: list[int]


def packet_index(path: Path) -> PacketIndex:
    """Index a video file; the index is kept until the file changes.

    Raises:
        SourceError: the file cannot be read, is damaged, or is shorter than its header tells.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return _index_packets(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)  # training reads the same clips again; a clip's index is a few kB
def _index_packets(name: str, mtime: int, size: int) -> PacketIndex:
    container, stream = open_container(name)
    frames, times, key_times, last = 0, [], [], None
    in_order = True
    with closing(container):
        try:
            for packet in _read_packets(container, stream, live=False):
                if packet.size == 0 or packet.is_discard:  # is_discard: cut away by an edit list
                    continue
                frames += 1
                if packet.dts is not None:
                    in_order = in_order and (last is None or packet.dts >= last)
                    last = packet.dts
                times.append(packet.pts)
                if packet.is_keyframe:
                    key_times.append(packet.pts)
        except _DamageError as error:
            raise SourceError(
                f"{name}: reading broke at about frame {frames}: {_reason(error)}; "
                "get an undamaged copy"
            ) from error
    if None in times or len(set(times)) < frames or not in_order:  # as of joined streams
        return PacketIndex(frames, [], [])
    return PacketIndex(frames, sorted(times), sorted(key_times))


def read_from_key_frame(path: Path, times: list[int]) -> list[tuple[int | None, np.ndarray]]:
    """Return as many frames as times, with their times, from the first at times[0] on.

    Decoding begins at the last key frame before times[0].
    """
    key_times = packet_index(path).key_times
    container, stream = open_container(str(path))
    with closing(container):
        # One thread reads 3 to 24 frames of 270p fastest (7 and 22 ms; frame threads 8 and 120):
        # starting threads, and the frames that they decode in advance, cost more.
        stream.thread_type, stream.codec_context.thread_count = "SLICE", 1
        start = max((time for time in key_times if time <= times[0]), default=None)
        if start is not None:
            container.seek(start, stream=stream)
        frames = decode(container, stream, str(path))
        from_first = dropwhile(lambda frame: frame.pts is None or frame.pts < times[0], frames)
        return [(frame.pts, to_upright_rgb(frame)) for frame in islice(from_first, len(times))]
