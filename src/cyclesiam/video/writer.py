"""H.264 files, written with PyAV.

While a file is written, each frame is a fragment with an index of its own, so that the file plays
even if the process is killed. At the end an MP4 is copied, to have one index in front.
"""

import math
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from cyclesiam.errors import SourceError
from cyclesiam.files import atomic_path, check_output, open_alone, output_error
from cyclesiam.video.file_info import file_url

WRITABLE_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}  # by FFmpeg's names
FASTSTART = {"movflags": "+faststart"}
FRAGMENTS = {"movflags": "+frag_every_frame+empty_moov+default_base_moof"}
CLUSTERS = {"cluster_time_limit": "100"}  # milliseconds; Matroska's fragments
# Few frames wait in the encoder: they take memory, and are lost if the process is killed.
FEW_WAITING = "rc-lookahead=4:sync-lookahead=0:sliced-threads=1"
LARGE_PIXELS = 2**24  # of a frame; of 8K the encoder then holds 1.0 GB, where it held 1.7
FEWEST_WAITING = "rc-lookahead=0:sync-lookahead=0:sliced-threads=1:bframes=0:ref=1:threads=2"


class VideoWriter:
    """Write frames to a video file that any player opens: H.264, 4:2:0, index in front.

    The file is created with the first frame. Odd sizes are made even by repeating the edge. If the
    process is killed, the file plays to a few frames before. No other process can write the file
    until it is closed.

    Args:
        path: of the file; the suffix is one of `WRITABLE_SUFFIXES`, the folder exists.
        fps: frames a second.
        overwrite: whether a file that holds something may be replaced.

    Raises:
        SourceError: the path cannot be written, or a frame has another size than the first.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        *,
        overwrite: bool = True,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps must be above zero, got {fps}")
        self.path = Path(path)
        self.rate = _to_rate(fps)
        self.pixel_aspect = pixel_aspect
        self._overwrite = overwrite
        self._lock: int | None = None  # a descriptor
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._shape: tuple[int, ...] = ()
        self._written = 0
        self._next_time = 0  # in units of 1 / rate
        self._is_new = not self.path.exists()
        if self.path.suffix.lower() not in WRITABLE_SUFFIXES:
            raise SourceError(f"{path}: name it with one of {', '.join(WRITABLE_SUFFIXES)}")
        check_output(self.path, overwrite=overwrite)

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Append one frame.

        Args:
            image: RGB, uint8 (H, W, 3), of the same size as the first.
            time: when the frame is shown, in seconds. Without it, or if it is too early, the frame
                is shown 1 / fps after the frame before.

        Raises:
            SourceError: the frame has another size than the first, or cannot be written.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a frame is uint8 (H, W, 3), got {image.dtype} {image.shape}")
        if self._shape and image.shape != self._shape:
            (h, w), (H, W) = image.shape[:2], self._shape[:2]
            raise SourceError(
                f"{self.path}: frame {self._written} is {w} x {h}, but the first was {W} x {H}; "
                "write one size to one file"
            )
        self._shape = image.shape
        frame = _to_even_yuv(image)
        if time is not None:
            self._next_time = max(self._next_time, round(time * self.rate))
        frame.pts, frame.time_base = self._next_time, 1 / self.rate
        try:
            self._mux(frame)
        except (av.FFmpegError, OSError) as error:
            self._fail(error)
        self._written += 1
        self._next_time += 1

    def close(self) -> None:
        """Finish the file, if there is a frame; further calls do nothing."""
        if self._container is None:
            return
        try:
            self._mux(None)
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            self._fail(error)
        self._container = None
        if self.path.suffix.lower() in FORMATS:
            with suppress(av.FFmpegError, OSError):  # without room for a copy, fragments play, too
                _move_index_to_front(self.path)
        self._unlock()

    def _unlock(self) -> None:
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        if self._container is None:
            assert frame is not None
            self._lock = open_alone(self.path, overwrite=self._overwrite)
            self._container, self._stream = _create_video(
                self.path, self.rate, self.pixel_aspect, frame
            )
        assert self._stream is not None
        self._container.mux(self._stream.encode(frame))

    def _fail(self, error: Exception) -> None:
        container, self._container = self._container, None
        with suppress(av.FFmpegError, OSError):
            if container is not None:
                container.close()
        if isinstance(error, BlockingIOError | FileExistsError) and self._lock is None:
            raise output_error(self.path, error) from error
        self._unlock()
        if self._written == 0 and self._is_new:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        raise SourceError(
            f"{self.path}: frame {self._written} cannot be written ({error}); "
            "check that the folder is writable and the disk not full"
        ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _to_rate(fps: float) -> Fraction:
    """Return the fraction that a frame rate stands for.

    >>> _to_rate(12.5), _to_rate(29.97)
    (Fraction(25, 2), Fraction(30000, 1001))
    """
    whole = round(fps * 1.001)  # rates of American television are 1000/1001 of a whole number
    if whole and abs(fps * 1.001 - whole) < 1e-3:
        return Fraction(whole * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def _to_even_yuv(image: np.ndarray) -> av.VideoFrame:
    """Convert to 4:2:0 in BT.709, whose sizes are even."""
    padding = ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0))
    even = np.ascontiguousarray(np.pad(image, padding, mode="edge"))
    return av.VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )


def _create_video(
    path: Path, rate: Fraction, pixel_aspect: Fraction, first: av.VideoFrame
) -> tuple[OutputContainer, VideoStream]:
    """Create a file for frames of the size of the first."""
    options = CLUSTERS if path.suffix.lower() == ".mkv" else FRAGMENTS
    container = av.open(file_url(path), "w", options=options | {"flush_packets": "1"})
    waiting = FEWEST_WAITING if first.width * first.height >= LARGE_PIXELS else FEW_WAITING
    coding = {"crf": "18", "preset": "fast", "x264-params": waiting}
    stream = container.add_stream("libx264", rate=rate, options=coding)
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
    codec = stream.codec_context
    codec.time_base = 1 / rate
    codec.sample_aspect_ratio = pixel_aspect
    codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
    codec.color_primaries = codec.color_trc = 1  # BT.709 as well, which players would have to guess
    container.start_encoding()  # creates the file, or raises
    return container, stream


def _move_index_to_front(path: Path) -> None:
    """Replace a file of fragments by one with a single index, in front; no frame is coded again."""
    with (
        atomic_path(path) as part,
        av.open(file_url(path)) as fragments,
        av.open(
            file_url(part), "w", format=FORMATS[path.suffix.lower()], options=FASTSTART
        ) as whole,
    ):
        source = fragments.streams.video[0]
        copy = whole.add_stream_from_template(source)
        for packet in fragments.demux(source):
            if packet.dts is not None:  # the last one only says that no more comes
                packet.stream = copy
                whole.mux(packet)
