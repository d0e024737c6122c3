"""The page of a report as HTML, all of it but the list of sequences."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files

from cyclesiam.evaluation.benchmarks import BENCHMARKS, ScoringRules
from cyclesiam.evaluation.protocols.registry import PROTOCOLS
from cyclesiam.evaluation.report.plots import (
    MARKERS,
    accuracy_and_reliability,
    accuracy_robustness_plot,
    attribute_plot,
    curve_plot,
    dashes,
    series_class,
)
from cyclesiam.evaluation.report.published import PublishedResult, published
from cyclesiam.evaluation.results.evaluation import (
    METRICS,
    Evaluation,
    RunInfo,
    Score,
    format_number,
)

RULES: Mapping[ScoringRules, str] = {
    "pysot": "as pysot and the challenges' toolkits compute them",
    "vot_toolkit": "as today's VOT toolkit computes them",
    "got10k": "as the GOT-10k toolkit computes them",
    "davis2017": "as davis2017-evaluation computes them",
}
CURVES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "success": ("Success", ("auc", "ao")),
    "precision": ("Precision", ("precision_20",)),
    "norm_precision": ("Normalized precision", ("norm_precision_20",)),
    "eao": ("Expected average overlap", ("eao",)),
}
"""Name of a curve to its title and to the numbers that its legend may show."""
FIRST_METRICS = ("eao",)  # columns of results before the others
ATTRIBUTE_METRICS = ("auc", "ao", "accuracy", "j_and_f")
Field = Callable[[RunInfo], str | None]
SHARED_FIELDS: Mapping[str, Field] = {
    "machine": lambda run: run.machine,
    "package": lambda run: run.version and f"cyclesiam {run.version}",
    "date": lambda run: run.date,
}


def render_page(evaluations: Sequence[Evaluation], sequences: str) -> str:
    """Return the whole page.

    Args:
        evaluations: at least one, of one benchmark and protocol.
        sequences: HTML of the list of sequences.
    """
    run = evaluations[0].run
    title = f"{run.benchmark}: {', '.join(e.run.tracker for e in evaluations)}"
    style = files(__name__.rpartition(".")[0]).joinpath("style.css").read_text(encoding="utf-8")
    body = "\n".join(
        part
        for part in (
            _header(evaluations),
            _results(evaluations),
            _plots(evaluations),
            _attributes(evaluations),
            sequences,
        )
        if part
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _header(evaluations: Sequence[Evaluation]) -> str:
    run = evaluations[0].run
    sequences = max(len(e.sequences) + len(e.errors) for e in evaluations)
    frames = max(sum(score.frames for score in e.sequences) for e in evaluations)
    facts = {
        "benchmark": f"{run.benchmark}, {_counted(sequences, 'sequence')}, {frames} frames",
        "protocol": f"{run.protocol}: {PROTOCOLS[run.protocol].title}",
        "numbers": f"{run.flavour}: {RULES[run.flavour]}",
    }
    for name, field in SHARED_FIELDS.items():
        values = {field(e.run) for e in evaluations} - {None}
        if len(values) == 1:
            facts[name] = str(values.pop())
    listed = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items()
    )
    trackers = "".join(_tracker(e.run, i, facts) for i, e in enumerate(evaluations))
    return f"""<header>
<h1>Tracking on {escape(run.benchmark)}</h1>
<nav aria-label="Parts"><a href="#results">Results</a> <a href="#sequences">Sequences</a></nav>
<dl class="facts">{listed}</dl>
<div class="trackers">{trackers}</div>
</header>"""


def _tracker(run: RunInfo, index: int, shared: Mapping[str, str]) -> str:
    """Return how one tracker was run, but for the facts that all trackers share."""
    facts = {
        "labels seen in training": _policy(run),
        "initial input": f"first-frame {run.initial_input}",
        "weights": run.weights,
        "its training began with": run.initial_weights,
        **{name: field(run) for name, field in SHARED_FIELDS.items() if name not in shared},
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value or 'unknown')}</dd></div>"
        for name, value in facts.items()
        if value or name not in ("weights", "its training began with")
    )
    command = f"<code>{escape(run.command)}</code>" if run.command else "unknown"
    return f"""<section class="tracker"><h2>{_key(run.tracker, index)}</h2>
<dl class="facts">{listed}
<div class="wide"><dt>command</dt><dd>{command}</dd></div></dl></section>"""


def _policy(run: RunInfo) -> str:
    """Return which labels a tracker was trained with, by the name of the label policy."""
    if run.policy is None:
        return "unknown"
    return run.policy if run.weights else f"{run.policy} (nothing was trained)"


def _results(evaluations: Sequence[Evaluation]) -> str:
    run = evaluations[0].run
    others = published(run.benchmark, run.protocol)
    there = {name for e in evaluations for name in e.mean}
    metrics = sorted(there, key=lambda name: (*FIRST_METRICS, *METRICS).index(name))
    best = {metric: _best(metric, evaluations) for metric in metrics}
    rows = [
        _row(_key(e.run.tracker, i), f"{_policy(e.run)}; {e.run.initial_input}", e.mean, best)
        for i, e in enumerate(evaluations)
    ]
    nothing = dict.fromkeys(metrics, math.nan)
    rows += [
        _row(escape(o.tracker), f"{o.labels}; {o.initial_input}", o.numbers, nothing, "published")
        for o in others
    ]
    head = "".join(f'<th scope="col">{_heading(metric)}</th>' for metric in metrics)
    return f"""<section id="results">
<h2>Results</h2>
<div class="scroll" tabindex="0" role="group" aria-label="Results"><table class="results">
<thead><tr><th scope="col">tracker <small>labels seen in training; initial input</small></th>{head}
</tr></thead>
<tbody>
{"".join(rows)}
</tbody></table></div>
{_remarks(evaluations, others)}
</section>"""


def _row(
    name: str, about: str, numbers: Mapping[str, float], best: Mapping[str, float], source: str = ""
) -> str:
    """Return a tracker's row, its metrics in the order of `best`; those that equal it are bold."""
    cells = ""
    for metric, best_value in best.items():
        value = numbers.get(metric, math.nan)
        text = format_number(metric, value)
        cells += f"<td>{f'<b>{text}</b>' if value == best_value else text}</td>"
    mark = f' <span class="badge">{source}</span>' if source else ""
    kind = f' class="{source}"' if source else ""
    about = f"<small>{escape(about)}</small>"
    return f'<tr{kind}><th scope="row">{name}{mark} {about}</th>{cells}</tr>\n'


def _heading(metric: str) -> str:
    better = METRICS[metric].higher_is_better
    if better is None:
        return escape(METRICS[metric].title)
    arrow, spoken = ("↑", "higher is better") if better else ("↓", "lower is better")
    return f'{escape(METRICS[metric].title)} <span role="img" aria-label="{spoken}">{arrow}</span>'


def _best(metric: str, evaluations: Sequence[Evaluation]) -> float:
    """Return the best of this report; NaN, which equals nothing, where nothing is compared."""
    values = [e.mean.get(metric, math.nan) for e in evaluations]
    values = [value for value in values if not math.isnan(value)]
    better = METRICS[metric].higher_is_better
    if len(values) < 2 or better is None:
        return math.nan
    return max(values) if better else min(values)


def _remarks(evaluations: Sequence[Evaluation], others: Sequence[PublishedResult]) -> str:
    remarks = [
        "↑ higher is better, ↓ lower is better; bold is the best of this report. Frames/s are the "
        "tracker's own: reading images does not count."
    ]
    benchmark = BENCHMARKS.get(evaluations[0].run.benchmark)
    all_sequences = (benchmark and benchmark.num_sequences) or 0
    counts = {len(e.sequences) for e in evaluations}
    if min(counts) < all_sequences:
        ran = " or ".join(map(str, sorted(counts)))
        published_too = " and do not compare with published ones" * bool(others)
        remarks.append(
            f"<strong>{ran} of the benchmark's {all_sequences} sequences were scored. These are "
            f"not the benchmark's numbers{published_too}.</strong>"
        )
    if others:
        remarks.append(
            '<span class="badge">published</span> Numbers of the papers, on the whole benchmark, '
            "with frames/s of other machines. Not run here."
        )
    for e in evaluations:
        remarks += [
            f"<strong>{escape(e.run.tracker)} has no numbers for {escape(error.name)}</strong>: "
            f"{escape(error.message)}"
            for error in e.errors
        ]
    listed = "".join(f"<li>{remark}</li>" for remark in remarks)
    return f'<ul class="remarks">{listed}</ul>'


def _plots(evaluations: Sequence[Evaluation]) -> str:
    figures = []
    for name, (title, metrics) in CURVES.items():
        if any(e.curve(name) for e in evaluations):
            legend = _legend(evaluations, metrics, lines=True)
            figures.append(_figure(title, curve_plot(name, evaluations), legend))
    if any(math.isfinite(sum(accuracy_and_reliability(e.mean))) for e in evaluations):
        others = published(evaluations[0].run.benchmark, evaluations[0].run.protocol)
        plot = accuracy_robustness_plot(evaluations, others)
        legend = _legend(evaluations, ("accuracy", "failures"), lines=False)
        note = "<p>Hollow circles: published. The best place is the upper right.</p>"
        figures.append(_figure("Accuracy and robustness", plot, legend + note))
    if not figures:
        return ""
    return f"""<section id="curves"><h2>Curves</h2>
<div class="figures">{"".join(figures)}</div></section>"""


def _figure(title: str, plot: str, caption: str) -> str:
    return (
        f'<figure class="panel"><h3>{escape(title)}</h3>{plot}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _legend(evaluations: Sequence[Evaluation], metrics: Sequence[str], *, lines: bool) -> str:
    items = []
    for index, e in enumerate(evaluations):
        shown = [m for m in metrics if m in e.mean][: 1 if lines else None]
        numbers = ", ".join(f"{METRICS[m].title} {format_number(m, e.mean[m])}" for m in shown)
        swatch = _line_swatch(index) if lines else _marker_swatch(index)
        items.append(f"<li>{swatch} {escape(e.run.tracker)} <b>{escape(numbers)}</b></li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _line_swatch(index: int) -> str:
    dash = " ".join(map(str, dashes(index)))
    return (
        '<svg class="swatch" viewBox="0 0 28 8" aria-hidden="true"><path class="line '
        f'{series_class(index)}" stroke-dasharray="{dash}" d="M0 4H28"/></svg>'
    )


def _marker_swatch(index: int) -> str:
    shapes = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "*": "★"}
    shape = shapes[MARKERS[index % len(MARKERS)]]
    return f'<span class="ink-{series_class(index)}" aria-hidden="true">{shape}</span>'


def _attributes(evaluations: Sequence[Evaluation]) -> str:
    tables = [{s.name: s for s in e.attributes if s.frames} for e in evaluations]
    names = list(dict.fromkeys(name for table in tables for name in table))
    there = {m for table in tables for score in table.values() for m in score.numbers}
    metric = next((m for m in ATTRIBUTE_METRICS if m in there), None)
    if metric is None:
        return ""
    shown = [metric, *(m for m in ("failures",) if m in there)]
    groups = "".join(
        f'<th scope="colgroup" colspan="{len(evaluations)}">{_heading(m)}</th>' for m in shown
    )
    head = len(shown) * "".join(
        f'<th scope="col">{_key(e.run.tracker, i)}</th>' for i, e in enumerate(evaluations)
    )
    rows = "".join(_attribute_row(name, tables, shown) for name in names)
    plot = attribute_plot(metric, evaluations, names)
    legend = _legend(evaluations, (metric,), lines=False)
    return f"""<section id="attributes"><h2>Attributes</h2>
<div class="figures">{_figure(f"By attribute: {METRICS[metric].title}", plot, legend)}
<div class="panel scroll" tabindex="0" role="group" aria-label="Numbers by attribute"><table>
<thead><tr><th rowspan="2" scope="col">attribute</th><th rowspan="2" scope="col">frames</th>
{groups}</tr><tr>{head}</tr></thead>
<tbody>{rows}</tbody></table></div></div></section>"""


def _attribute_row(name: str, tables: Sequence[Mapping[str, Score]], metrics: Sequence[str]) -> str:
    frames = next(table[name].frames for table in tables if name in table)
    cells = ""
    for metric in metrics:
        for table in tables:
            numbers = table[name].numbers if name in table else {}
            cells += f"<td>{format_number(metric, numbers.get(metric, math.nan))}</td>"
    return f'<tr><th scope="row">{escape(name)}</th><td>{frames}</td>{cells}</tr>'


def _key(name: str, index: int) -> str:
    return f'<span class="key {series_class(index)}">{escape(name)}</span>'


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
