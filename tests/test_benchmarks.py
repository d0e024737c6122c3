import json

import cv2
import numpy as np
import pytest

from cyclesiam.data.sequences import Sequence
from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import (
    Evaluation,
    Score,
    SequenceScore,
    evaluate,
    open_benchmark,
    score_sequence,
)
from cyclesiam.evaluation.opencv_trackers import OPENCV_TRACKERS
from cyclesiam.evaluation.protocols import one_pass

SUITE = ("otb", "uav123", "vot2018", "davis2016")  # folders of the development suite


class Still:
    """Answers its first box for ever."""

    def init(self, image, box_xywh):
        self.box = box_xywh

    def update(self, image):
        return self.box


@pytest.fixture
def otb(tmp_path):
    """The target of `Rest` never moves; that of `Jump` leaves after two of its four frames."""
    for name, rows in {
        "Jump": ["5,5,10,10"] * 2 + ["95,5,10,10"] * 2,
        "Rest": ["5,5,10,10"] * 2,
    }.items():
        (tmp_path / name / "img").mkdir(parents=True)
        (tmp_path / name / "groundtruth_rect.txt").write_text("\n".join(rows))
        for number in range(1, len(rows) + 1):
            image = np.zeros((40, 120, 3), np.uint8)
            cv2.imwrite(str(tmp_path / name / "img" / f"{number:04}.jpg"), image)
    return tmp_path


def test_evaluate_a_tracker_that_stands_still(otb):
    told = []
    evaluation = evaluate(
        "otb", otb, Still, tracker="still", on_sequence=lambda *news: told.append(news)
    )
    jump, rest = evaluation.sequences
    assert (jump.name, jump.frames) == ("Jump", 4)
    assert jump.score.auc == pytest.approx(0.5 * 20 / 21)
    assert jump.score.precision_20 == 0.5
    assert rest.score.auc == pytest.approx(20 / 21)
    assert evaluation.mean.auc == pytest.approx(0.75 * 20 / 21)  # by sequence, not by frame
    assert evaluation.mean.precision_20 == 0.75
    assert [(done, total, score.name) for done, total, score in told] == [
        (1, 2, "Jump"),
        (2, 2, "Rest"),
    ]


def test_json_layout():
    score = Score(auc=0.5, precision_20=0.25, fps=10.0)
    evaluation = Evaluation(
        benchmark="otb",
        tracker="ours",
        weights="default",
        policy="unlabelled",
        sequences=(SequenceScore(name="Bolt", frames=350, score=score),),
    )
    numbers = {"auc": 0.5, "precision_20": 0.25, "fps": 10.0}
    assert json.loads(json.dumps(evaluation.to_json())) == {
        "benchmark": "otb",
        "protocol": "ope",
        "tracker": "ours",
        "weights": "default",
        "policy": "unlabelled",
        "mean": numbers,
        "sequences": [{"name": "Bolt", "frames": 350, **numbers}],
    }
    assert evaluation.rows() == [
        ("Bolt", "350", "0.500", "0.250", "10.0"),
        ("mean", "350", "0.500", "0.250", "10.0"),
    ]


def test_chosen_sequences_only(otb):
    evaluation = evaluate("otb", otb, Still, tracker="still", names=["Rest"])
    assert [sequence.name for sequence in evaluation.sequences] == ["Rest"]
    with pytest.raises(DatasetError, match=r"no sequence Bolt\. Choose from Jump, Rest"):
        evaluate("otb", otb, Still, tracker="still", names=["Bolt", "Rest"])


def test_every_sequence_gets_its_own_tracker(otb):
    made = []

    def make():
        made.append(Still())
        return made[-1]

    evaluate("otb", otb, make, tracker="still")
    assert len(made) == 2


def test_failing_tracker_names_the_sequence(otb):
    class Broken(Still):
        def update(self, image):
            raise RuntimeError("no\nmemory")

    with pytest.raises(
        CycleSiamError, match=r"broken on otb, sequence Jump: .*RuntimeError: no memory"
    ) as caught:
        evaluate("otb", otb, Broken, tracker="broken")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_unreadable_frame_names_the_sequence(otb):
    (otb / "Rest/img/0002.jpg").write_bytes(b"no picture")
    with pytest.raises(CycleSiamError, match=r"sequence Rest: .*0002\.jpg"):
        evaluate("otb", otb, Still, tracker="still")


def test_unknown_benchmark_names_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"there are otb, .*vot2018, .*davis2016"):
        open_benchmark("lasot2", tmp_path)


@pytest.mark.shared
def test_kcf_on_the_start_of_a_real_sequence(shared):
    whole = open_benchmark("otb", shared / "data/eval/otb").read("Jogging.2")
    start = Sequence(name="start", frames=whole.frames[:30], boxes=whole.boxes[:30])
    score = score_sequence(start, one_pass(OPENCV_TRACKERS["kcf"](), start)).score
    assert score.auc > 0.6
    assert score.precision_20 > 0.9


@pytest.mark.shared
def test_development_suite_has_23_targets(shared):
    suite = [open_benchmark(name, shared / "data/eval" / name) for name in SUITE]
    assert sum(len(reader.names) for reader in suite) == 23
