"""Evaluate a tracker on a benchmark: run it, keep the raw results, score them."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclesiam import __version__
from cyclesiam.evaluation.benchmarks import ScoringRules, select_sequences
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol
from cyclesiam.evaluation.results.evaluation import Evaluation, RunInfo
from cyclesiam.evaluation.results.run_record import open_record
from cyclesiam.evaluation.runner import EvaluationJob, OnSequence, run_sequences
from cyclesiam.evaluation.score import OnScore, score_results
from cyclesiam.evaluation.trackers.specs import TrackerSpec
from cyclesiam.threads import describe_processor


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationPlan:
    """What to evaluate, the same for all trackers.

    Args:
        protocol: with the benchmark and the settings.
        root: the benchmark's folder.
        folder: for raw results; each tracker has a folder of its name in it.
        rules: by which results are scored.
        names: run these sequences only; None for all.
        workers: number of processes.
        command: the command line, to be kept with the results.
        device: what networks compute on, to be kept with the results.

    Raises:
        CycleSiamError: the rules are of another protocol.
    """

    protocol: EvaluationProtocol[Any]
    root: Path
    folder: Path
    rules: ScoringRules = "pysot"
    names: Collection[str] | None = None
    workers: int = 1
    command: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        self.protocol.check_rules(self.rules)


def evaluate(
    plan: EvaluationPlan,
    tracker: TrackerSpec,
    *,
    on_run: OnSequence | None = None,
    on_score: OnScore | None = None,
) -> Evaluation:
    """Run a tracker on a benchmark and score its raw results; continue where it was stopped.

    Args:
        plan: what to evaluate.
        tracker: how to make the tracker.
        on_run: called after each sequence that was run.
        on_score: called after each sequence that was scored.

    Raises:
        DatasetError: the benchmark cannot be read, or has no sequence of one of the names.
        CycleSiamError: the folder holds results of other settings, or no sequence succeeded.
    """
    protocol = plan.protocol
    dataset = protocol.open(plan.root)
    names = select_sequences(dataset.names, plan.names, protocol.benchmark.name)
    folder = plan.folder / tracker.name
    info = open_record(folder, _run_info(plan, tracker), protocol.settings, tracker.identity)
    job = EvaluationJob(
        protocol=protocol,
        root=plan.root,
        make_tracker=tracker.make,
        tracker=tracker.name,
        folder=folder,
    )
    failures = run_sequences(job, names, workers=plan.workers, on_sequence=on_run)
    return score_results(
        protocol,
        dataset,
        protocol.results(folder),
        replace(info, flavour=plan.rules, results=str(folder)),
        names=names,
        failures=failures,
        on_sequence=on_score,
    )


def _run_info(plan: EvaluationPlan, tracker: TrackerSpec) -> RunInfo:
    return RunInfo(
        benchmark=plan.protocol.benchmark.name,
        protocol=plan.protocol.name,
        tracker=tracker.name,
        weights=tracker.weights,
        policy=tracker.policy,
        initial_weights=tracker.initial_weights,
        initial_input=plan.protocol.settings.initial_input,
        flavour=plan.rules,
        machine=", ".join(filter(None, (describe_machine(), plan.device))),
        command=plan.command,
        date=datetime.now(UTC).date().isoformat(),
        version=__version__,
    )


def describe_machine() -> str:
    """Return processor, number of cores, system and Python version of this machine."""
    return f"{describe_processor()}, {platform.system()}, Python {platform.python_version()}"
