"""Plots of a report, drawn by matplotlib as SVG that is part of the page.

Matplotlib draws in placeholder colors, which become CSS variables of the page. So a plot is light
or dark as the page is, and its text has the page's font. The same numbers give the same SVG.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclesiam.errors import missing_extra
from cyclesiam.evaluation.metrics.vot import RELIABILITY_LENGTH
from cyclesiam.evaluation.report.published import PublishedResult
from cyclesiam.evaluation.results.evaluation import METRICS, Curve, Evaluation, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES = 7  # colors that the style sheet calls --s1 ... --s7
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
MARKERS = "osD^vP*"
INK, SOFT, RULE, BAND = "#010203", "#010204", "#010205", "#010206"  # placeholders
VARIABLES = {INK: "currentColor", SOFT: "var(--soft)", RULE: "var(--rule)", BAND: "var(--band)"}
SIZE = (4.6, 3.3)  # inches; a point of matplotlib is a pixel of the page where it is shown 1:1
AXES = {
    "success": ("overlap threshold", "ratio of frames above it"),
    "precision": ("center error threshold, pixels", "ratio of frames within it"),
    "norm_precision": ("center error threshold, target sizes", "ratio of frames within it"),
    "eao": ("length of the sequence, frames", "expected overlap"),
}


def check_matplotlib() -> None:
    """Check whether plots can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise missing_extra("a report", "matplotlib", "evaluate") from None


def series_class(index: int) -> str:
    """Return the CSS class of a tracker's color, by its place in the list.

    >>> series_class(0), series_class(7)
    ('s1', 's1')
    """
    return f"s{index % SERIES + 1}"


def dashes(index: int) -> tuple[float, ...]:
    """Return the lengths of strokes and gaps of a tracker's line; none for a solid one."""
    return DASHES[index % len(DASHES)]


def curve_plot(name: str, evaluations: Sequence[Evaluation]) -> str:
    """Draw one curve of each tracker that has it."""
    interval = next((e.eao_interval for e in evaluations if e.eao_interval), None)

    def draw_curves(axes: "Axes") -> None:
        longest = 0.0
        for index, evaluation in enumerate(evaluations):
            if (curve := evaluation.curve(name)) is not None:
                _draw_curve(axes, curve, index)
                longest = max(longest, curve.x[-1])
        axes.set(xlabel=AXES[name][0], ylabel=AXES[name][1], ylim=(0, 1.02), xlim=(0, longest or 1))
        if name == "eao" and interval:
            axes.axvspan(*interval, color=BAND, linewidth=0, zorder=0)

    return _svg(f"curve-{name}", draw_curves)


def accuracy_robustness_plot(
    evaluations: Sequence[Evaluation], published: Sequence[PublishedResult]
) -> str:
    """Draw accuracy over reliability; published trackers are hollow circles."""

    def draw_points(axes: "Axes") -> None:
        axes.set(xlabel=f"reliability ({RELIABILITY_LENGTH} frames)", ylabel="accuracy")
        axes.set(xlim=(0, 1.02), ylim=(0, 1))
        places = {result.tracker: accuracy_and_reliability(result.numbers) for result in published}
        places = {name: place for name, place in places.items() if np.isfinite(place).all()}
        for name, place, side in _with_sides(places):
            axes.plot(*place, "o", markerfacecolor="none", color=SOFT, markersize=5)
            align = "left" if side[0] > 0 else "right"
            axes.annotate(
                name, place, side, textcoords="offset points", color=SOFT, size=7, ha=align
            )
        for index, evaluation in enumerate(evaluations):
            _draw_point(axes, *accuracy_and_reliability(evaluation.mean), index)

    return _svg("accuracy-robustness", draw_points)


def _with_sides(
    places: Mapping[str, tuple[float, float]],
) -> Iterator[tuple[str, tuple[float, float], tuple[float, float]]]:
    """Yield name, place and offset of each label, on the side away from its nearest neighbor."""
    for name, (x, y) in places.items():
        others = [(x - u, y - v) for other, (u, v) in places.items() if other != name]
        dx, dy = min(others, key=lambda step: np.hypot(*step), default=(-1.0, 1.0))
        yield name, (x, y), (5.0 if dx > 0 else -5.0, 3.0 if dy > 0 else -8.0)


def accuracy_and_reliability(numbers: Mapping[str, float]) -> tuple[float, float]:
    """Return a tracker's reliability and accuracy, NaN where unknown.

    Reliability is exp(-30 failures / frames), the probability to survive 30 frames.

    Source: Čehovin et al., "Visual object tracking performance measures revisited", TIP 2016.
    """
    nan = float("nan")
    failure_rate = numbers.get("failures_per_100_frames", nan) / 100
    reliability = numbers.get("reliability", float(np.exp(-RELIABILITY_LENGTH * failure_rate)))
    return reliability, numbers.get("accuracy", nan)


def attribute_plot(metric: str, evaluations: Sequence[Evaluation], names: Sequence[str]) -> str:
    """Draw a number of each attribute as a row of points, one for each tracker."""

    def draw_rows(axes: "Axes") -> None:
        for index, evaluation in enumerate(evaluations):
            scores = {score.name: score for score in evaluation.attributes}
            for row, name in enumerate(names):
                _draw_point(axes, _number(scores.get(name), metric), row, index)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=METRICS[metric].title)
        axes.set_xlim(0, 1 if METRICS[metric].higher_is_better else None)

    return _svg("attributes", draw_rows, (SIZE[0], 0.8 + 0.28 * len(names)))


def _number(score: Score | None, metric: str) -> float:
    return float("nan") if score is None else score.numbers.get(metric, float("nan"))


def _draw_curve(axes: "Axes", curve: Curve, index: int) -> None:
    style: Any = (0, dashes(index)) if dashes(index) else "-"
    axes.plot(curve.x, curve.y, color=_placeholder_color(index), linestyle=style, linewidth=1.8)


def _draw_point(axes: "Axes", x: float, y: float, index: int) -> None:
    if np.isfinite((x, y)).all():
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(
            x, y, marker, color=_placeholder_color(index), markersize=7, clip_on=False, zorder=3
        )


def _placeholder_color(index: int) -> str:
    """Return the color that stands for `var(--sN)` until the SVG is finished."""
    return f"#01030{index % SERIES + 1}"


def _svg(name: str, draw: Callable[["Axes"], None], size: tuple[float, float] = SIZE) -> str:
    """Draw on empty axes, and return an `<svg>` element that is ready for the page."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": RULE,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.grid(linewidth=0.6)
        axes.set_axisbelow(True)
        draw(axes)
        file = io.StringIO()
        none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=none)
    return adapt_svg(file.getvalue(), name)


def adapt_svg(svg: str, name: str) -> str:
    """Turn matplotlib's SVG file into a part of a page.

    Args:
        svg: content of the file.
        name: unique in the page; it is put before every id.

    Returns:
        The `<svg>` element without size, style sheet and metadata. It has the page's font, and CSS
        variables in place of placeholder colors. It is hidden from screen readers, whose users get
        the numbers as text.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    opening = re.match(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', svg, re.DOTALL)
    assert opening is not None, "matplotlib's SVG has a viewBox"
    svg = f'<svg class="plot" viewBox="{opening[1]}" aria-hidden="true">{svg[opening.end() :]}'
    svg = re.sub(r'font: ([\d.]+)px [^;"]*', r"font-size: \1px", svg)  # of matplotlib 3.9
    svg = re.sub(r'font-family: [^;"]*; ?', "", svg)  # of later ones
    svg = re.sub(r' id="', f' id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = re.sub(r"#01030(\d)", r"var(--s\1)", svg)
    return re.sub(r"\n\s*", "\n", svg).strip()
