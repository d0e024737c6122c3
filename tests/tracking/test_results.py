import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyclesiam.errors import SourceError
from cyclesiam.tracking.results import (
    FrameResult,
    ResultWriter,
    TrackResult,
    read_results,
    to_array,
    to_csv,
)

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


# --- tables, arrays ------------------------------------------------------------------------------

NAMED = FrameResult(
    frame=1,
    time=0.08,
    targets=(
        TrackResult(id=2, box=(0.0, 1.0, 4.0, 5.5), score=0.5, state="lost", name='a, "b" c'),
    ),
)
TABLE = """frame,time,id,name,left,top,width,height,score,state
0,0.04,1,,1.0,2.0,10.5,20.25,0.97,tracking
0,0.04,2,,-3.0,0.0,7.0,5.0,0.1,lost
1,0.08,2,"a, ""b"" c",0.0,1.0,4.0,4.5,0.5,lost
"""


def test_a_known_table(tmp_path):
    to_csv([RESULT, NAMED], tmp_path / "one.csv")
    with ResultWriter(tmp_path / "two.csv") as writer:
        writer.write(RESULT)
        writer.write(NAMED)
    for name in ("one.csv", "two.csv"):
        assert (tmp_path / name).read_text() == TABLE
        assert [*read_results(tmp_path / name)] == [RESULT, NAMED]
    to_csv([], tmp_path / "empty.csv")
    assert [*read_results(tmp_path / "empty.csv")] == []


@pytest.mark.parametrize("row", ["1,2", "1,0.1,1,,1,2,3,nan,0.5,lost", "1,0.1,1,,1,2,3,4,0.5,off"])
def test_a_damaged_row_is_named(tmp_path, row):
    (tmp_path / "a.csv").write_text(TABLE.splitlines(keepends=True)[0] + row + "\n")
    with pytest.raises(SourceError, match=r"a\.csv, line 2: "):
        list(read_results(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SourceError, match=r"a\.csv, line 1: .* columns must be frame,time"):
        list(read_results(tmp_path / "a.csv"))


def test_json_is_one_array(tmp_path):
    with ResultWriter(tmp_path / "a.json") as writer:
        writer.write(RESULT)
        writer.write(NAMED)
        assert [*read_results(tmp_path / "a.json")] == [RESULT, NAMED]  # before its end, too
    assert json.loads((tmp_path / "a.json").read_text())[0] == GOOD
    assert [*read_results(tmp_path / "a.json")] == [RESULT, NAMED]


def test_boxes_as_arrays():
    assert RESULT.boxes.tolist() == [[1, 2, 11.5, 22.25], [-3, 0, 4, 5]]
    assert FrameResult(frame=0, time=0.0, targets=()).boxes.shape == (0, 4)
    np.testing.assert_array_equal(
        to_array([RESULT, NAMED]), [[1, 2, 11.5, 22.25], [np.nan] * 4], strict=True
    )
    assert to_array([RESULT, NAMED], id=2)[1].tolist() == [0, 1, 4, 5.5]
    assert to_array([]).shape == (0, 4)


def test_a_file_that_holds_something_may_be_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("precious")
    with pytest.raises(SourceError, match="exists already"):
        ResultWriter(path, overwrite=False)
    assert path.read_text() == "precious"
    late = ResultWriter(tmp_path / "b.jsonl", overwrite=False)
    with ResultWriter(tmp_path / "b.jsonl", overwrite=False) as writer:
        writer.write(RESULT)
        with pytest.raises(SourceError, match="exists already"):  # since the check
            late.write(RESULT)
    assert [*read_results(tmp_path / "b.jsonl")] == [RESULT]


def test_two_writers_of_one_file(tmp_path):
    first, second = (ResultWriter(tmp_path / "a.jsonl") for _ in range(2))
    first.write(RESULT)
    with pytest.raises(SourceError, match="another process is writing it"):
        second.write(RESULT)
    first.write(RESULT)
    first.close()
    assert [*read_results(tmp_path / "a.jsonl")] == [RESULT, RESULT]
