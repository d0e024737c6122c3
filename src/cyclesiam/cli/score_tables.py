"""Evaluations on a terminal: tables, progress, and errors of sequences without numbers."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cyclesiam.cli.options import count_noun
from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.results.evaluation import (
    METRICS,
    Evaluation,
    RunInfo,
    format_number,
    write_evaluations,
)

WIDTH_OF_FILES = 160  # characters, where the output is no terminal


class SequenceProgress:
    """Show progress: a bar on a terminal, else a line for each sequence.

    Args:
        task: what is being done.
        kept: message for an interruption, after the number of sequences that succeeded.
        lines: print a line for each sequence where there is no terminal.
    """

    def __init__(self, task: str, kept: str, *, lines: bool = True) -> None:
        self.console = Console(stderr=True)
        self.succeeded = 0
        self._kept = kept
        self._lines = lines and not self.console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(task, total=None)

    def __enter__(self) -> "SequenceProgress":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            done = f"{count_noun(self.succeeded, 'sequence')} done, {self._kept}"
            raise KeyboardInterrupt(done if self.succeeded else "no sequence was done") from None

    def update(self, done: int, count: int, outcome: str, *, failed: bool = False) -> None:
        """Show that `done` of `count` sequences are done, and the outcome of the last."""
        self.succeeded += not failed
        self._bar.update(self._task, completed=done, total=count, description=outcome)
        if self._lines:
            self.console.print(f"{done} of {count}: {outcome}", highlight=False, soft_wrap=True)


def print_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """Print a table: the sequences of one evaluation, or the means of several side by side."""
    table = _sequences(evaluations[0]) if len(evaluations) == 1 else _side_by_side(evaluations)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    console.print(table)


def _sequences(evaluation: Evaluation) -> Table:
    run = evaluation.run
    title = f"{run.tracker} on {run.benchmark}, {run.protocol}{_init(run)}"
    table = Table(title=title if run.policy is None else f"{title}, policy {run.policy}")
    table.show_footer = True
    frames = str(sum(score.frames for score in evaluation.sequences))
    table.add_column("sequence", _mean_title(evaluation))
    table.add_column("frames", frames, justify="right")
    for key, value in evaluation.mean.items():
        table.add_column(METRICS[key].title, format_number(key, value), justify="right")
    for score in evaluation.sequences:
        numbers = (
            format_number(key, score.numbers[key]) if key in score.numbers else ""
            for key in evaluation.mean
        )
        table.add_row(score.name, str(score.frames), *numbers)
    return table


def _side_by_side(evaluations: Sequence[Evaluation]) -> Table:
    run = evaluations[0].run
    table = Table(title=f"{run.benchmark}, {run.protocol}")
    table.add_column("tracker", overflow="fold")
    table.add_column("sequences", justify="right", overflow="fold")
    for key in evaluations[0].mean:
        table.add_column(METRICS[key].title, justify="right", overflow="fold")
    for evaluation in evaluations:
        scored, failed = len(evaluation.sequences), len(evaluation.errors)
        table.add_row(
            evaluation.run.tracker + _init(evaluation.run),
            f"{scored} of {scored + failed}" if failed else str(scored),
            *(format_number(key, value) for key, value in evaluation.mean.items()),
        )
    return table


def _init(run: RunInfo) -> str:
    """Return what masks were started from: from boxes and from masks, numbers do not compare."""
    return f", init {run.initial_input}" if run.protocol == "segmentation" else ""


def _mean_title(evaluation: Evaluation) -> str:
    if not evaluation.errors:
        return "mean"
    scored = len(evaluation.sequences)
    return f"mean of {scored} of {scored + len(evaluation.errors)}"


def write_scores(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write scores as JSON, and print where they are."""
    write_evaluations(path, evaluations)
    print(f"Scores: {path}")


def report_errors(
    evaluations: Sequence[Evaluation], advice: str, stopped: Sequence[str] = ()
) -> None:
    """Print which sequences have no numbers, and why, a line each.

    Args:
        evaluations: of all trackers that have scores.
        advice: what to do where a sequence failed.
        stopped: what is to be said of trackers without scores.

    Raises:
        CycleSiamError: there is such a sequence or tracker, so that the command fails.
    """
    messages = list(stopped)
    count = 0
    for evaluation in evaluations:
        for error in evaluation.errors:
            print(f"{error.name}: {error.message}", file=sys.stderr)
            count += 1
    if count:
        messages.append(f"{count_noun(count, 'sequence')} failed, see above; {advice}")
    if messages:
        raise CycleSiamError("; ".join(messages))
