import numpy as np
import pytest

from cyclesiam.validation import degraded_clips
from cyclesiam.validation.degraded_clips import degrade_clip

BOXES = np.array([[20.0, 30.0, 100.0, 90.0], [np.nan] * 4, [30.0, 30.0, 110.0, 90.0]])


class Chooser:
    """A generator whose choices are fixed."""

    def __init__(self, *names):
        self.rng, self.names = np.random.default_rng(0), names

    def choice(self, *_, **__):
        return self.names

    def __getattr__(self, name):
        return getattr(self.rng, name)


def frames():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (160, 200, 3), np.uint8) for _ in range(3)]


def degraded(*names):
    return degrade_clip(frames(), BOXES, Chooser(*names))


def test_boxes_shrink_with_the_frames():
    small, boxes = degraded("low resolution")
    height, width = small[0].shape[:2]
    assert width < 100
    ratios = [width / 200, height / 160] * 2
    np.testing.assert_allclose(boxes[::2], BOXES[::2] * ratios)
    side = np.sqrt((boxes[0, 2:] - boxes[0, :2]).prod())
    assert 8 < side < 26
    assert np.isnan(boxes[1]).all()


def test_no_frame_shrinks_below_the_least_side(monkeypatch):
    monkeypatch.setattr(degraded_clips, "SMALL_TARGETS", (1, 2))
    small, _ = degraded("low resolution")
    assert min(small[0].shape[:2]) == degraded_clips.MIN_FRAME_SIDE


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("darkness", np.mean),
        ("low contrast", np.std),
        ("blur", lambda image: np.abs(np.diff(image.astype(float), axis=1)).mean()),
        ("gray", lambda image: np.ptp(image.astype(float), axis=2).mean()),
    ],
)
def test_each_takes_something_away(name, measure):
    changed, boxes = degraded(name)
    np.testing.assert_array_equal(boxes, BOXES)
    for before, after in zip(frames(), changed, strict=True):
        assert measure(after) < 0.8 * measure(before)


@pytest.mark.parametrize("name", ["noise", "compression"])
def test_others_disturb(name):
    for before, after in zip(frames(), degraded(name)[0], strict=True):
        assert 2 < np.abs(before.astype(float) - after).mean() < 60


def test_the_same_seed_degrades_alike_and_keeps_the_frames():
    clip = frames()
    first, second = (degrade_clip(clip, BOXES, np.random.default_rng(5))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(clip, frames())
    assert any(not np.array_equal(a, b) for a, b in zip(clip, first, strict=True))
