"""`cyclesiam score`: raw results of any tracker, scored side by side; no tracker is run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from cyclesiam.cli.evaluate import (
    BenchmarkName,
    Names,
    OptionalFile,
    OptionalFolder,
    check_report,
    write_html,
)
from cyclesiam.cli.options import UsageError
from cyclesiam.cli.outputs import check_json
from cyclesiam.cli.score_tables import (
    SequenceProgress,
    print_evaluations,
    report_errors,
    write_scores,
)
from cyclesiam.evaluation.benchmarks import ProtocolName, ScoringRules, select_sequences
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol
from cyclesiam.evaluation.protocols.registry import make_protocol
from cyclesiam.evaluation.results.evaluation import Evaluation
from cyclesiam.evaluation.results.find import find_results, recorded_protocol
from cyclesiam.evaluation.score import score_results


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score raw results of any trackers, side by side, without running anything.

    cyclesiam score vot2018 --root data/vot2018 --results runs/vot2018 --results others/SiamRPN
    """

    benchmark: tyro.conf.Positional[BenchmarkName]
    """Which benchmark `--root` holds."""
    root: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The benchmark's folder, with its annotations and at least a frame of each sequence."""
    results: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]],
        tyro.conf.arg(metavar="FOLDER", help_behavior_hint="once or more"),
    ] = ()
    """A folder of a tracker's raw results, or of several trackers; the option can be repeated."""
    protocol: Annotated[ProtocolName | None, tyro.conf.arg(help_behavior_hint="")] = None
    """By which the results were made. Default: the one on record beside them, else reset for VOT,
    else ope where there are boxes, else segmentation."""
    flavour: ScoringRules = "pysot"
    """By whose rules to score: `pysot` (the numbers of papers), `vot_toolkit` (resets only),
    `got10k` (one pass only), `davis2017` (segmentation only)."""
    sequences: Names = ()
    """Only these sequences; without any, all."""
    json: OptionalFile = None
    """Also write the scores to this file."""
    report: OptionalFolder = None
    """Also write a report to this folder, one HTML file for all trackers."""

    def __call__(self) -> None:
        """Score, print tables, write what is asked for."""
        if not self.results:
            raise UsageError("--results is needed, once or more: the folders of raw results")
        check_json(self.json)
        check_report(self.report)
        name = self.protocol or recorded_protocol(self.benchmark, self.results)
        protocol = make_protocol(self.benchmark, name)
        evaluations = self._score_all(protocol)
        print_evaluations(evaluations)
        if self.json:
            write_scores(self.json, evaluations)
        if self.report:
            write_html(self.report, evaluations, protocol, self.root)
        report_errors(evaluations, "mend them, or leave them out with --sequences")

    def _score_all(self, protocol: EvaluationProtocol[Any]) -> list[Evaluation]:
        dataset = protocol.open(self.root)
        names = select_sequences(dataset.names, self.sequences or None, self.benchmark)
        evaluations = []
        for found in find_results(
            self.results,
            names,
            benchmark=self.benchmark,
            protocol=protocol.name,
            layout=protocol.layout,
        ):
            run = replace(found.run, flavour=self.flavour)
            with SequenceProgress(run.tracker, "nothing was written", lines=False) as progress:
                evaluations.append(
                    score_results(
                        protocol,
                        dataset,
                        found.results,
                        run,
                        names=names,
                        on_sequence=lambda done, count, outcome: progress.update(
                            done, count, outcome.name
                        ),
                    )
                )
        return evaluations
