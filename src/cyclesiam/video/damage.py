"""What a decoder reports as damaged within a file whose frames can all be shown."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import av
from av.error import InvalidDataError
from av.packet import Packet
from av.video.stream import VideoStream

MAX_NAMED = 5  # frames whose numbers a message says


@dataclass(slots=True)
class Damage:
    """Where a source is damaged, by numbers of frames.

    Not every codec can tell: to VP8, VP9 and AV1 most changed bytes are a picture as any other.
    """

    frames: list[int] = field(default_factory=list)
    """That the decoder shows, but reports as damaged."""
    missing: list[int] = field(default_factory=list)
    """Before which others cannot be decoded at all."""
    breaks: list[int] = field(default_factory=list)
    """Near which a transport stream lacks data, or two were joined."""

    def __bool__(self) -> bool:
        return bool(self.frames or self.missing or self.breaks)

    def __str__(self) -> str:
        parts = [
            ("damaged frames", self.frames, "frame"),
            ("frames that cannot be decoded", self.missing, "before frame"),
            ("gaps or joints in the stream", self.breaks, "near frame"),
        ]
        return "; ".join(
            f"{what}: {len(numbers)} ({where} {_name(numbers)})"
            for what, numbers, where in parts
            if numbers
        )


def _name(numbers: list[int]) -> str:
    more = ", ..." if len(numbers) > MAX_NAMED else ""
    return ", ".join(map(str, numbers[:MAX_NAMED])) + more


class PacketDecoder:
    """Decodes packets, and tells which frames are damaged.

    FFmpeg's decoder of MJPEG reports nothing unless it is told to refuse what is damaged. The frame
    is then decoded once more, by a decoder that shows what it can.

    Args:
        stream: that was not decoded yet.
        live: whether its source waits for nobody; its frames are decoded once, as they are.
    """

    def __init__(self, stream: VideoStream, *, live: bool) -> None:
        codec = stream.codec_context
        # else frames that refer to a damaged one are left out: of H.265, often all that follow
        codec.options = {"flags": "+output_corrupt"}
        self._tolerant = None
        if codec.name == "mjpeg" and not live:
            self._tolerant = av.CodecContext.create("mjpeg", "r")
            codec.options = {"err_detect": "explode"}
            stream.thread_type = "SLICE"  # errors of frame threads come with a later packet

    def decode(self, packet: Packet) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield the frames of a packet, and whether each is damaged.

        Raises:
            InvalidDataError: nothing can be decoded.
        """
        try:
            frames = packet.decode()
        except InvalidDataError:
            frames = self._decode_damaged(packet)
            if not frames:
                raise
            yield from ((frame, True) for frame in frames)
        else:
            yield from ((frame, frame.is_corrupt) for frame in frames)

    def _decode_damaged(self, packet: Packet) -> list[av.VideoFrame]:
        if self._tolerant is not None:
            with suppress(av.FFmpegError):
                return self._tolerant.decode(packet)
        return []
