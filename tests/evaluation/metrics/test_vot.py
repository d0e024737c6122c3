import numpy as np
import pytest

from cyclesiam.evaluation.metrics.vot import (
    Fragment,
    ResetRuns,
    accuracy_frames,
    expected_overlap,
    frames_with,
)
from cyclesiam.evaluation.metrics.vot_challenge import vot_challenge
from cyclesiam.evaluation.metrics.vot_toolkit import vot_toolkit

BOX = np.array([20.0, 30.0, 10.0, 10.0])
CODES = {"i": 1.0, "f": 2.0, "-": 0.0}


def run(frames):
    """A trajectory by letters: i initialized, f failed, - skipped, x on the target."""
    return [np.array([CODES[frame]]) if frame in CODES else BOX for frame in frames]


def sequence(*runs):
    return ResetRuns(width=100, height=80, truth=[BOX] * len(runs[0]), runs=[run(r) for r in runs])


def both(*runs):
    sequences = {"only": sequence(*runs)}
    return vot_challenge(sequences), vot_toolkit(sequences)


def test_a_perfect_tracker():
    challenge, toolkit = both("i" + "x" * 19)
    assert challenge.accuracy == toolkit.accuracy == 1
    assert challenge.failures == challenge.failures_per_100_frames == toolkit.failures == 0
    assert toolkit.reliability == 1
    np.testing.assert_array_equal(challenge.curve, np.ones(20))
    np.testing.assert_array_equal(toolkit.curve, [0, *np.ones(19)])
    assert challenge.eao((3, 7)) == toolkit.eao((3, 7)) == 1


def test_one_failure_by_hand():
    challenge, toolkit = both("ixxxxf----ix")
    # Frames 0 to 10 failed: overlap 1 in four frames, zero ever after; frames 10 to 11 just end.
    np.testing.assert_allclose(challenge.curve[[1, 4, 5, 11]], [1, 1, 4 / 5, 4 / 11])
    np.testing.assert_allclose(toolkit.curve, [0, 1, 1, 1, 1])  # as long as the longest fragment
    assert challenge.failures == toolkit.failures == 1
    assert challenge.failures_per_100_frames == pytest.approx(100 / 12)
    assert toolkit.reliability == pytest.approx(np.exp(-30 / 12))
    assert np.isnan(challenge.accuracy)  # every frame is in a burn-in
    assert toolkit.accuracy == 0


@pytest.mark.parametrize(
    ("frames", "last"),
    [
        ("ixxxxxxxxf--", 8 / 11),  # no initialization follows: the run ends, with zeros
        ("ixxxxxxf----", 6 / 11),  # it would follow right behind the end
    ],
)
def test_a_failure_near_the_end(frames, last):
    challenge, toolkit = both(frames)
    assert challenge.curve[-1] == pytest.approx(last)
    assert len(toolkit.curve) == frames.index("f")


def test_the_intervals_of_the_two_programs_lie_one_frame_apart():
    challenge, toolkit = both("ixxxxf" + "----ixxxxf" * 2)
    for low, high in ((2, 4), (1, 3)):
        assert challenge.eao((low, high)) == pytest.approx(challenge.curve[low - 1 : high].mean())
        assert toolkit.eao((low, high)) == pytest.approx(toolkit.curve[low : high + 1].mean())
    assert np.isnan(challenge.eao((100, 356)))
    assert np.isnan(toolkit.eao((100, 356)))


def test_pooling_differs_between_the_programs():
    off = BOX + np.array([5, 0, 0, 0])
    short, long = sequence("i" + "x" * 14), sequence("i" + "x" * 29)
    half = ResetRuns(width=100, height=80, truth=long.truth, runs=[[long.runs[0][0], *[off] * 29]])
    sequences = {"short": short, "half": half}
    worse = 6 * 11 / (16 * 11)  # pysot: columns 20..30 and 25..35
    assert vot_challenge(sequences).accuracy == pytest.approx((5 + 20 * worse) / 25)
    assert vot_toolkit(sequences).accuracy == pytest.approx((15 + 30 / 3) / 45)


def test_runs_are_averaged():
    challenge, toolkit = both("ixxxxf----ix", "i" + "x" * 11)
    assert challenge.failures == toolkit.failures == 0.5
    assert challenge.accuracy == 1  # the second run has two frames that count


def test_burn_in_covers_the_initialization_and_failures():
    frames = run("i" + "x" * 11 + "f----i" + "x" * 12)
    counted = np.flatnonzero(accuracy_frames(frames))
    np.testing.assert_array_equal(counted, [10, 11, 27, 28, 29])
    assert frames_with(frames, 1) == [0, 17]


def test_expected_overlap_ignores_order_and_scale_of_weights():
    rng = np.random.default_rng(0)
    fragments = [
        Fragment(rng.random(size), failed=bool(size % 2), weight=size / 10)
        for size in (3, 8, 12, 5, 7)
    ]
    curve = expected_overlap(fragments, 12)
    np.testing.assert_allclose(expected_overlap(fragments[::-1], 12), curve)
    doubled = [Fragment(f.overlaps, f.failed, 2 * f.weight) for f in fragments]
    np.testing.assert_allclose(expected_overlap(doubled, 12), curve)
    reaching = [f for f in fragments if f.failed or len(f.overlaps) > 9]
    means = [f.overlaps[1:10].sum() / 9 for f in reaching]
    weights = [f.weight for f in reaching]
    assert curve[9] == pytest.approx(np.average(means, weights=weights))


@pytest.mark.parametrize(
    ("runs", "message"), [([], "needs runs"), (["ix"], "needs runs"), (["xxx"], "must begin")]
)
def test_runs_that_are_none_are_refused(runs, message):
    with pytest.raises(ValueError, match=message):
        ResetRuns(width=9, height=9, truth=[BOX] * 3, runs=[run(r) for r in runs])


@pytest.mark.parametrize("score", [vot_challenge, vot_toolkit])
def test_nothing_to_score_is_refused(score):
    with pytest.raises(ValueError, match="no sequence"):
        score({})
