"""Reports of made-up evaluations: they parse, hold the numbers, and need nothing but themselves."""

import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import cyclesiam.evaluation.report.sequences as report_sequences
from cyclesiam.errors import DatasetError, MissingExtraError, SourceError
from cyclesiam.evaluation.benchmarks import BENCHMARKS
from cyclesiam.evaluation.report import write_report
from cyclesiam.evaluation.report.key_frames import (
    crop_window,
    find_failures,
    make_key_frames,
    select_key_frames,
)
from cyclesiam.evaluation.report.page import render_page
from cyclesiam.evaluation.report.plots import (
    accuracy_and_reliability,
    accuracy_robustness_plot,
    adapt_svg,
    curve_plot,
)
from cyclesiam.evaluation.report.published import PUBLISHED, published
from cyclesiam.evaluation.report.sequences import sort_worst_first, spark_path
from cyclesiam.evaluation.results.evaluation import (
    Curve,
    Evaluation,
    FailedSequence,
    RunInfo,
    Score,
)
from cyclesiam.evaluation.scorers.per_frame import FrameResults
from support.media import write_frames

VOID = "area base br col embed hr img input link meta source track wbr path rect use".split()
NAN = math.nan


class Page(HTMLParser):
    """Checks on the way that every element is closed in order; keeps texts, tags and ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def ope(tracker: str = "kcf", **changes) -> Evaluation:
    scores = (
        Score(name="Bolt", frames=12, numbers={"auc": 0.7, "precision_20": 0.8, "fps": 81.26}),
        Score(name="Walk", frames=12, numbers={"auc": 0.2, "precision_20": 0.3, "fps": 78.0}),
    )
    run = RunInfo(
        benchmark="otb",
        protocol="ope",
        tracker=tracker,
        policy="none",
        machine="4 cores of something",
        command="cyclesiam evaluate otb --root data/otb",
        date="2026-01-31",
        version="9.8.7",
    )
    evaluation = Evaluation(
        run=run,
        mean={"auc": 0.4712, "precision_20": 0.5555, "fps": 80.0},
        sequences=scores,
        curves=(
            Curve(name="success", x=(0.0, 0.5, 1.0), y=(1.0, 0.6, 0.0)),
            Curve(name="precision", x=(0.0, 20.0, 50.0), y=(0.0, 0.5555, 0.9)),
        ),
    )
    return replace(evaluation, **changes)


def reset(tracker: str = "csrt", **numbers: float) -> Evaluation:
    mean = {
        "accuracy": 0.512,
        "failures": 3.0,
        "failures_per_100_frames": 1.5,
        "eao": 0.21,
        "fps": 9.0,
    }
    run = replace(ope().run, benchmark="vot2018", protocol="reset", tracker=tracker)
    return Evaluation(
        run=run,
        mean=mean | numbers,
        sequences=(
            Score(name="ball1", frames=12, numbers={"accuracy": 0.9, "failures": 0.0}),
            Score(name="book", frames=12, numbers={"accuracy": NAN, "failures": 3.0}),
        ),
        attributes=(Score(name="occlusion", frames=7, numbers={"accuracy": 0.333}),),
        curves=(Curve(name="eao", x=tuple(range(1, 40)), y=(1.0, *[0.2] * 38)),),
        eao_interval=(10, 30),
    )


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def results_of(name: str, frames: tuple[Path, ...], **changes) -> FrameResults:
    """A tracker that stands still, while the target moves on by 2 px a frame."""
    steps = np.arange(len(frames))[:, None] * [2.0, 0, 2, 0]
    truth = np.array([10.0, 14, 26, 30]) + steps
    boxes = np.repeat(truth[:1], len(frames), axis=0)
    overlaps = (16 - steps[:, 0]).clip(0) / (16 + steps[:, 0])
    results = FrameResults(name=name, frames=frames, truth=truth, boxes=boxes, overlaps=overlaps)
    return replace(results, **changes)


@pytest.fixture
def frames(tmp_path, made_frames) -> tuple[Path, ...]:
    return tuple(sorted(write_frames(tmp_path / "frames", made_frames).iterdir()))


@pytest.fixture
def with_results(monkeypatch, frames):
    """Let every tracker have the same results, without raw results on disk."""

    def fake(evaluation, dataset, name):
        assert dataset == "dataset"
        return results_of(name, frames)

    monkeypatch.setattr(report_sequences, "load_frame_results", fake)
    return "dataset"


# --- the page ------------------------------------------------------------------------------------


def test_a_report_holds_what_was_found_and_how(tmp_path):
    path = write_report(tmp_path / "new" / "folder", [ope("kcf"), ope("mil")])
    page = read(path)
    assert path.name == "report.html"
    for said in (
        "otb, 2 sequences, 24 frames",
        "one pass",
        "4 cores of something",
        "cyclesiam evaluate otb --root data/otb",
        "cyclesiam 9.8.7",
        "2026-01-31",
        "labels seen in training",
        "none (nothing was trained)",
        "first-frame box",
        "0.471",
        "0.555",  # numbers of the legend and the table
        "0.200",
        "81.3",
    ):
        assert said in page.text, said
    assert page.text.index("Walk") < page.text.index("Bolt")  # the worst first


def test_a_report_fetches_nothing_and_is_whole(tmp_path, with_results):
    path = write_report(tmp_path, [ope("kcf"), ope("mil")], with_results)
    html, page = path.read_text(), read(path)
    assert [p.name for p in tmp_path.glob("*.*")] == ["report.html"]
    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert re.match(r"#|data:image/webp;base64,|$", attributes.get(key) or "")
    assert not re.search(r"@import|url\((?!#)|<script|<link|javascript:", html)
    assert "//" not in re.sub(r"data:image/webp;base64,[\w+/=]+", "", html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:href="|url\()#([^")]+)', html)
    assert set(targets) <= set(ids)
    assert {"#010", "currentColor"} & set(re.findall(r"#010|currentColor", html)) == {
        "currentColor"
    }


def test_the_same_evaluations_give_the_same_bytes(tmp_path, with_results):
    first = write_report(tmp_path / "a", [ope(), ope("mil")], with_results).read_bytes()
    assert write_report(tmp_path / "b", [ope(), ope("mil")], with_results).read_bytes() == first


def test_names_are_escaped(tmp_path, monkeypatch, frames):
    evil = "<b>&\"x'"
    scores = (Score(name=evil, frames=12, numbers={"accuracy": 0.5}),)
    named = reset(evil)
    named = replace(
        named,
        sequences=scores,
        attributes=(Score(name=evil, frames=1, numbers={"accuracy": 0.5}),),
        errors=(FailedSequence(name=evil, message=evil),),
        run=replace(named.run, weights=evil, machine=evil, command=evil, policy=evil, date=evil),
    )
    monkeypatch.setattr(report_sequences, "load_frame_results", lambda *_: results_of(evil, frames))
    path = write_report(tmp_path, [named], "dataset")  # pyright: ignore[reportArgumentType]
    assert "<b>&" not in path.read_text()
    assert read(path).text.count(evil) >= 10


def test_what_is_missing_leaves_the_rest(tmp_path):
    bare = Evaluation(
        run=RunInfo(benchmark="otb", protocol="ope", tracker="other"),
        mean={"auc": NAN},
        sequences=(Score(name="Bolt", frames=3, numbers={"auc": NAN}),),
        curves=(Curve(name="success", x=(0.0, 1.0), y=(NAN, NAN)),),
        errors=(FailedSequence(name="Walk", message="the tracker stopped"),),
    )
    page = read(write_report(tmp_path, [bare]))
    assert "unknown" in page.text
    assert "other has no numbers for Walk: the tracker stopped" in page.text
    nothing = Evaluation(run=bare.run, mean={}, sequences=())
    assert "Curves" not in read(write_report(tmp_path, [nothing])).text


def test_trackers_may_have_scored_different_sequences(tmp_path, with_results):
    half = ope("mil")
    half = replace(half, sequences=half.sequences[:1], mean={"auc": 0.1}, curves=())
    page = read(write_report(tmp_path, [half, ope()], with_results))
    assert page.text.index("Walk") < page.text.index("Bolt")  # without a number is the worst
    assert "1 or 2 of the benchmark's 100 sequences" in page.text


def test_a_report_is_of_one_benchmark(tmp_path):
    with pytest.raises(ValueError, match="one benchmark and one protocol"):
        write_report(tmp_path, [ope(), reset()])
    with pytest.raises(ValueError, match="one benchmark and one protocol"):
        write_report(tmp_path, [])


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"report\.html: cannot be written"):
        write_report(tmp_path / "file", [ope()])


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="extra `evaluate`"):
        write_report(tmp_path, [ope()])
    assert not (tmp_path / "report.html").exists()


# --- published results ---------------------------------------------------------------------------


def test_published_results_stand_beside_ours_and_are_marked(tmp_path):
    page = read(write_report(tmp_path, [reset()]))
    assert page.text.count("published") > len(published("vot2018", "reset"))
    assert re.search(r"CycleSiam published first box; box\s*0.2940.562-0.38959.0", page.text)
    assert "do not compare with published ones" in page.text  # 2 of 60 sequences
    assert "0.398" not in page.text  # of VOT-2016


def test_published_results_belong_to_their_protocol():
    assert published("vot2018", "ope") == ()
    assert published("otb", "ope") == ()
    for benchmark, _ in PUBLISHED:
        assert BENCHMARKS[benchmark].num_sequences


# --- plots ---------------------------------------------------------------------------------------


def test_the_vot_plots_are_there(tmp_path):
    path = write_report(tmp_path, [reset("csrt"), reset("kcf", accuracy=NAN)])
    page = read(path)
    for title in ("Expected average overlap", "Accuracy and robustness", "By attribute: accuracy"):
        assert title in page.text
    assert "EAO 0.210" in page.text
    assert "0.333" in page.text
    assert "CycleSiam+" in page.text


def test_reliability_is_the_chance_to_survive_thirty_frames():
    reliability, accuracy = accuracy_and_reliability(
        {"failures_per_100_frames": 1.5, "accuracy": 0.5}
    )
    assert reliability == pytest.approx(math.exp(-0.45))
    assert accuracy == 0.5
    assert accuracy_and_reliability({"reliability": 0.9, "accuracy": 0.5}) == (0.9, 0.5)
    assert math.isnan(accuracy_and_reliability({})[0])


def test_a_plot_follows_the_page():
    svg = curve_plot("success", [ope("a"), ope("b")])
    assert svg.startswith('<svg class="plot" viewBox="')
    assert "var(--s1)" in svg
    assert "var(--s2)" in svg
    assert "ratio of frames above it" in svg  # text, not outlines
    assert "DejaVu" not in svg
    assert not re.search(r"#0103|<style|<metadata|<\?xml", svg)
    assert Page(svg)


def test_published_points_are_told_from_ours():
    svg = accuracy_robustness_plot([reset()], published("vot2018", "reset"))
    assert ">KCF</text>" in svg
    assert "USOT" not in svg  # of which no accuracy is known
    assert "var(--soft)" in svg


def test_ids_of_two_plots_differ():
    svg = '<?xml?><svg a="1" viewBox="0 0 1 1"><g id="x"/><use xlink:href="#x"/></svg>'
    assert adapt_svg(svg, "p").endswith('><g id="p-x"/><use href="#p-x"/></svg>')


# --- failures ------------------------------------------------------------------------------------


def test_the_deepest_drops_are_found():
    overlaps = np.concatenate((np.full(20, 0.8), np.full(20, 0.4), np.full(20, 0.9), np.zeros(20)))
    assert find_failures(overlaps) == [20, 60]
    assert find_failures(overlaps, count=1) == [60]


def test_a_steady_tracker_has_no_failure():
    assert find_failures(np.linspace(0.9, 0.1, 300)) == []
    assert find_failures(np.full(5, NAN)) == []
    assert find_failures(np.array([])) == []


def test_frames_that_do_not_count_are_passed_over():
    overlaps = np.concatenate((np.full(20, 0.8), np.full(7, NAN), np.zeros(20)))
    assert find_failures(overlaps) == [27]


def test_a_target_lost_at_once_fails_in_the_first_scored_frame():
    assert find_failures(np.array([NAN, *[0.1] * 20])) == [1]


def test_failures_of_a_run_with_resets_are_those_on_record(frames):
    results = results_of("book", frames, failures=(5, 9, 11))
    assert find_failures(results.overlaps, results.failures) == [5, 9]
    assert select_key_frames(results) == [
        (0, "fails in 5"),
        (3, "fails in 9"),
        (4, "fails in 5"),
        (8, "fails in 9"),
    ]


def test_a_slow_drift_is_shown_where_it_passes_half(frames):
    drift = results_of("a", frames * 10, overlaps=np.linspace(0.9, 0.0, 120))
    assert [note for _, note in select_key_frames(drift)] == [
        "first below 0.5",
        "first below 0.2",
        "lowest overlap",
    ]
    good = results_of("a", frames, overlaps=np.linspace(0.9, 0.8, 12))
    assert select_key_frames(good) == [(11, "lowest overlap")]
    assert select_key_frames(results_of("a", frames, overlaps=np.full(12, NAN))) == []


@pytest.mark.parametrize("box", [(10, 10, 30, 20), (-50, -50, 5, 5), (600, 440, 700, 500)])
def test_a_window_shows_the_box_and_lies_in_the_frame(box):
    x, y, w, h = crop_window(np.array([box], float), 640, 480)
    assert w / h == pytest.approx(4 / 3)
    assert min(x, y) >= 0
    assert x + w <= 640
    assert y + h <= 480
    left, top, right, bottom = np.clip(box, 0, (640, 480, 640, 480))
    assert (x, y) <= (left, top)
    assert (x + w, y + h) >= (right, bottom)


def test_a_window_without_a_box_is_the_frame():
    assert crop_window(np.full((2, 4), NAN), 64, 48) == (0, 0, 64, 48)


def test_key_frames_show_all_trackers(frames):
    lost = results_of("a", frames, boxes=np.full((12, 4), NAN), overlaps=np.full(12, NAN))
    key_frames = make_key_frames([results_of("a", frames), lost])
    assert key_frames
    for key_frame in key_frames:
        assert key_frame.image[:4] == b"RIFF"
        assert key_frame.overlaps[0] == results_of("a", frames).overlaps[key_frame.frame]
        assert math.isnan(key_frame.overlaps[1])


# --- sequences -----------------------------------------------------------------------------------


def test_sequences_are_sorted_by_failures_then_accuracy():
    scores = [("a", 1.0, 0.5), ("b", 2.0, 0.9), ("c", 1.0, 0.4), ("d", 0.0, NAN), ("e", NAN, 0.5)]
    evaluation = replace(
        reset(),
        sequences=tuple(
            Score(name=name, frames=1, numbers={"failures": failures, "accuracy": accuracy})
            for name, failures, accuracy in scores
        ),
    )
    assert [view.name for view in sort_worst_first([evaluation])] == ["e", "b", "c", "a", "d"]


def test_a_line_breaks_where_there_is_no_overlap_and_keeps_every_drop():
    assert spark_path(np.array([1.0, 0.0, NAN, 0.5]), 10.0) == "M0.0 2.0L10.0 28.0M30.0 15.0"
    long = np.ones(2000)
    long[777] = 0
    path = spark_path(long, 400 / 1999)
    assert path.count("L") < 401
    assert path.count(" 28.0") == 1


def test_pictures_have_texts_and_lines_have_numbers(tmp_path, with_results):
    page = read(write_report(tmp_path, [ope("kcf"), ope("mil")], with_results))
    pictures = page.all("img")
    assert pictures
    for picture in pictures:
        assert re.match(r"Frame \d+, .*Overlaps: kcf \d\.\d\d, mil", picture["alt"] or "")
    lines = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(lines) == 4
    assert all(re.match(r"(kcf|mil): overlap over 12 frames", x["aria-label"] or "") for x in lines)
    hidden = [svg for svg in page.all("svg") if svg.get("role") != "img"]
    assert all(svg.get("aria-hidden") == "true" for svg in hidden)
    assert all(header.get("scope") for header in page.all("th"))


def test_results_that_are_gone_are_said_to_be(tmp_path, monkeypatch):
    def fail(evaluation, dataset, name):
        raise DatasetError(f"{name}.txt is <gone>")

    monkeypatch.setattr(report_sequences, "load_frame_results", fail)
    page = read(write_report(tmp_path, [ope()], "dataset"))  # pyright: ignore[reportArgumentType]
    assert "Not shown: Bolt.txt is <gone>" in page.text
    assert page.all("img") == []


def test_a_frame_that_is_gone_leaves_the_lines(tmp_path, with_results, frames):
    for frame in frames:
        frame.unlink()
    page = read(write_report(tmp_path, [ope()], with_results))
    assert "cannot be read" in page.text
    assert [svg for svg in page.all("svg") if svg.get("role") == "img"]


def test_only_the_worst_sequences_have_pictures(tmp_path, with_results, monkeypatch):
    monkeypatch.setattr(report_sequences, "MAX_ILLUSTRATED", 1)
    path = write_report(tmp_path, [ope()], with_results)
    walk, bolt = path.read_text().split("<article")[1:]
    assert "Walk" in walk
    assert "<img" in walk
    assert "<img" not in bolt


def test_a_page_is_rendered_without_a_list():
    assert "Results" in Page(render_page([ope()], "")).text
