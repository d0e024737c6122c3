"""Any tracker as a program that speaks TraX, the text protocol of the official VOT toolkit.

The toolkit, the client, starts the program, and both write lines. The program begins with `hello`
and what it supports: one target, images as paths, regions as rectangles. To each `initialize IMAGE
REGION` and `frame IMAGE` it replies `state REGION`, until one side sends `quit`. Lines without the
prefix are ignored. Nothing of the toolkit is imported: it is another program, in its own
environment.

Source: the TraX protocol, version 1 (https://trax.readthedocs.io/en/latest/protocol.html).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.trackers.interface import BoxTracker, MaskTracker
from cyclesiam.geometry.boxes import XYWH, parse_number, xyxy_to_xywh
from cyclesiam.geometry.masks import mask_to_box

PREFIX = "@@TRAX:"
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
NAMED = re.compile(r"([A-Za-z0-9._]{1,64})=(.*)", re.DOTALL)
ESCAPED = {"n": "\n"}
ARGUMENTS = {"initialize": 2, "frame": 1, "state": 1}  # mandatory ones; other messages have none
NOWHERE: XYWH = (0.0, 0.0, 0.0, 0.0)  # overlaps with nothing: the target is not visible


class TraxError(CycleSiamError):
    """The client sends what the protocol does not allow."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the protocol.

    Args:
        name: kind of message, such as `frame`.
        arguments: mandatory arguments, in order.
        properties: optional arguments, name to value.
    """

    name: str
    arguments: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the line, without its end.

        >>> Message("state", ("1,2,3,4",), {"time": "3"}).to_line()
        '@@TRAX:state "1,2,3,4" "time=3"'
        """
        words = [*self.arguments, *(f"{name}={value}" for name, value in self.properties.items())]
        return " ".join([PREFIX + self.name, *map(_quote, words)])


def parse_message(line: str) -> Message | None:
    """Return the message of a line, or None of a line without the prefix.

    Raises:
        TraxError: a mandatory argument is missing.

    >>> parse_message('@@TRAX:frame "file:///a b.jpg" time=3').arguments
    ('file:///a b.jpg',)
    """
    if not line.startswith(PREFIX):
        return None
    name, _, rest = line.removeprefix(PREFIX).strip().partition(" ")
    words = [_unescape(quoted) if quoted else bare for quoted, bare in QUOTED.findall(rest)]
    count = ARGUMENTS.get(name, 0)
    if len(words) < count:
        raise TraxError(f"the message {line.strip()[:200]!r} lacks an argument of its {count}")
    named = (NAMED.fullmatch(word) for word in words[count:])
    return Message(name, tuple(words[:count]), {m[1]: m[2] for m in named if m})


def serve(
    tracker: BoxTracker | MaskTracker,
    lines: Iterable[str],
    send: Callable[[str], None],
    *,
    read_image: Callable[[Path], np.ndarray],
    name: str,
) -> None:
    """Serve a tracker to a TraX client until the client quits or its lines end.

    Args:
        tracker: started anew by each `initialize`.
        lines: from the client, one by one as they come.
        send: called with each line for the client, without its end.
        read_image: returns (H, W, 3) uint8 RGB of an image file.
        name: of the tracker.

    Raises:
        TraxError: the client violates the protocol.
        CycleSiamError: an image cannot be read, or the tracker failed. The client then receives
            `quit` with the reason.
    """
    hello = {"trax.version": "1", "trax.name": name, "trax.image": "path;"}
    send(Message("hello", (), {**hello, "trax.region": "rectangle;"}).to_line())
    try:
        for state in _states(tracker, map(parse_message, lines), read_image):
            send(Message("state", (format_region(state),)).to_line())
    except Exception as error:
        send(Message("quit", (), {"trax.reason": " ".join(str(error).split())}).to_line())
        raise


def _states(
    tracker: BoxTracker | MaskTracker,
    messages: Iterable[Message | None],
    read_image: Callable[[Path], np.ndarray],
) -> Iterator[Sequence[float] | np.ndarray]:
    """Yield the region in reply to each message, until `quit` or the end."""
    started = False
    for message in messages:
        match message:
            case None:
                continue
            case Message("initialize", (image, region)):
                box = parse_region(region)
                tracker.init(read_image(parse_path(image)), box)
                started = True
                yield box
            case Message("frame", (image,)) if started:
                yield tracker.update(read_image(parse_path(image)))
            case Message("quit"):
                return
            case Message(name):
                raise TraxError(
                    f"the message `{name}` {'is unknown' if started else 'came before initialize'}"
                    "; this program knows initialize, frame and quit"
                )


def parse_path(image: str) -> Path:
    """Return the path of a `file://` URL; TraX does not escape it, so a % stays a %.

    Raises:
        TraxError: the URL names no file.

    >>> parse_path("file:///data/50% off/1.jpg").as_posix()
    '/data/50% off/1.jpg'
    """
    if not image.startswith("file://"):
        raise TraxError(
            f"the image {image[:60]!r} is no file:// path; have the client send `path` images"
        )
    return Path(image.removeprefix("file://"))


def parse_region(region: str) -> XYWH:
    """Return a rectangle, or the smallest one around a polygon, as x, y, w, h.

    Raises:
        TraxError: the region is neither.

    >>> parse_region("2,1,5,1,5,7,2,7")
    (2.0, 1.0, 3.0, 6.0)
    """
    try:
        numbers = [parse_number(word) for word in region.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 4:
        x, y, w, h = numbers
        return x, y, w, h
    if len(numbers) < 6 or len(numbers) % 2:
        raise TraxError(f"the region {region[:60]!r} is neither a rectangle nor a polygon")
    xs, ys = numbers[0::2], numbers[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def format_region(output: Sequence[float] | np.ndarray) -> str:
    """Return a tracker's output in the form of TraX.

    Args:
        output: x, y, w, h; corners of a polygon; or a mask (H, W), which becomes its box.

    Returns:
        Comma-separated numbers. NaN and an empty mask become the empty rectangle, which overlaps
        nothing.

    >>> format_region((1.0, 2.5, float("nan"), 3.0))
    '0.000000,0.000000,0.000000,0.000000'
    """
    numbers = np.asarray(output)
    if numbers.ndim == 2:
        numbers = xyxy_to_xywh(mask_to_box(numbers))
    return ",".join(f"{n:.6f}" for n in (numbers if np.isfinite(numbers).all() else NOWHERE))


def _quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unescape(word: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPED.get(match[1], match[1]), word)
