"""`cyclesiam evaluate`: run trackers on a benchmark; print tables, write scores and a report."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from cyclesiam.cli.options import Device, Runtime, UsageError, Weights, count_noun
from cyclesiam.cli.outputs import check_json
from cyclesiam.cli.score_tables import (
    SequenceProgress,
    print_evaluations,
    report_errors,
    write_scores,
)
from cyclesiam.cli.trackers import OURS, make_specs
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.errors import CycleSiamError, SourceError
from cyclesiam.evaluation.benchmarks import (
    BENCHMARKS,
    InitialInput,
    ProtocolName,
    ProtocolSettings,
    ScoringRules,
)
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol
from cyclesiam.evaluation.protocols.registry import make_protocol
from cyclesiam.evaluation.results.evaluation import Evaluation, FailedSequence, format_number
from cyclesiam.evaluation.results.run_record import has_results
from cyclesiam.evaluation.run import EvaluationPlan, evaluate
from cyclesiam.evaluation.runner import SequenceRun
from cyclesiam.evaluation.trackers.specs import TrackerSpec
from cyclesiam.files import check_output_folder

if TYPE_CHECKING:
    BenchmarkName = str
else:
    BenchmarkName = Literal[tuple(BENCHMARKS)]  # the choices of the option
OptionalFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Run trackers over a benchmark, and score them.

    cyclesiam evaluate vot2018 --root data/vot2018 --tracker cyclesiam csrt --results runs/vot2018
    """

    benchmark: tyro.conf.Positional[BenchmarkName]
    """Which benchmark `--root` holds."""
    root: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The benchmark's folder, as it is unpacked."""
    tracker: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TRACKER [TRACKER ...]")] = (OURS,)
    """cyclesiam; OpenCV's csrt, kcf or mil; nano or vit with their files; or MODULE:FACTORY of any
    Python tracker with init and update."""
    protocol: Annotated[ProtocolName | None, tyro.conf.arg(help_behavior_hint="")] = None
    """ope is one pass, reset restarts after failures as the VOT challenges do, segmentation scores
    masks. Default: reset for VOT, else ope where there are boxes, else segmentation."""
    flavour: ScoringRules = "pysot"
    """By whose rules to score: `pysot` (the numbers of papers), `vot_toolkit` (resets only),
    `got10k` (one pass only), `davis2017` (segmentation only)."""
    sequences: Names = ()
    """Only these sequences; without any, all."""
    results: OptionalFolder = None
    """Keep raw results there, each tracker's in a folder of its name. Sequences whose results are
    there are not run again. Default: they are kept only of a run that failed or was stopped."""
    json: OptionalFile = None
    """Also write the scores to this file."""
    report: OptionalFolder = None
    """Also write a report to this folder, one HTML file for all trackers."""
    workers: int = 1
    """Number of sequences to run at once, each in a process of one thread."""
    starts: int = 1
    """Of one pass: number of frames to start from in each sequence, spread evenly."""
    repetitions: int = 1
    """Of resets: number of runs of each sequence; 1 suits trackers without random numbers."""
    initial_input: InitialInput = "box"
    """Of segmentation: start from the first frame's box or mask."""
    weights: Weights = "default"
    """Of cyclesiam: name of shipped weights, or a folder that `train` or `export` wrote."""
    device: Device = "auto"
    """Of cyclesiam: where to compute: auto, cpu, cuda or cuda:N."""
    running: Runtime = field(default_factory=RuntimeConfig)
    model_files: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="[FILE ...]", help_behavior_hint="")
    ] = ()
    """Of nano: backbone and head; of vit: network. In the order of the trackers."""

    def __call__(self) -> None:
        """Evaluate, print tables, write what is asked for."""
        check_json(self.json)
        check_report(self.report)
        self._check()
        if self.results:
            check_output_folder(self.results)
        trackers = make_specs(
            self.tracker,
            weights=self.weights,
            device=self.device,
            runtime=self.running,
            model_files=self.model_files,
        )
        settings = ProtocolSettings(
            starts=self.starts, repetitions=self.repetitions, initial_input=self.initial_input
        )
        protocol = make_protocol(self.benchmark, self.protocol, settings)
        with self._folder() as folder:
            plan = EvaluationPlan(
                protocol=protocol,
                root=self.root,
                folder=folder,
                rules=self.flavour,
                names=self.sequences or None,
                workers=self.workers,
                command=shlex.join(["cyclesiam", *sys.argv[1:]]),
            )
            evaluations, stopped = self._evaluate_all(plan, trackers)
            self._write(evaluations, protocol)
            again = f"{self._command(folder)} runs only what is missing"
            report_errors(evaluations, f"the others are kept in {folder}; {again}", stopped)

    def _check(self) -> None:
        if min(self.workers, self.starts, self.repetitions) < 1:
            raise UsageError("--workers, --starts and --repetitions count from 1")
        if not self.tracker:
            raise UsageError("--tracker needs one tracker at least")

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Yield where raw results go; one that nobody named is kept where it is not whole."""
        if self.results:
            yield self.results
            return
        folder = Path(tempfile.mkdtemp(prefix="cyclesiam-"))
        is_kept = False
        try:
            yield folder
        except BaseException:
            is_kept = has_results(folder)
            raise
        finally:
            if not is_kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _command(self, folder: Path) -> str:
        """Say which command continues from a folder of raw results."""
        option = "" if self.results else f" with --results {shlex.quote(str(folder))}"
        return f"the same command{option}"

    def _evaluate_all(
        self, plan: EvaluationPlan, trackers: list[TrackerSpec]
    ) -> tuple[list[Evaluation], list[str]]:
        """Evaluate one tracker after the other; one that has no scores at all stops no other."""
        evaluations, stopped = [], []
        for tracker in trackers:
            try:
                evaluations.append(self._evaluate(plan, tracker))
            except KeyboardInterrupt:
                if evaluations:
                    self._write_scores(evaluations)
                raise
            except CycleSiamError as error:
                if len(trackers) == 1:
                    raise
                stopped.append(f"{tracker.name}: {error}")
        if not evaluations:
            raise CycleSiamError("; ".join(stopped))
        return evaluations, stopped

    def _evaluate(self, plan: EvaluationPlan, tracker: TrackerSpec) -> Evaluation:
        kept = f"kept in {plan.folder}; {self._command(plan.folder)} continues from there"
        with SequenceProgress(f"{tracker.name} on {self.benchmark}", kept) as progress:
            return evaluate(
                plan,
                tracker,
                on_run=lambda done, count, outcome: progress.update(
                    done, count, _line(outcome), failed=isinstance(outcome, FailedSequence)
                ),
            )

    def _write(self, evaluations: list[Evaluation], protocol: EvaluationProtocol[Any]) -> None:
        self._write_scores(evaluations)
        if self.report:
            write_html(self.report, evaluations, protocol, self.root)

    def _write_scores(self, evaluations: list[Evaluation]) -> None:
        print_evaluations(evaluations)
        if self.json:
            write_scores(self.json, evaluations)


def check_report(folder: Path | None) -> None:
    """Check before hours of work whether a report can be made.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SourceError: the folder is a file, or cannot be written to.
    """
    if folder is None:
        return
    from cyclesiam.evaluation.report.plots import check_matplotlib

    check_matplotlib()
    if folder.is_file():
        raise SourceError(f"{folder}: is a file, not a folder; choose another --report")
    check_output_folder(folder)


def write_html(
    folder: Path, evaluations: list[Evaluation], protocol: EvaluationProtocol[Any], root: Path
) -> None:
    """Write the report, and print where it is."""
    from cyclesiam.evaluation.report import write_report  # matplotlib takes a second to import

    print(f"Report: {write_report(folder, evaluations, protocol.open(root))}")


def _line(outcome: SequenceRun | FailedSequence) -> str:
    if isinstance(outcome, FailedSequence):
        return f"{outcome.name} failed"
    if not outcome.is_new:
        return f"{outcome.name} is there already"
    speed = f"{format_number('fps', outcome.fps)} frames/s"
    return f"{outcome.name}, {count_noun(outcome.frames, 'frame')}, {speed}"
