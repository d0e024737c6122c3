import os
import re
import signal
import threading
import time
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

from cyclesiam.cli import main
from cyclesiam.errors import SourceError
from cyclesiam.tracking.results import read_results
from cyclesiam.tracking.tracker import Tracker
from cyclesiam.video import live as live_sources
from cyclesiam.video import open_frames, probe
from cyclesiam.video.live import ReconnectingSource
from support.media import moving_square, write_video
from support.streams import (
    MOTION_JPEG,
    Stream,
    motion_jpeg,
    served,
    transport_stream,
    wait_for_readers,
)

pytestmark = pytest.mark.usefixtures("one_thread")

BOX = "--box=10,30,24,24"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(live_sources, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(live_sources, "MAX_PAUSE", 0.05)


@pytest.fixture(scope="module")
def stream_bytes() -> bytes:
    return transport_stream(moving_square(20))


# --- breaks, without a network


class BreakingSource:
    """Gives a few images, breaks, and is opened again as often as `visits` has more of them."""

    def __init__(self, *visits: int, clock=None) -> None:
        self.visits = list(visits)
        self.closed = 0
        self.clock = clock

    def connect(self):
        if not self.visits:
            raise SourceError("nobody answers")
        return self._images(self.visits.pop(0)), self._close

    def _images(self, count):
        for t in range(count):
            yield t / 10, np.zeros((4, 4, 3), np.uint8)
        raise SourceError("the line is cut")

    def _close(self):
        self.closed += 1


def live_images(source, timeout, **options):
    connect = source.connect
    return ReconnectingSource("camera", connect(), connect, reconnect_timeout=timeout, **options)


def read_until_error(items):
    read = []
    try:
        for item in items:
            read.append(item)
    except SourceError as error:
        return read, str(error)
    pytest.fail("it should break")


def test_a_source_that_breaks_is_opened_again_and_its_times_go_on():
    source, events, now = BreakingSource(3, 2, 1), [], [100.0]
    images = live_images(source, 0.2, on_event=events.append, clock=lambda: now[0])
    times = []
    for image_time, _ in images:
        times.append(image_time)
        now[0] += 0.1 if len(times) < 3 else 5.0
        if not source.visits:
            images.stop()
    assert times == pytest.approx([0, 0.1, 0.2, 5.2, 5.3, 10.3])
    assert source.closed == 2
    assert [line.split(": ", 1)[1].split()[0] for line in events] == ["broke", "is", "broke", "is"]
    assert "the line is cut" in events[0]


def test_the_last_reason_is_given_when_time_is_over():
    source = BreakingSource(2)
    images, message = read_until_error(live_images(source, 0.05))
    assert len(images) == 2
    assert message.startswith("camera: broke, and did not come back in 0.05 s (nobody answers)")


def test_time_goes_on_while_a_source_comes_back_without_images():
    images, message = read_until_error(live_images(BreakingSource(2, *[0] * 10_000), 0.05))
    assert len(images) == 2
    assert "the line is cut" in message


def test_without_a_timeout_a_break_is_the_end():
    images, message = read_until_error(live_images(BreakingSource(2, 2), 0))
    assert len(images) == 2
    assert message == "the line is cut"


def test_a_wait_for_a_source_can_be_stopped():
    broke = threading.Event()
    images = live_images(BreakingSource(1), 600, on_event=lambda event: broke.set())
    reader = threading.Thread(target=lambda: list(images))
    reader.start()
    assert broke.wait(10)
    images.stop()
    reader.join(10)
    assert not reader.is_alive()


# --- streams over HTTP


def test_a_stream_that_is_cut_and_served_again_goes_on(stream_bytes):
    half, events = stream_bytes[: len(stream_bytes) // 2], []
    with (
        served(Stream([half, stream_bytes])) as url,
        open_frames(url, reconnect_timeout=4, on_event=events.append) as frames,
    ):
        assert frames.live
        read, message = read_until_error(frames)
    assert "did not come back in 4 s" in message
    assert [frame.index for frame in read] == list(range(len(read)))
    assert 20 < len(read) < 40
    times = [frame.time for frame in read]
    assert times == sorted(times)
    assert len(events) == 3  # broke, is back, broke
    assert "is back" in events[1]


def test_frames_without_times_have_those_of_the_clock():
    jpegs = Stream([motion_jpeg(moving_square(10))], pause=0.02, kind=MOTION_JPEG)
    times = []
    with served(jpegs) as url, open_frames(url) as frames, suppress(SourceError):
        for frame in frames:
            times.append(frame.time)
    assert len(times) >= 8
    assert times[0] == 0
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[-1] > 0.1  # ten frames in 0.4 s; were they counted, they would be 25 a second


def test_a_stream_of_another_size_is_refused(stream_bytes):
    wide = transport_stream([image[:, :96] for image in moving_square(20)])
    with (
        served(Stream([stream_bytes, wide])) as url,
        open_frames(url, reconnect_timeout=60) as frames,
        pytest.raises(SourceError, match=r"is 96 x 96, but the first frame is 128 x 96"),
    ):
        list(frames)


def test_a_file_on_a_server_is_not_live(tmp_path):
    path = write_video(tmp_path / "clip.mp4", moving_square(5))
    with open_frames(path.as_uri(), reconnect_timeout=60) as frames:
        assert not frames.live
        assert len(list(frames)) == 5


# --- the command


def test_track_a_stream_until_it_stays_away(capsys, tmp_path, stream_bytes, weights):
    output, video = tmp_path / "door.jsonl", tmp_path / "door.mp4"
    options = ["--weights", weights, "--output", str(output), "--video", str(video)]
    half = stream_bytes[: len(stream_bytes) // 2]
    with served(Stream([half, stream_bytes])) as url:
        assert main(["track", url, BOX, *options, "--reconnect", "0.5"]) == 1
    printed = capsys.readouterr()
    assert "is tried again for 0.5 s" in printed.err
    assert "is back after" in printed.err
    assert "did not come back in 0.5 s" in printed.err.splitlines()[-1]
    results = list(read_results(output))
    match = re.search(r"Dropped (\d+) of (\d+) frames", printed.err)
    assert match
    dropped, total = map(int, match.groups())
    assert dropped + len(results) == total
    indices = [result.frame for result in results]
    assert indices[0] == 0
    assert indices == sorted(set(indices))
    assert indices[-1] < total
    assert probe(video).frames == len(results)


def test_track_a_stream_and_drop_nothing(capsys, tmp_path, stream_bytes, weights):
    output = tmp_path / "door.jsonl"
    options = ["--weights", weights, "--output", str(output), "--latency", "inf"]
    with served(Stream([stream_bytes])) as url:
        main(["track", url, BOX, *options, "--reconnect", "0"])
    assert "Dropped" not in capsys.readouterr().err
    assert [result.frame for result in read_results(output)] == list(range(20))


def test_interrupted_while_live_all_is_written(
    capsys, monkeypatch, tmp_path, stream_bytes, weights
):
    output, video = tmp_path / "door.jsonl", tmp_path / "door.mp4"
    step, steps = Tracker.step, []

    def step_twice(tracker, image):
        steps.append(image)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGINT)
        return step(tracker, image)

    monkeypatch.setattr(Tracker, "step", step_twice)
    options = ["--weights", weights, "--output", str(output), "--video", str(video)]
    with served(Stream([stream_bytes], pause=0.02)) as url:
        assert main(["track", url, BOX, *options, "--latency", "inf"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "cyclesiam track: interrupted"
    assert len(list(read_results(output))) == 2
    assert probe(video).frames == 2


def test_interrupted_while_nothing_comes(tmp_path, stream_bytes, weights):
    output, stream = tmp_path / "door.jsonl", Stream([stream_bytes])

    def press_ctrl_c():
        while not (stream.refused and output.exists() and output.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    options = ["--weights", weights, "--output", str(output), "--latency", "inf"]
    with served(stream) as url:
        threading.Thread(target=press_ctrl_c).start()
        assert main(["track", url, BOX, *options]) == 130
    assert list(read_results(output))
    wait_for_readers()


@pytest.mark.parametrize("option", ["--latency=0", "--latency=nan", "--reconnect=-1"])
def test_wrong_usage(capsys, option):
    assert main(["track", "rtsp://127.0.0.1:9/door", BOX, option]) == 2
    assert option.split("=")[0] in capsys.readouterr().err
