from functools import partial

from cyclesiam.cli import options
from cyclesiam.validation import calibration
from cyclesiam.validation.progress import show_nothing
from cyclesiam.validation.score import LabelFreeScores


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    assert [*options.show_progress("abc", "reading", 3)] == [*"abc"]
    assert capsys.readouterr().err == ""  # too short to be told
    monkeypatch.setattr(options, "LINE_INTERVAL", -1)
    assert [*options.show_progress("ab", "reading", 3, name="one")] == [*"ab"]
    assert [*options.show_progress("c", "reading", None)] == ["c"]
    said = capsys.readouterr().err.splitlines()
    assert said == ["one: reading: 1 of 3", "one: reading: 2 of 3", "reading: 1"]


def test_nothing_is_shown_to_nobody(capsys):
    assert [*show_nothing("abc", "reading", 3)] == [*"abc"]
    assert capsys.readouterr() == ("", "")


def test_both_parts_of_an_export_in_8_bits_show_progress(monkeypatch):
    seen = []

    def show(items, what, count):
        seen.append((what, count))
        return iter(items)

    def score(network, examples, *, show):
        assert [*show(examples, "scoring", len(examples))] == examples
        return LabelFreeScores(("objects",), (0.5,))

    monkeypatch.setattr(calibration, "label_free_score", score)
    monkeypatch.setattr(calibration, "Tracker", lambda network: None)
    calibrate = partial(calibration.track_scenes, scenes=[], show=show)
    calibrate(None)
    calibration.check_score(None, None, ["example"], show=show)
    assert seen == [("calibrating", 0), ("scoring", 1), ("scoring", 1)]
