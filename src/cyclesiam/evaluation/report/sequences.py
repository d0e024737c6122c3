"""The sequences of a report, worst first: numbers, overlap over time, and key frames.

T: frames of a sequence.
"""

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np

from cyclesiam.errors import CycleSiamError, DatasetError
from cyclesiam.evaluation.benchmarks import Dataset
from cyclesiam.evaluation.protocols.registry import make_protocol
from cyclesiam.evaluation.report.key_frames import KeyFrame, make_key_frames
from cyclesiam.evaluation.report.plots import dashes, series_class
from cyclesiam.evaluation.results.evaluation import METRICS, Evaluation, Score, format_number
from cyclesiam.evaluation.scorers.per_frame import FrameResults

MAX_ILLUSTRATED = 40  # sequences with images; an image takes about 10 kB in the page
SPARK_WIDTH, SPARK_HEIGHT = 400, 34
SPARK_ZERO, SPARK_ONE = 28, 2  # heights, from the top, of overlaps 0 and 1
RANKED_BY = ("failures", "auc", "ao", "accuracy", "j_and_f", "j_mean")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SequenceView:
    """What the page shows of one sequence.

    Args:
        name: of the sequence.
        scores: each tracker's, None where it has none.
        results: each tracker's, None where they cannot be read.
        key_frames: frames at which the first tracker fails.
        problem: why results or frames are not shown.
    """

    name: str
    scores: tuple[Score | None, ...]
    results: tuple[FrameResults | None, ...] = ()
    key_frames: tuple[KeyFrame, ...] = ()
    problem: str = ""


def rank_metrics(evaluation: Evaluation) -> list[str]:
    """Return the numbers by which sequences are sorted: the first, and for ties the next."""
    present = {name for score in evaluation.sequences for name in score.numbers}
    return [name for name in RANKED_BY if name in present]


def sort_worst_first(evaluations: Sequence[Evaluation]) -> list[SequenceView]:
    """Return every sequence that a tracker has a score for, sorted by the first tracker's."""
    tables = [{score.name: score for score in e.sequences} for e in evaluations]
    names = dict.fromkeys(name for table in tables for name in table)
    metrics = rank_metrics(evaluations[0])

    def goodness(view: SequenceView) -> list[float]:
        score = view.scores[0]
        if score is None:
            return [-math.inf]  # a sequence without a score is the worst
        numbers = [score.numbers.get(metric, math.nan) for metric in metrics]
        signs = [1 if METRICS[metric].higher_is_better else -1 for metric in metrics]
        pairs = zip(numbers, signs, strict=True)
        return [-math.inf if math.isnan(number) else sign * number for number, sign in pairs]

    views = [SequenceView(name=n, scores=tuple(t.get(n) for t in tables)) for n in names]
    return sorted(views, key=goodness)


def add_frame_results(
    views: Sequence[SequenceView],
    evaluations: Sequence[Evaluation],
    dataset: Dataset,
) -> Iterator[SequenceView]:
    """Read the raw results, and of the first sequences the key frames, too."""
    for place, view in enumerate(views):
        results: list[FrameResults | None] = []
        problems: list[str] = []
        for evaluation, score in zip(evaluations, view.scores, strict=True):
            try:
                found = load_frame_results(evaluation, dataset, view.name) if score else None
            except CycleSiamError as error:
                found, problems = None, [*problems, str(error)]
            results.append(found)
        view = replace(view, results=tuple(results))
        try:
            if place < MAX_ILLUSTRATED:
                view = replace(view, key_frames=tuple(_key_frames(results)))
        except CycleSiamError as error:
            problems.append(str(error))
        yield replace(view, problem="; ".join(dict.fromkeys(problems)))


def load_frame_results(evaluation: Evaluation, dataset: Dataset, name: str) -> FrameResults:
    """Read the raw results of one sequence, frame by frame, from `evaluation.run.results`.

    Args:
        evaluation: one tracker's.
        dataset: its benchmark.
        name: of a sequence.

    Returns:
        Those of the first run, where there are repetitions or later starts.

    Raises:
        DatasetError: annotation or results are missing or wrong.
    """
    run = evaluation.run
    if run.results is None:
        raise DatasetError(
            f"{run.tracker} on {run.benchmark}: where its raw results are is not on record. Score "
            "them again."
        )
    protocol = make_protocol(run.benchmark, run.protocol)
    sequence = dataset.read(name, require="some")
    return protocol.frame_results(protocol.results(Path(run.results)), sequence, run.flavour)


def _key_frames(results: Sequence[FrameResults | None]) -> list[KeyFrame]:
    """Return key frames of the first tracker with results; trackers without have NaN boxes."""
    first = next((result for result in results if result is not None), None)
    if first is None:
        return []
    nothing = np.full((len(first.frames), 4), np.nan)
    absent = replace(first, boxes=nothing, overlaps=nothing[:, 0], failures=())
    shown = make_key_frames([first, *(result or absent for result in results)])
    return [replace(k, boxes=k.boxes[1:], overlaps=k.overlaps[1:]) for k in shown]


def sequences_section(views: Sequence[SequenceView], evaluations: Sequence[Evaluation]) -> str:
    """Return the list of sequences as HTML."""
    by = " and ".join(METRICS[metric].title for metric in rank_metrics(evaluations[0])[:2])
    trackers = [evaluation.run.tracker for evaluation in evaluations]
    articles = "\n".join(_article(view, trackers) for view in views)
    return f"""<section id="sequences">
<h2>Sequences, worst first</h2>
<p class="lead">Sorted by {escape(by or "name")} of {escape(trackers[0])}. Lines: overlap with the
ground truth in each frame, from 0 to 1. A tick below is a failure, a gray bar a frame shown as an
image. Images: parts of frames around the failures of {escape(trackers[0])}.
<span class="key truth">The ground truth</span> is dotted; trackers have their colors and
overlaps.</p>
{articles}
</section>"""


def _article(view: SequenceView, trackers: Sequence[str]) -> str:
    lines = "".join(
        _strip(result, tracker, index, view.key_frames)
        for index, (tracker, result) in enumerate(zip(trackers, view.results, strict=False))
        if result is not None
    )
    images = "".join(_figure(key_frame, trackers) for key_frame in view.key_frames)
    problem = f'<p class="problem">Not shown: {escape(view.problem)}</p>' if view.problem else ""
    frames = next((score.frames for score in view.scores if score), 0)
    return f"""<article class="sequence">
<h3>{escape(view.name)} <small>{frames} frames</small></h3>
{_numbers_table(view, trackers)}
<div class="strips">{lines}</div>
<div class="images">{images}</div>{problem}
</article>"""


def _numbers_table(view: SequenceView, trackers: Sequence[str]) -> str:
    metrics = list(dict.fromkeys(n for score in view.scores if score for n in score.numbers))
    head = "".join(f'<th scope="col">{escape(METRICS[m].title)}</th>' for m in metrics)
    rows = []
    for index, (tracker, score) in enumerate(zip(trackers, view.scores, strict=True)):
        numbers = score.numbers if score else {}
        cells = "".join(f"<td>{format_number(m, numbers.get(m, math.nan))}</td>" for m in metrics)
        name = f'<span class="key {series_class(index)}">{escape(tracker)}</span>'
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="group" '
        f'aria-label="Numbers of {escape(view.name)}">'
        f'<table><thead><tr><th scope="col">tracker</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _strip(result: FrameResults, tracker: str, index: int, key_frames: Sequence[KeyFrame]) -> str:
    last = len(result.overlaps) - 1
    return (
        f'<div class="strip"><span class="key {series_class(index)}">{escape(tracker)}</span>'
        f'{sparkline(result, tracker, index, key_frames)}<span class="end">{last}</span></div>'
    )


def sparkline(
    result: FrameResults, tracker: str, index: int = 0, key_frames: Sequence[KeyFrame] = ()
) -> str:
    """Draw overlaps over time as a small SVG: a line, ticks for failures, bars for key frames."""
    length = len(result.overlaps)
    step = SPARK_WIDTH / max(length - 1, 1)
    half = (SPARK_ZERO + SPARK_ONE) // 2
    rules = "".join(f"M0 {y}H{SPARK_WIDTH}" for y in (SPARK_ONE, half, SPARK_ZERO))
    marks = "".join(f"M{key_frame.frame * step:.1f} 0V{SPARK_HEIGHT}" for key_frame in key_frames)
    ticks = "".join(f"M{frame * step:.1f} {SPARK_ZERO + 1}v5" for frame in result.failures)
    line = spark_path(result.overlaps, step)
    kind = series_class(index)
    return (
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" preserveAspectRatio="none"'
        f' role="img" aria-label="{escape(_spoken(result, tracker))}">'
        f'<path class="mark" d="{marks}"/><path class="rule" d="{rules}"/>'
        f'<path class="line {kind}" d="{line}"/><path class="tick {kind}" d="{ticks}"/></svg>'
    )


def spark_path(overlaps: np.ndarray, step: float) -> str:
    """Return the path of a line, broken where there is no overlap.

    Args:
        overlaps: (T,) in 0..1, or NaN.
        step: pixels from one frame to the next. Below a pixel, several frames become one point, at
            their lowest overlap, so that no drop is lost.
    """
    stride = max(math.ceil(1 / step), 1)
    path: list[str] = []
    pen = "M"
    for start in range(0, len(overlaps), stride):
        values = overlaps[start : start + stride]
        values = values[np.isfinite(values)]
        if not len(values):
            pen = "M"
            continue
        y = SPARK_ZERO - (SPARK_ZERO - SPARK_ONE) * min(max(float(values.min()), 0), 1)
        path.append(f"{pen}{start * step:.1f} {y:.1f}")
        pen = "L"
    return "".join(path)


def _spoken(result: FrameResults, tracker: str) -> str:
    known = result.overlaps[np.isfinite(result.overlaps)]
    if not len(known):
        return f"{tracker}: no overlap is known"
    failures = f", {len(result.failures)} failures" if result.failures else ""
    mean, lowest = known.clip(0, 1).mean(), known.min()
    frames = len(result.overlaps)
    return (
        f"{tracker}: overlap over {frames} frames, mean {mean:.2f}, lowest {lowest:.2f}{failures}"
    )


def _figure(key_frame: KeyFrame, trackers: Sequence[str]) -> str:
    x, y, w, h = key_frame.window
    shapes = "".join(
        _rectangle(box, key_frame.window, series_class(index), dashes(index))
        for index, box in reversed(list(enumerate(key_frame.boxes)))
    )
    shapes += _rectangle(key_frame.truth, key_frame.window, "truth")
    said = [
        f"{tracker} {overlap:.2f}"
        for tracker, overlap in zip(trackers, key_frame.overlaps, strict=True)
        if math.isfinite(overlap)
    ]
    alt = f"Frame {key_frame.frame}, {key_frame.note}. Overlaps: {', '.join(said) or 'not scored'}."
    overlaps = "".join(
        f' <span class="key {series_class(index)}">{overlap:.2f}</span>'
        for index, overlap in enumerate(key_frame.overlaps)
        if math.isfinite(overlap)
    )
    data = b64encode(key_frame.image).decode()
    return (
        f'<figure><div class="frame"><img alt="{escape(alt)}" loading="lazy" '
        f'style="aspect-ratio:{w:.0f}/{h:.0f}" src="data:image/webp;base64,{data}">'
        f'<svg viewBox="{x:.1f} {y:.1f} {w:.1f} {h:.1f}" aria-hidden="true">{shapes}</svg></div>'
        f"<figcaption>{key_frame.frame}: {escape(key_frame.note)}{overlaps}</figcaption></figure>"
    )


def _rectangle(
    box: np.ndarray, window: tuple[float, ...], kind: str, dash: Sequence[float] = ()
) -> str:
    """Draw a box of the frame over its image, with an edge that shows on any background."""
    if not np.isfinite(box).all():
        return ""
    x, y, w, h = window
    far = (x - w, y - h, x + 2 * w, y + 2 * h)  # clips a box far outside, out of sight
    x0, y0 = np.clip(box[:2], far[:2], far[2:])
    x1, y1 = np.clip(box[2:], far[:2], far[2:])
    size = f'x="{x0:.1f}" y="{y0:.1f}" width="{max(x1 - x0, 0):.1f}" height="{max(y1 - y0, 0):.1f}"'
    dashed = f' stroke-dasharray="{" ".join(map(str, dash))}"' if len(dash) else ""
    return f'<rect class="edge" {size}/><rect class="box {kind}" {size}{dashed}/>'
