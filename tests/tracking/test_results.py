import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.errors import SourceError
from cyclesiam.tracking.results import FrameResult, ResultWriter, TrackResult, read_results

RESULT = FrameResult(
    frame=0,
    time=0.04,
    targets=(
        TrackResult(id=1, box=(1.0, 2.0, 11.5, 22.25), score=0.97, state="tracking"),
        TrackResult(id=2, box=(-3.0, 0.0, 4.0, 5.0), score=0.1, state="lost"),
    ),
)
LINE = (
    '{"frame": 0, "time": 0.04, "targets": '
    '[{"id": 1, "box": [1.0, 2.0, 10.5, 20.25], "score": 0.97, "state": "tracking"}, '
    '{"id": 2, "box": [-3.0, 0.0, 7.0, 5.0], "score": 0.1, "state": "lost"}]}'
)


def test_a_known_line():
    assert RESULT.to_json() == LINE
    assert FrameResult.from_json(LINE) == RESULT


hundredths = st.integers(-500_000, 500_000).map(lambda n: n / 100)
sizes = st.integers(1, 500_000).map(lambda n: n / 100)


@given(
    frame=st.integers(0, 10**6), x=hundredths, y=hundredths, w=sizes, h=sizes, score=st.floats(0, 1)
)
def test_reading_inverts_writing(frame, x, y, w, h, score):
    target = TrackResult(id=1, box=(x, y, x + w, y + h), score=score, state="tracking")
    written = FrameResult(frame=frame, time=frame / 25, targets=(target,))
    read = FrameResult.from_json(written.to_json())
    assert read.frame == frame
    assert read.time == pytest.approx(written.time, abs=1e-6)
    assert read.targets[0].box == pytest.approx(target.box, abs=0.011)
    assert read.targets[0].score == pytest.approx(score, abs=1e-4)


def test_every_frame_is_on_disk_before_the_next(tmp_path):
    path = tmp_path / "out.jsonl"
    with ResultWriter(path) as writer:
        assert not path.exists()  # nothing is overwritten before there is a result
        writer.write(RESULT)
        assert path.read_text() == LINE + "\n"
        writer.write(RESULT)
        assert list(read_results(path)) == [RESULT, RESULT]


def test_unwritable_paths(tmp_path):
    with pytest.raises(SourceError, match="it is a folder"):
        ResultWriter(tmp_path)
    with pytest.raises(SourceError, match="its folder is missing"):
        ResultWriter(tmp_path / "no" / "out.jsonl")
    with ResultWriter("/dev/full") as writer, pytest.raises(SourceError, match="frame 0") as error:
        writer.write(RESULT)
    assert "\n" not in str(error.value)


GOOD = json.loads(LINE)
TARGET = GOOD["targets"][0]


@pytest.mark.parametrize(
    "line",
    [
        LINE[:50],
        "",
        "[]",
        "7",
        json.dumps(GOOD | {"frame": -1}),
        json.dumps(GOOD | {"frame": True}),
        json.dumps(GOOD | {"time": None}),
        json.dumps(GOOD | {"targets": None}),
        json.dumps(GOOD | {"targets": [3]}),
        json.dumps(GOOD | {"targets": [TARGET | {"box": [1, 2, 3]}]}),
        json.dumps(GOOD | {"targets": [TARGET | {"box": [1, 2, 3, float("nan")]}]}),
        json.dumps(GOOD | {"targets": [TARGET | {"id": "a"}]}),
        json.dumps(GOOD | {"targets": [TARGET | {"state": "asleep"}]}),
        json.dumps(GOOD | {"targets": [TARGET | {"score": "high"}]}),
    ],
)
def test_a_damaged_line_is_named_after_the_good_ones(tmp_path, line):
    path = tmp_path / "out.jsonl"
    path.write_text(LINE + "\n" + line + "\n")
    results = read_results(path)
    assert next(results) == RESULT
    with pytest.raises(SourceError, match=r"out\.jsonl, line 2: ") as error:
        next(results)
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        list(read_results(tmp_path / "none.jsonl"))
    (tmp_path / "video.jsonl").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SourceError, match="not text"):
        list(read_results(tmp_path / "video.jsonl"))
