"""Scores of raw results, whoever made them: nothing is run, only files are read.

One sequence is in memory at a time, beside a few numbers for each frame of those before it.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from cyclesiam.errors import CycleSiamError
from cyclesiam.evaluation.benchmarks import Benchmark, Dataset, check_rules
from cyclesiam.evaluation.results.evaluation import Evaluation, FailedSequence, RunInfo, Score
from cyclesiam.evaluation.results.files import ResultFolder
from cyclesiam.evaluation.scorers.boxes import BoxScorer
from cyclesiam.evaluation.scorers.masks import MaskScorer
from cyclesiam.evaluation.scorers.resets import ResetScorer
from cyclesiam.evaluation.scorers.summary import BenchmarkScores

Progress = Callable[[int, int, Score | FailedSequence], None]
"""Told after each sequence: how many are done, of how many, and its score or why it has none."""


class Scorer(Protocol):
    """Scores the sequences of a benchmark one by one, then the whole."""

    def add(self, name: str) -> Score:
        """Score one sequence.

        Raises:
            CycleSiamError: annotation or results are missing or wrong; it then counts nowhere.
        """
        ...

    def totals(self) -> BenchmarkScores:
        """Score what was added, one sequence at least."""
        ...


def score_results(
    benchmark: Benchmark,
    reader: Dataset,
    results: ResultFolder,
    run: RunInfo,
    *,
    names: Collection[str],
    failures: Collection[FailedSequence] = (),
    on_sequence: Progress | None = None,
) -> Evaluation:
    """Score one tracker's raw results.

    Args:
        benchmark: with the protocol that they were made by.
        reader: of the benchmark.
        results: the tracker's folder.
        run: how they came about; its flavour decides the rules.
        names: of the sequences to score.
        failures: sequences that could not be run, which are not scored.
        on_sequence: told after each sequence.

    Raises:
        CycleSiamError: the flavour is of another protocol, or no sequence could be scored; the
            message is that of the first.
    """
    scorer = make_scorer(benchmark, reader, results, run)
    scores: list[Score] = []
    errors = {failure.name: failure for failure in failures}
    for done, name in enumerate(names, 1):
        news: Score | FailedSequence
        if name in errors:
            news = errors[name]
        else:
            try:
                news = scorer.add(name)
                scores.append(news)
            except CycleSiamError as error:
                news = errors[name] = FailedSequence(name=name, message=str(error))
        if on_sequence is not None:
            on_sequence(done, len(names), news)
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


def make_scorer(
    benchmark: Benchmark, reader: Dataset, results: ResultFolder, run: RunInfo
) -> Scorer:
    """Give the scorer of a protocol.

    Raises:
        CycleSiamError: the run's flavour is of another protocol.
    """
    check_rules(benchmark.protocol, run.flavour)
    scorers = {"ope": BoxScorer, "reset": ResetScorer, "segmentation": MaskScorer}
    return scorers[benchmark.protocol](benchmark, reader, results, run.flavour)
