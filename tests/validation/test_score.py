"""Validation without labels: the examples that are drawn, and how trackers score on them."""

import numpy as np
import pytest

from cyclesiam.data.scenes import Scene, find_scenes
from cyclesiam.errors import TrainingError
from cyclesiam.tracking.results import TrackResult
from cyclesiam.validation import score as validation
from cyclesiam.validation.examples import Example, ExampleConfig, make_examples
from cyclesiam.validation.score import LabelFreeScores, label_free_score, paired_gain
from support.media import moving_square, textured, write_stills, write_video

FEW = ExampleConfig(zooms=2, pasted=2, cycles=2, frames=6, cycle_frames=10)


def video_scenes(tmp_path) -> list[Scene]:
    for seed in range(2):
        write_video(tmp_path / f"{seed}.mp4", moving_square(16, seed))
    return find_scenes([tmp_path])[0]


def test_the_same_seed_draws_the_same_examples(tmp_path):
    scenes = video_scenes(tmp_path)
    first, second = make_examples(scenes, FEW), make_examples(scenes, FEW)
    assert [example.kind for example in first] == ["zooms"] * 2 + ["pasted"] * 2 + ["cycles"] * 2
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.frames, other.frames)


def test_stills_allow_no_cycles(tmp_path):
    scenes, _ = find_scenes([write_stills(tmp_path / "stills", 3)])
    assert {example.kind for example in make_examples(scenes, FEW)} == {"zooms", "pasted"}


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


def cycle(turn: int) -> tuple[Example, list]:
    """Return a cycle whose target moves by its own width in each frame, and its boxes."""
    boxes = [[10.0 * time, 0.0, 10.0 * time + 10, 10.0] for time in range(turn + 1)]
    unknown = np.full((turn + 1, 4), np.nan)
    unknown[0] = boxes[0]
    moving = {time: np.array([boxes[time]]) for time in range(1, turn)}
    return Example("cycles", [textured(0)] * (turn + 1), unknown, moving), boxes


def test_a_cycle_rewards_tracking_and_not_standing_still(monkeypatch):
    monkeypatch.setattr(validation, "Tracker", Scripted)
    example, boxes = cycle(4)
    tracked = boxes[1:] + boxes[-2::-1]
    assert label_free_score(tracked, [example]).overlaps == (1.0,)
    assert label_free_score([boxes[0]] * 8, [example]).overlaps == (0.0,)
    # lost at the turn: of frames 0 to 3 no box on the way back lies where it lay on the way forward
    lost = boxes[1:] + [boxes[-1]] * 4
    assert label_free_score(lost, [example]).overlaps == (0.0,)


def test_a_synthetic_example_counts_frames_with_known_boxes(monkeypatch):
    monkeypatch.setattr(validation, "Tracker", Scripted)
    box = [0.0, 0.0, 10.0, 10.0]
    boxes = np.array([box, box, [np.nan] * 4, box])
    outputs = [box, box, [0.0, 0.0, 10.0, 5.0]]
    example = Example("zooms", [textured(0)] * 4, boxes, {})
    assert label_free_score(outputs, [example]).overlaps == (pytest.approx(0.75),)


def test_kinds_count_alike_and_pairs_give_the_error():
    before = LabelFreeScores(("zooms", "zooms", "zooms", "pasted", "pasted"), (0.5,) * 5)
    after = LabelFreeScores(before.kinds, (0.6, 0.6, 0.6, 0.5, 0.7))
    assert after.by_kind == {"zooms": pytest.approx(0.6), "pasted": pytest.approx(0.6)}
    gain, error = paired_gain(before, after)
    assert gain == pytest.approx(0.1)
    assert error == pytest.approx(0.1 / 2)  # zooms: none; pasted: 0.1; the mean of two kinds


def test_one_example_of_a_kind_proves_nothing():
    before, after = (LabelFreeScores(("zooms",), (value,)) for value in (0.1, 0.9))
    assert paired_gain(before, after)[1] == float("inf")
