import numpy as np
import pytest

from cyclesiam.evaluation.metrics.got10k import average_overlap_scores, clip_to_image, scored_ious

TRUTH = np.tile([10.0, 10.0, 20.0, 10.0], (4, 1))
SIZE = (100, 80)
COVER = np.array([8, 8, 0, 8])


def test_first_and_hidden_frames_do_not_count():
    boxes = TRUTH + np.array([[90, 0, 0, 0], [10, 0, 0, 0], [90, 0, 0, 0], [0, 0, 0, 0]])
    overlaps = scored_ious([boxes], TRUTH, cover=COVER, resolution=SIZE)
    np.testing.assert_allclose(overlaps, [1 / 3, 1])


def test_runs_follow_one_another():
    overlaps = scored_ious([TRUTH, TRUTH + 90], TRUTH, cover=COVER, resolution=SIZE)
    np.testing.assert_allclose(overlaps, [1, 1, 0, 0])


def test_scores_by_hand():
    scores = average_overlap_scores(np.array([1.0, 0.5, 0.8, 0.1]))
    assert scores.ao == pytest.approx(0.6)
    assert scores.sr_50 == 0.5  # strictly above
    assert scores.sr_75 == 0.5
    assert scores.curve[0] == 1
    assert scores.curve[-1] == 0


def test_nan_spoils_the_mean_and_misses_the_rates():
    scores = average_overlap_scores(np.array([1.0, np.nan]))
    assert np.isnan(scores.ao)
    assert scores.sr_50 == 0.5


def test_no_frames_have_no_score():
    scores = average_overlap_scores(np.zeros(0))
    assert np.isnan(scores.ao)
    assert np.isnan(scores.sr_50)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([5, 5, 10, 10], [5, 5, 10, 10]),
        ([-5, 5, 10, 10], [0, 5, 10, 10]),  # moved, not narrowed
        ([95, 75, 10, 10], [95, 75, 5, 5]),
        ([120, 5, 10, 10], [100, 5, 0, 10]),
        ([5, 5, -3, 10], [5, 5, 0, 10]),
    ],
)
def test_clip_to_image(box, clipped):
    np.testing.assert_array_equal(clip_to_image(np.array(box, float), SIZE), clipped)


def test_incomplete_runs_are_refused():
    for runs in ([], [TRUTH[:3]]):
        with pytest.raises(ValueError, match="each run needs"):
            scored_ious(runs, TRUTH, cover=COVER, resolution=SIZE)
