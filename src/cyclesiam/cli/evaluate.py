"""`cyclesiam evaluate`: a tracker on a benchmark, as a table."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cyclesiam.cli.options import Device, Weights, counted, find_device, load_network
from cyclesiam.errors import SourceError
from cyclesiam.evaluation.benchmarks import Evaluation, SequenceScore, evaluate
from cyclesiam.evaluation.opencv_trackers import OPENCV_TRACKERS
from cyclesiam.evaluation.protocols import BoxTracker
from cyclesiam.evaluation.siamese_tracker import SiameseTracker
from cyclesiam.tracking.tracker import Tracker

Benchmark = Literal[
    "otb", "otb2013", "otb50", "otb100", "uav123", "uav123_10fps", "lasot", "got10k",
    "trackingnet", "vot2016", "vot2018", "vid", "davis2016", "davis2017",
]  # fmt: skip
TrackerName = Literal["cyclesiam", "csrt", "kcf", "mil"]
Source = tuple[Callable[[], BoxTracker], str | None, str]
"""How to make a tracker, the name of its weights, and the labels that they saw."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Run a tracker over a benchmark, and score it.

    cyclesiam evaluate otb --root data/OTB100 --json otb.json
    """

    benchmark: tyro.conf.Positional[Benchmark]
    """Which benchmark `--root` holds."""
    root: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The benchmark's folder, unpacked as it comes."""
    tracker: TrackerName = "cyclesiam"
    """This package's tracker, or one of OpenCV's to compare with."""
    protocol: Literal["ope"] = "ope"
    """One pass over each sequence, started once from the truth."""
    sequences: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]", help_behavior_hint="")
    ] = ()
    """Only these sequences; without any, all."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="")] = None
    """Also write the scores there."""
    weights: Weights = "default"
    """Name of shipped weights, or a folder that `cyclesiam train` wrote."""
    device: Device = "auto"
    """Where to compute: auto, cpu, cuda or cuda:N."""

    def __call__(self) -> None:
        """Evaluate, print the table, write the JSON."""
        if self.json:
            check_writable(self.json)
        make_tracker, weights, policy = self._tracker()
        with Watcher(self.benchmark) as watcher:
            evaluation = evaluate(
                self.benchmark,
                self.root,
                make_tracker,
                tracker=self.tracker,
                weights=weights,
                policy=policy,
                names=self.sequences or None,
                on_sequence=watcher.tell,
            )
        Console().print(make_table(evaluation))
        if self.json:
            write_json(self.json, evaluation)
            print(f"Scores: {self.json}")

    def _tracker(self) -> Source:
        if self.tracker != "cyclesiam":
            return OPENCV_TRACKERS[self.tracker], None, "none"
        device = find_device(self.device)
        network, record = load_network(self.weights, device)
        return (
            lambda: SiameseTracker(Tracker(network, device=device)),
            self.weights,
            record.policy,
        )


class Watcher:
    """Show how far an evaluation is: a bar on a terminal, else a line for each sequence."""

    def __init__(self, what: str) -> None:
        self.console = Console(stderr=True)
        self.done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> "Watcher":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{counted(self.done, 'sequence')} done, no scores were saved"
            ) from None

    def tell(self, done: int, count: int, score: SequenceScore) -> None:
        """Take news of one sequence."""
        self.done = done
        news = f"{score.name}, AUC {score.score.auc:.3f}"
        self._bar.update(self._task, completed=done, total=count, description=news)
        if not self.console.is_terminal:
            self.console.print(f"{done} of {count}: {news}", highlight=False)


def make_table(evaluation: Evaluation) -> Table:
    """Lay scores out: a row for each sequence, and the mean."""
    title = f"{evaluation.tracker} on {evaluation.benchmark}, {evaluation.protocol}"
    table = Table(title=title, show_footer=True)
    *rows, mean = evaluation.rows()
    titles = ("sequence", "frames", "AUC", "precision at 20 px", "frames/s")
    for number, (name, footer) in enumerate(zip(titles, mean, strict=True)):
        table.add_column(name, footer, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def check_writable(path: Path) -> None:
    """Find out before hours of work whether their result can be written.

    Raises:
        SourceError: it cannot.
    """
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else "its folder is missing"
        raise SourceError(f"{path}: cannot be written, {reason}; choose another --json")


def write_json(path: Path, evaluation: Evaluation) -> None:
    """Write scores as one JSON object."""
    try:
        path.write_text(json.dumps(evaluation.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror}); choose another --json"
        ) from error
