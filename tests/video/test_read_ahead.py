import threading
import time

import numpy as np
import pytest

from cyclesiam.video import Frames, ReadAhead, open_frames
from cyclesiam.video.read_ahead import MAX_WAITING
from support.media import moving_square, write_video
from support.streams import wait_for_readers

IMAGE = np.zeros((4, 6, 3), np.uint8)
SOON = 100  # seconds after which something that should happen at once has not


class Source:
    """Frames that come when a test asks for them.

    `give(n)` sends n more frames, and waits until the last was read.
    """

    def __init__(self, *, live: bool, count: int = 1000, step: float = 0.04, error=None) -> None:
        self.allowed = threading.Semaphore(1)  # the first is read by Frames itself
        self.closed = threading.Event()
        self.read = 0
        self._stopped = threading.Event()
        self._change = threading.Condition()
        self._given, self._taken = 0, 0
        self._count, self._step, self._error = count, step, error
        self.frames = Frames(
            self._images(),
            fps=25,
            count=None,
            location=str,
            close=self.closed.set,
            live=live,
            stop=self._stop,
        )

    def _images(self):
        for number in range(self._count):
            self.allowed.acquire()
            if self._stopped.is_set():
                return
            self.read += 1
            yield number * self._step, IMAGE
            with self._change:  # the next is asked for: this one was read
                self._taken = number
                self._change.notify_all()
        if self._error:
            raise self._error

    def give(self, count: int) -> None:
        self._given += count
        self.allowed.release(count)
        with self._change:
            assert self._change.wait_for(lambda: self._taken >= self._given, timeout=SOON)

    def _stop(self) -> None:
        self._stopped.set()
        self.allowed.release()


# --- nothing dropped


def test_the_same_frames_in_the_same_order(tmp_path):
    path = write_video(tmp_path / "clip.mp4", moving_square(20))
    with open_frames(path) as frames:
        expected = list(frames)
    with ReadAhead(open_frames(path)) as ahead:
        read = list(ahead)
    assert [(frame.index, frame.time) for frame in read] == [(f.index, f.time) for f in expected]
    for frame, other in zip(read, expected, strict=True):
        np.testing.assert_array_equal(frame.image, other.image)
    assert ahead.dropped == 0
    wait_for_readers()


def test_no_more_are_read_than_can_wait():
    source = Source(live=False)
    with ReadAhead(source.frames) as ahead:
        source.allowed.release(100)
        for index in range(20):
            assert next(ahead).index == index
            assert source.read <= index + 1 + MAX_WAITING + 1  # one more is read than fits
    wait_for_readers()


def test_an_error_comes_in_its_place():
    source = Source(live=False, count=3, error=OSError("gone"))
    source.allowed.release(10)
    with ReadAhead(source.frames) as ahead:
        assert [next(ahead).index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(OSError, match="gone"):
            next(ahead)
        assert list(ahead) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_when_the_reader_of_frames_fails_the_thread_ends(error):
    source = Source(live=False)
    source.allowed.release(100)
    ahead = ReadAhead(source.frames)

    def fail():
        with ahead:
            next(ahead)
            raise error

    with pytest.raises(error):
        fail()
    wait_for_readers()
    assert source.closed.is_set()


def test_closing_ends_a_wait_for_a_source():
    source = Source(live=True)
    ahead = ReadAhead(source.frames)
    ahead.close()
    ahead.close()
    wait_for_readers()
    assert source.closed.is_set()
    assert list(ahead) == []


# --- late frames


def test_a_slow_tracker_gets_the_newest_frame_and_the_others_count():
    source = Source(live=True)
    with ReadAhead(source.frames, latency=0.2, clock=lambda: 0.0) as ahead:
        given = []
        for _ in range(4):
            source.give(5)  # while the tracker is busy with one, five come
            given.append(next(ahead).index)
        assert given == [0, 10, 15, 20]  # boxes are given in the first: it is never dropped
        assert ahead.dropped == 21 - 4


def test_a_quick_tracker_gets_all():
    source = Source(live=True)
    with ReadAhead(source.frames, latency=0.2, clock=lambda: 0.0) as ahead:
        assert next(ahead).index == 0
        for index in range(1, 10):
            source.give(1)
            assert next(ahead).index == index
        assert ahead.dropped == 0


def test_a_frame_that_is_too_old_is_not_given():
    now = [0.0]
    source = Source(live=True, count=3)
    with ReadAhead(source.frames, latency=0.2, clock=lambda: now[0]) as ahead:
        now[0] = 5.0  # the first is given however old
        assert next(ahead).index == 0
        source.give(1)
        now[0] = 5.3
        late = threading.Thread(target=lambda: source.give(1))
        late.start()
        assert next(ahead).index == 2
        late.join()
        assert ahead.dropped == 1


def test_a_file_is_shown_at_its_own_pace():
    source = Source(live=False, count=4, step=0.03)
    source.allowed.release(10)
    begun = time.monotonic()
    with ReadAhead(source.frames, latency=60) as ahead:
        given = [frame.index for frame in ahead]
    assert time.monotonic() - begun >= 3 * 0.03
    assert (given[0], given[-1], len(given) + ahead.dropped) == (0, 3, 4)


@pytest.mark.parametrize("latency", [0, -1, float("nan")])
def test_a_latency_is_above_zero(latency):
    with pytest.raises(ValueError, match="above zero"):
        ReadAhead(Source(live=True).frames, latency=latency)


def test_of_large_frames_fewer_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("cyclesiam.video.read_ahead.MAX_WAITING_BYTES", 1)
    path = write_video(tmp_path / "a.mp4", moving_square(8))
    with ReadAhead(open_frames(path)) as frames:
        time.sleep(0.3)
        assert len(frames._waiting) <= 1
        assert [frame.index for frame in frames] == list(range(8))
