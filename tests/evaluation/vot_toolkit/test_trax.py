"""The TraX conversation: with a scripted client here, with one in another process at the end."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.vot_toolkit.trax import (
    Message,
    TraxError,
    format_region,
    parse_message,
    parse_path,
    parse_region,
    serve,
)
from cyclesiam.video import read_image
from support import ROOT
from support.media import write_frames

SRC = ROOT / "src"


class Drifter:
    """A tracker that moves its first box one pixel to the right at each frame."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def init(self, image, box_xywh) -> None:
        self.shapes.append(image.shape)
        self.box = box_xywh

    def update(self, image):
        self.shapes.append(image.shape)
        x, *rest = self.box
        self.box = (x + 1, *rest)
        return self.box


def converse(tracker, *lines: str) -> list[Message]:
    sent: list[str] = []
    image = np.zeros((4, 6, 3), np.uint8)
    serve(tracker, lines, sent.append, read_image=lambda path: image, name="drift er")
    return [message for line in sent if (message := parse_message(line + "\n"))]


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("@@TRAX:quit \n", Message("quit")),
        (
            '@@TRAX:quit "trax.reason=had enough"\n',
            Message("quit", (), {"trax.reason": "had enough"}),
        ),
        ('@@TRAX:frame "file:///a b.jpg" \n', Message("frame", ("file:///a b.jpg",))),
        ("@@TRAX:frame file:///a=b.jpg", Message("frame", ("file:///a=b.jpg",))),  # not a property
        ("@@TRAX:frame p time=1", Message("frame", ("p",), {"time": "1"})),
        (r'@@TRAX:frame "a\"b\\c\nd"', Message("frame", ('a"b\\c\nd',))),
        ('@@TRAX:initialize "i" "1,2,3,4" \r\n', Message("initialize", ("i", "1,2,3,4"))),
        ("loading weights\n", None),
        (" @@TRAX:quit", None),  # the prefix must begin the line
    ],
)
def test_lines_are_read(line, message):
    assert parse_message(line) == message


def test_a_message_survives_its_line():
    message = Message("state", ('1,2 "x" \\ y\nz',), {"trax.name": 'a\\n "b"'})
    line = Message("frame", message.arguments, message.properties).to_line()
    assert "\n" not in line
    assert parse_message(line) == Message("frame", message.arguments, message.properties)


def test_a_message_without_its_arguments_is_refused():
    with pytest.raises(TraxError, match="lacks an argument of its 2"):
        parse_message('@@TRAX:initialize "file:///1.jpg"')


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("1,2,3,4", (1, 2, 3, 4)),
        ("1.5000,2.0000,3.0000,4.0000", (1.5, 2, 3, 4)),
        ("0,0,4,2,0,6", (0, 0, 4, 6)),  # a triangle
    ],
)
def test_regions_are_read(region, box):
    assert parse_region(region) == box


@pytest.mark.parametrize("region", ["", "1", "1,2,3", "1,2,3,4,5", "a,b,c,d", "m0,0,3,3,1,2"])
def test_other_regions_are_refused(region):
    with pytest.raises(TraxError, match="neither a rectangle nor a polygon"):
        parse_region(region)


def test_a_target_that_is_not_visible_overlaps_nothing():
    assert parse_region(format_region((math.nan, 1, 2, 3))) == (0, 0, 0, 0)


def test_polygons_and_masks_are_written():
    assert format_region((0, 0, 4, 2, 0, 6)).count(",") == 5  # a polygon stays one
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:7] = True
    assert parse_region(format_region(mask)) == (3, 2, 4, 2)
    assert parse_region(format_region(mask & False)) == (0, 0, 0, 0)


def test_paths_are_taken_as_they_are():
    assert parse_path("file:///data/50%20off/1.jpg") == Path("/data/50%20off/1.jpg")
    with pytest.raises(TraxError, match="no file:// path"):
        parse_path("data:image/jpeg;base64,AAAA")


# --- conversation --------------------------------------------------------------------------------


def test_the_program_says_what_it_supports_and_replies_to_each_frame():
    tracker = Drifter()
    hello, *states, last = converse(
        tracker,
        "@@TRAX:initialize file:///1.jpg 10,20,3,4\n",
        "noise of the client\n",
        "@@TRAX:frame file:///2.jpg\n",
        "@@TRAX:initialize file:///3.jpg 50,20,3,4\n",  # after a failure
        "@@TRAX:frame file:///4.jpg\n",
        "@@TRAX:quit \n",
        "@@TRAX:frame file:///5.jpg\n",
    )
    assert hello.name == "hello"
    assert hello.properties == {
        "trax.version": "1",
        "trax.name": "drift er",
        "trax.image": "path;",
        "trax.region": "rectangle;",
    }
    assert {state.name for state in (*states, last)} == {"state"}
    boxes = [parse_region(*state.arguments) for state in (*states, last)]
    assert boxes == [(10, 20, 3, 4), (11, 20, 3, 4), (50, 20, 3, 4), (51, 20, 3, 4)]
    assert tracker.shapes == [(4, 6, 3)] * 4


def test_the_end_of_input_ends_it():
    assert [message.name for message in converse(Drifter())] == ["hello"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@@TRAX:frame file:///1.jpg", "`frame` came before initialize"),
        ("@@TRAX:initialize file:///1.jpg 1,2", "neither a rectangle"),
        ("@@TRAX:initialize", "lacks an argument"),
    ],
)
def test_an_error_is_sent_to_the_client_and_raised(line, reason):
    sent: list[str] = []
    with pytest.raises(CycleSiamError, match=reason):
        serve(Drifter(), [line], sent.append, read_image=read_image, name="drifter")
    last = parse_message(sent[-1])
    assert last is not None
    assert last.name == "quit"
    assert reason in last.properties["trax.reason"]


def test_an_unknown_message_is_refused():
    with pytest.raises(TraxError, match="`dance` is unknown"):
        converse(Drifter(), "@@TRAX:initialize file:///1.jpg 1,2,3,4", "@@TRAX:dance")


# --- the program ---------------------------------------------------------------------------------


@pytest.fixture
def program():
    """The command `cyclesiam trax` with OpenCV's KCF, as a toolkit starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cyclesiam", "trax", "--tracker", "kcf"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        text=True,
        encoding="utf-8",
    )
    yield process
    process.kill()
    process.communicate()


def ask(process, line: str = "") -> Message:
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    reply = parse_message(process.stdout.readline())
    assert reply is not None
    return reply


def test_the_program_tracks_a_square_over_pipes(program, tmp_path, made_frames):
    folder = write_frames(tmp_path / "a b", made_frames[:3])
    assert ask(program).properties["trax.name"] == "kcf"
    first = ask(program, f'@@TRAX:initialize "file://{folder}/00001.png" "10,14,16,16"')
    assert parse_region(*first.arguments) == (10, 14, 16, 16)
    for number in (2, 3):
        reply = ask(program, f'@@TRAX:frame "file://{folder}/0000{number}.png" ')
        x, y, w, h = parse_region(*reply.arguments)
        assert (y, w, h) == pytest.approx((14, 16, 16), abs=2)
        assert x == pytest.approx(10 + 2 * (number - 1), abs=2)
    _, errors = program.communicate("@@TRAX:quit \n", timeout=120)
    assert errors == ""
    assert program.returncode == 0


def test_the_program_says_which_image_it_cannot_read(program, tmp_path):
    ask(program)
    reply = ask(program, f'@@TRAX:initialize "file://{tmp_path}/none.png" "10,14,16,16"')
    assert reply.name == "quit"
    assert "none.png" in reply.properties["trax.reason"]
    _, errors = program.communicate(timeout=120)
    assert errors.startswith("cyclesiam trax: ")
    assert "none.png" in errors
    assert program.returncode == 1
