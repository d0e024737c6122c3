"""What `cyclesiam train` prints: scenes, progress, and the verdict on adapted weights."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from cyclesiam.cli.options import count_noun
from cyclesiam.cli.validate import describe_examples, print_scores
from cyclesiam.data.scenes import Scene

if TYPE_CHECKING:
    from cyclesiam.training.adaptation import HeldOut, Verdict
    from cyclesiam.training.trainer import TrainingReport


def print_scenes(scenes: list[Scene], problems: list[str]) -> None:
    """Print how many videos and images there are, and how many files were left out."""
    videos = sum(scene.frames > 1 for scene in scenes)
    print(
        f"Training on {count_noun(videos, 'video')} and "
        f"{count_noun(len(scenes) - videos, 'image')}; "
        f"{count_noun(len(problems), 'file')} cannot be read.",
        flush=True,
    )


def print_held_out(held_out: "HeldOut", start: str) -> None:
    """Print what is held out, and how the initial weights score on it."""
    videos = sum(scene.frames > 1 for scene in held_out.scored)
    print(
        f"Held out for scoring, without labels: {count_noun(videos, 'video')} and "
        f"{count_noun(len(held_out.scored) - videos, 'image')}. "
        f"{describe_examples(held_out.examples)} (cycles: of targets found by their motion).\n"
        f"Label-free score of {start}: {held_out.before.total:.3f}",
        flush=True,
    )


def print_scoring(held_out: "HeldOut") -> None:
    """Print what comes between the training and the verdict."""
    print(
        "Trained. For the verdict, the new weights and their mean with the initial ones now track "
        f"through the {count_noun(len(held_out.examples), 'example')} held out.",
        flush=True,
    )


def print_verdict(verdict: "Verdict", held_out: "HeldOut", start: str, output: Path) -> None:
    """Print the scores of all weights, and which of them are kept."""
    from cyclesiam.training.adaptation import MIN_GAIN

    print_scores({f"{start} (before)": held_out.before, **verdict.scores})
    print(
        f"The best of these ({verdict.best}) changed the label-free score by {verdict.gain:+.3f}, "
        f"with a standard error of {verdict.error:.3f}; to be kept, it must rise by "
        f"{MIN_GAIN:g} of these."
    )
    print(
        f"Kept: the adapted weights ({verdict.best})."
        if verdict.kept
        else f"Not kept: {output} holds the weights of {start}, as before."
    )


def show_training(reports: "Iterable[TrainingReport]", step: int, steps: int) -> None:
    """Show the progress of a run: a bar on a terminal, else a line for each report."""
    console = Console(stderr=True)
    bar = Progress(
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=11)),
        BarColumn(bar_width=16, table_column=Column(min_width=16)),
        TextColumn("{task.description}", table_column=Column(ratio=1)),  # wraps where it must
        console=console,
        expand=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("starting", total=steps, completed=step)
        for report in reports:
            bar.update(task, completed=report.step, description=format_report(report))
            if not console.is_terminal:
                print(f"step {report.step} of {report.steps}: {format_report(report)}", flush=True)
            for problem in report.problems:
                console.print(f"left out: {problem}", highlight=False, markup=False)


def format_report(report: "TrainingReport") -> str:
    """Return a report as one line."""
    return (
        f"turn {report.stage.turn} gap {report.stage.gap}  loss {report.loss:.3f}  "
        f"matching {report.accuracy:.0%}  dropped {report.dropped:.0%}  "
        f"{report.samples_per_second:.0f} samples/s  {format_duration(report.seconds_left)} left"
    )


def format_duration(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> format_duration(5), format_duration(95), format_duration(5460), format_duration(200_000)
    ('5 s', '1 min 35 s', '1 h 31 min', '2 d 7 h')
    """
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
