"""Scores of the reset-based protocol: accuracy, failures and EAO.

T: frames of a sequence.
"""

from typing import cast

import numpy as np

from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.evaluation.benchmarks import Benchmark, Dataset
from cyclesiam.evaluation.metrics import vot_challenge, vot_toolkit
from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.vot import SKIPPED, ResetRuns, SequenceAnalysis, frames_with
from cyclesiam.evaluation.metrics.vot_challenge import challenge_scores
from cyclesiam.evaluation.metrics.vot_toolkit import toolkit_scores
from cyclesiam.evaluation.protocols.reset import ground_truth_regions
from cyclesiam.evaluation.results.evaluation import Curve, Score, ScoringRules
from cyclesiam.evaluation.results.files import ResultFolder, read_times, read_trajectory
from cyclesiam.evaluation.scorers.summary import BenchmarkScores, frames_per_second


def read_reset_runs(results: ResultFolder, sequence: TrackingSequence) -> ResetRuns:
    """Read a sequence's runs with resets, and one frame for the size of its pictures.

    Raises:
        DatasetError: a result is missing or wrong.
    """
    runs = [read_trajectory(path, len(sequence)) for path in results.runs(sequence.name)]
    height, width = next(sequence.images()).shape[:2]
    return ResetRuns(width=width, height=height, truth=ground_truth_regions(sequence), runs=runs)


class ResetScorer:
    """Scores runs with resets by the rules of `pysot` or `vot_toolkit`.

    Args:
        benchmark: whose protocol is `reset`.
        reader: of its boxes and regions.
        results: of one tracker.
        flavour: whose rules.
    """

    def __init__(
        self, benchmark: Benchmark, reader: Dataset, results: ResultFolder, flavour: ScoringRules
    ) -> None:
        self._benchmark = benchmark
        self._reader = cast(TrackingDataset, reader)
        self._results = results
        self._is_toolkit = flavour == "vot_toolkit"
        self._judged: dict[str, SequenceAnalysis] = {}
        self._speeds: list[float] = []
        self._tags: dict[str, dict[str, np.ndarray]] = {}  # tag, sequence, its frames

    def add(self, name: str) -> Score:
        """Score one sequence."""
        sequence = self._reader.read(name, require="some")
        runs = read_reset_runs(self._results, sequence)
        times = read_times(self._results.time_file(name), len(sequence))
        speed = frames_per_second(times, _frames_asked(runs, times))
        rules = vot_toolkit if self._is_toolkit else vot_challenge
        judged = self._judged[name] = rules.analyze_sequence(runs)
        self._speeds.append(speed)
        for tag, frames in sequence.tags.items():
            self._tags.setdefault(tag, {})[name] = frames
        accuracy = judged.accuracy if self._is_toolkit else mean_or_nan(judged.overlaps)
        return Score(
            name=name,
            frames=len(sequence),
            numbers={"accuracy": accuracy, **_failures(judged.mean_failures, len(judged))}
            | {"fps": speed},
        )

    def totals(self) -> BenchmarkScores:
        """Score the benchmark."""
        frames = sum(len(judged) for judged in self._judged.values())
        if self._is_toolkit:
            scores = toolkit_scores(self._judged)
            more = {
                "failures_weighted": scores.failures_weighted,
                "reliability": scores.reliability,
            }
        else:
            scores, more = challenge_scores(self._judged), {}
        numbers = {"accuracy": scores.accuracy, **_failures(scores.failures, frames), **more}
        interval = self._benchmark.interval
        numbers["eao"] = float("nan") if interval is None else scores.eao(interval)
        numbers["fps"] = mean_or_nan(self._speeds)
        # The challenges' programs count the curve's points from 1, today's toolkit from 0.
        lengths = np.arange(len(scores.curve)) + (0 if self._is_toolkit else 1)
        return BenchmarkScores(
            mean=numbers,
            curves=(Curve(name="eao", x=tuple(lengths.tolist()), y=tuple(scores.curve.tolist())),),
            attributes=tuple(self._attribute(tag) for tag in sorted(self._tags)),
            eao_interval=interval,
        )

    def _attribute(self, tag: str) -> Score:
        """Pool the frames that have a tag; a failure counts where it happened."""
        overlaps, failures, frames = [], 0.0, 0
        for name, tagged in self._tags[tag].items():
            judged = self._judged[name]
            overlaps.append(judged.overlaps[tagged])
            frames += int(tagged.sum())
            failures += float(np.mean([tagged[list(run)].sum() for run in judged.failures]))
        pooled = mean_or_nan(np.concatenate(overlaps))
        return Score(
            name=tag, frames=frames, numbers={"accuracy": pooled, **_failures(failures, frames)}
        )


def _failures(failures: float, frames: int) -> dict[str, float]:
    per_100 = 100 * failures / frames if frames else float("nan")
    return {"failures": failures, "failures_per_100_frames": per_100}


def _frames_asked(runs: ResetRuns, times: np.ndarray | None) -> int:
    """Count the frames that the timed runs gave to the tracker."""
    timed = runs.runs[: 0 if times is None else times.shape[1]]
    return sum(len(run) - len(frames_with(run, SKIPPED)) for run in timed)
