import json
import math

import pytest

from cyclesiam.errors import SourceError
from cyclesiam.evaluation.results.evaluation import (
    METRICS,
    Curve,
    Evaluation,
    FailedSequence,
    RunInfo,
    Score,
    read_evaluations,
    write_evaluations,
)

RUN = RunInfo(benchmark="vot2018", protocol="reset", tracker="ours", weights="default")
FULL = Evaluation(
    run=RUN,
    mean={"accuracy": 0.5, "eao": math.nan},
    sequences=(Score(name="book", frames=175, numbers={"accuracy": math.nan, "failures": 2.0}),),
    objects=(Score(name="book_1", frames=3, numbers={"j_mean": 0.25}),),
    attributes=(Score(name="occlusion", frames=9, numbers={"accuracy": 0.125}),),
    curves=(Curve(name="eao", x=(1.0, 2.0), y=(1.0, math.nan)),),
    eao_interval=(100, 356),
    errors=(FailedSequence(name="car1", message="no file"),),
)


def plain(evaluation):
    """Comparable: NaN is None."""
    return evaluation.to_json()


def test_json_layout_of_one_pass():
    numbers = {"auc": 0.5, "precision_20": 0.25, "fps": 10.0}
    evaluation = Evaluation(
        run=RunInfo(benchmark="otb", protocol="ope", tracker="ours", policy="none"),
        mean=numbers,
        sequences=(Score(name="Bolt", frames=350, numbers=numbers),),
    )
    content = json.loads(json.dumps(evaluation.to_json()))
    assert list(content)[:5] == ["benchmark", "protocol", "tracker", "weights", "policy"]
    assert content["mean"] == numbers
    assert content["sequences"] == [{"name": "Bolt", "frames": 350, **numbers}]


def test_nan_is_null():
    content = FULL.to_json()
    assert content["mean"]["eao"] is None
    assert content["curves"][0]["y"] == [1.0, None]


def test_an_evaluation_comes_back(tmp_path):
    path = tmp_path / "scores.json"
    write_evaluations(path, [FULL])
    assert json.loads(path.read_text())["tracker"] == "ours"
    (read,) = read_evaluations(path)
    assert plain(read) == plain(FULL)
    assert math.isnan(read.mean["eao"])
    assert read.curve("eao") == read.curves[0]
    assert read.curve("success") is None


def test_several_evaluations_come_back(tmp_path):
    path = tmp_path / "scores.json"
    write_evaluations(path, [FULL, FULL])
    assert list(json.loads(path.read_text())) == ["evaluations"]
    assert [plain(read) for read in read_evaluations(path)] == [plain(FULL)] * 2


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"evaluations": [1]}'])
def test_what_is_no_evaluation_is_named(tmp_path, content):
    path = tmp_path / "scores.json"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"scores\.json: is not what --json writes"):
        read_evaluations(path)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_evaluations(tmp_path / "none.json")
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot be written"):
        write_evaluations(tmp_path / "file" / "a.json", [FULL])


def test_every_number_has_a_title():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
