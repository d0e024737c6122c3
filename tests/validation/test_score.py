"""Validation without labels: the examples that are drawn, and how trackers score on them."""

from dataclasses import replace

import numpy as np
import pytest

from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.errors import TargetError, TrainingError
from cyclesiam.tracking.results import TrackResult
from cyclesiam.validation import score as validation
from cyclesiam.validation.examples import Example, ExampleConfig, make_examples
from cyclesiam.validation.score import LabelFreeScores, label_free_score, paired_gain
from support.media import moving_square, textured, write_stills, write_video

FEW = ExampleConfig(objects=2, degraded=2, frames=6)


def video_scenes(tmp_path) -> list[Scene]:
    for seed in range(2):
        write_video(tmp_path / f"{seed}.mp4", moving_square(16, seed))
    return find_scenes([tmp_path])[0]


def test_the_same_seed_draws_the_same_examples(tmp_path):
    scenes = video_scenes(tmp_path)
    first, second = make_examples(scenes, FEW), make_examples(scenes, FEW)
    assert [example.kind for example in first] == ["objects"] * 2 + ["degraded"] * 2
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.frames, other.frames)


def test_more_of_one_kind_leave_the_other_as_it_is(tmp_path):
    scenes = video_scenes(tmp_path)
    few, more = (make_examples(scenes, replace(FEW, objects=count)) for count in (1, 3))
    for one, other in zip(few[1:], more[3:], strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)


def test_what_cannot_be_read_is_left_out_until_nothing_is_left(tmp_path):
    scenes, _ = find_scenes([write_stills(tmp_path / "stills", 3)])
    scenes[0].path.write_bytes(b"no image")
    assert make_examples(scenes, FEW)
    with pytest.raises(TrainingError, match="nothing to score by"):
        make_examples(scenes[:1], FEW)


class Scripted:
    """A tracker that returns the boxes of a list, one for each frame after the first."""

    def __init__(self, network, config, *, device):
        self.boxes = iter(network)

    def init(self, image, box):
        pass

    def update(self, image):
        return TrackResult(id=1, box=tuple(next(self.boxes)), score=1.0, state="tracking")


class Refusing(Scripted):
    def init(self, image, box):
        raise TargetError("too small")


def test_an_example_counts_frames_with_known_boxes(monkeypatch):
    monkeypatch.setattr(validation, "Tracker", Scripted)
    box = [0.0, 0.0, 10.0, 10.0]
    boxes = np.array([box, box, [np.nan] * 4, box])
    outputs = [box, box, [0.0, 0.0, 10.0, 5.0]]
    example = Example("objects", [textured(0)] * 4, boxes)
    assert label_free_score(outputs, [example]).overlaps == (pytest.approx(0.75),)


def test_a_target_that_cannot_be_tracked_scores_nothing(monkeypatch):
    monkeypatch.setattr(validation, "Tracker", Refusing)
    box = np.full((3, 4), 10.0)
    assert label_free_score([], [Example("objects", [textured(0)] * 3, box)]).overlaps == (0.0,)


def test_kinds_count_alike_and_pairs_give_the_error():
    before = LabelFreeScores(("objects", "objects", "objects", "degraded", "degraded"), (0.5,) * 5)
    after = LabelFreeScores(before.kinds, (0.6, 0.6, 0.6, 0.5, 0.7))
    assert after.by_kind == {"objects": pytest.approx(0.6), "degraded": pytest.approx(0.6)}
    gain, error = paired_gain(before, after)
    assert gain == pytest.approx(0.1)
    assert error == pytest.approx(0.1 / 2)  # objects: none; degraded: 0.1; the mean of two kinds


def test_one_example_of_a_kind_proves_nothing():
    before, after = (LabelFreeScores(("objects",), (value,)) for value in (0.1, 0.9))
    assert paired_gain(before, after)[1] == float("inf")
