"""Score raw results, whoever made them: no tracker is run, only files are read.

One sequence is in memory at a time, and a few numbers for each frame of those before it.
"""

from collections.abc import Callable, Collection
from typing import Any

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import Dataset
from cyclesiam.evaluation.protocols.interface import EvaluationProtocol
from cyclesiam.evaluation.results.evaluation import Evaluation, FailedSequence, RunInfo, Score
from cyclesiam.evaluation.results.files import ResultFolder

OnScore = Callable[[int, int, Score | FailedSequence], None]
"""Called after each sequence: how many are done, of how many, and its score or why it has none."""


def score_results(
    protocol: EvaluationProtocol[Any],
    dataset: Dataset,
    results: ResultFolder,
    run: RunInfo,
    *,
    names: Collection[str],
    failures: Collection[FailedSequence] = (),
    on_sequence: OnScore | None = None,
) -> Evaluation:
    """Score one tracker's raw results.

    Args:
        protocol: by which they were made, with the benchmark.
        dataset: what `protocol.open` returned.
        results: the tracker's folder.
        run: how they were made; its `flavour` names the rules.
        names: of the sequences to score.
        failures: sequences that could not be run, which are not scored.
        on_sequence: called after each sequence.

    Raises:
        CycleSiamError: the rules are of another protocol, or no sequence could be scored; the
            message is that of the first.
    """
    protocol.check_rules(run.flavour)
    scorer = protocol.scorer(dataset, results, run.flavour)
    scores: list[Score] = []
    errors = {failure.name: failure for failure in failures}
    for done, name in enumerate(names, 1):
        outcome: Score | FailedSequence
        if name in errors:
            outcome = errors[name]
        else:
            try:
                outcome = scorer.add(name)
                scores.append(outcome)
            except CycleSiamError as error:
                outcome = errors[name] = FailedSequence(name=name, message=str(error))
        if on_sequence is not None:
            on_sequence(done, len(names), outcome)
    if not scores:
        first = next(iter(errors.values()))
        more = f" (and {len(errors) - 1} more sequences failed)" if len(errors) > 1 else ""
        raise CycleSiamError(f"{first.message}{more}")
    totals = scorer.totals()
    return Evaluation(
        run=run,
        mean=totals.mean,
        sequences=tuple(scores),
        objects=totals.objects,
        attributes=totals.attributes,
        curves=totals.curves,
        eao_interval=totals.eao_interval,
        errors=tuple(errors[name] for name in names if name in errors),
    )
