"""A tracker on a benchmark from beginning to end: run, keep the raw results, score those."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cyclesiam import __version__
from cyclesiam.evaluation import runner
from cyclesiam.evaluation import score as scoring
from cyclesiam.evaluation.benchmarks import Benchmark, check_rules, select_sequences
from cyclesiam.evaluation.jobs import EvaluationJob, ProtocolSettings
from cyclesiam.evaluation.results.evaluation import Evaluation, RunInfo, ScoringRules
from cyclesiam.evaluation.results.run_record import open_record
from cyclesiam.evaluation.trackers.specs import TrackerSpec
from cyclesiam.threads import describe_processor


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationPlan:
    """What to evaluate, whichever the tracker.

    Args:
        benchmark: with its protocol.
        root: its folder.
        folder: for raw results; each tracker has a folder of its name in it.
        settings: of the protocol.
        flavour: whose rules score.
        names: run these sequences only; None for all.
        workers: processes.
        command: the command line, to be kept with the results.
        device: what a network computes on, beside the machine.

    Raises:
        CycleSiamError: the flavour is of another protocol.
    """

    benchmark: Benchmark
    root: Path
    folder: Path
    settings: ProtocolSettings = field(default_factory=ProtocolSettings)
    flavour: ScoringRules = "pysot"
    names: Collection[str] | None = None
    workers: int = 1
    command: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_rules(self.benchmark.protocol, self.flavour)


def evaluate(
    plan: EvaluationPlan,
    source: TrackerSpec,
    *,
    on_run: runner.OnSequence | None = None,
    on_score: scoring.Progress | None = None,
) -> Evaluation:
    """Run a tracker over a benchmark and score its raw results; go on where it was stopped.

    Args:
        plan: what to evaluate.
        source: the tracker.
        on_run: told after each sequence that was run.
        on_score: told after each sequence that was scored.

    Raises:
        DatasetError: the benchmark cannot be read, or has no sequence of one of the names.
        CycleSiamError: the folder holds results of other settings, or no sequence succeeded.
    """
    reader = plan.benchmark.open(plan.root)
    names = select_sequences(reader.names, plan.names, plan.benchmark.name)
    folder = plan.folder / source.name
    info = open_record(folder, _describe(plan, source), plan.settings, source.identity)
    job = EvaluationJob(
        benchmark=plan.benchmark,
        root=plan.root,
        make_tracker=source.make,
        tracker=source.name,
        folder=folder,
        settings=plan.settings,
    )
    failures = runner.run_sequences(job, names, workers=plan.workers, on_sequence=on_run)
    return scoring.score_results(
        plan.benchmark,
        reader,
        plan.benchmark.results(folder),
        replace(info, flavour=plan.flavour, results=str(folder)),
        names=names,
        failures=failures,
        on_sequence=on_score,
    )


def _describe(plan: EvaluationPlan, source: TrackerSpec) -> RunInfo:
    return RunInfo(
        benchmark=plan.benchmark.name,
        protocol=plan.benchmark.protocol,
        tracker=source.name,
        weights=source.weights,
        policy=source.policy,
        initial_weights=source.initial_weights,
        initial_input=plan.settings.initial_input,
        flavour=plan.flavour,
        machine=", ".join(filter(None, (describe_machine(), plan.device))),
        command=plan.command,
        date=datetime.now(UTC).date().isoformat(),
        version=__version__,
    )


def describe_machine() -> str:
    """Name processor, cores, system and Python of this machine."""
    return f"{describe_processor()}, {platform.system()}, Python {platform.python_version()}"
