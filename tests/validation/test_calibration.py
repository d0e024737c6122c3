import pytest

from cyclesiam.data.scenes import find_scenes
from cyclesiam.errors import WeightsError
from cyclesiam.validation import calibration
from cyclesiam.validation.calibration import check_score, track_scenes
from cyclesiam.validation.score import LabelFreeScores
from support.media import moving_square, write_video
from support.networks import BlobNetwork


def test_a_network_whose_score_falls_is_refused(monkeypatch):
    before, after = (LabelFreeScores(("objects",) * 2, pair) for pair in ((0.6, 0.5), (0.5, 0.4)))
    scores = iter([before, after, before, before])
    monkeypatch.setattr(calibration, "label_free_score", lambda *_, **__: next(scores))
    network = BlobNetwork()
    with pytest.raises(WeightsError, match=r"falls from 0\.550 to 0\.450"):
        check_score(network, network, [])
    measured = check_score(network, network, [])
    assert measured == {"float32": 0.55, "int8": 0.55, "rise": 0, "error": 0}


class RecordingTracker:
    """Takes the place of a tracker, and counts its calls."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def init(self, image, box) -> None:
        self.calls.append("init")

    def update(self, image) -> None:
        self.calls.append("update")


def test_scenes_in_which_something_moves_are_tracked(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "Tracker", RecordingTracker)
    write_video(tmp_path / "moving.mp4", moving_square(16))
    write_video(tmp_path / "short.mp4", moving_square(3, seed=1))
    calls = []
    track_scenes(calls, find_scenes([tmp_path])[0])
    assert calls == ["init"] + ["update"] * 15
