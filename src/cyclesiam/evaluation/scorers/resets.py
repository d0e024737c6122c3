"""Scores of the reset-based protocol: accuracy, failures and expected average overlap (EAO).

T: frames of a sequence.
"""

import numpy as np

from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import BenchmarkSpec, ScoringRules
from cyclesiam.evaluation.metrics import vot_challenge, vot_toolkit
from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.regions import RegionArray
from cyclesiam.evaluation.metrics.vot import SKIPPED, ResetRuns, SequenceAnalysis, frames_with
from cyclesiam.evaluation.metrics.vot_challenge import challenge_scores
from cyclesiam.evaluation.metrics.vot_toolkit import toolkit_scores
from cyclesiam.evaluation.results.evaluation import Curve, Score
from cyclesiam.evaluation.results.files import ResultFolder, read_times, read_trajectory
from cyclesiam.evaluation.scorers.summary import BenchmarkScores, frames_per_second
from cyclesiam.geometry.boxes import xyxy_to_xywh


def ground_truth_regions(sequence: TrackingSequence) -> RegionArray:
    """Return the ground truth as the benchmark has it: its regions, or else its boxes.

    Raises:
        DatasetError: a frame has none.
    """
    boxes = xyxy_to_xywh(sequence.boxes)
    regions = boxes if sequence.regions is None else [np.array(r) for r in sequence.regions]
    try:
        return RegionArray.from_regions(regions)
    except ValueError as error:
        raise DatasetError(
            f"{sequence.name}: the protocol `reset` needs a region in every frame: {error}. "
            "Use --protocol ope."
        ) from error


def read_reset_runs(results: ResultFolder, sequence: TrackingSequence) -> ResetRuns:
    """Read a sequence's runs with resets, and one frame for the size of the image.

    Raises:
        DatasetError: a result is missing or wrong.
    """
    runs = [read_trajectory(path, len(sequence)) for path in results.runs(sequence.name)]
    height, width = next(sequence.images()).shape[:2]
    return ResetRuns(width=width, height=height, truth=ground_truth_regions(sequence), runs=runs)


class ResetScorer:
    """Scores runs with resets by the rules of `pysot` or `vot_toolkit`.

    Args:
        benchmark: the benchmark.
        dataset: its sequences with boxes and regions.
        results: of one tracker.
        rules: `pysot` or `vot_toolkit`.
    """

    def __init__(
        self,
        benchmark: BenchmarkSpec,
        dataset: TrackingDataset,
        results: ResultFolder,
        rules: ScoringRules,
    ) -> None:
        self._benchmark = benchmark
        self._dataset = dataset
        self._results = results
        self._is_toolkit = rules == "vot_toolkit"
        self._analyses: dict[str, SequenceAnalysis] = {}
        self._speeds: list[float] = []
        self._tags: dict[str, dict[str, np.ndarray]] = {}  # tag, sequence, its frames

    def add(self, name: str) -> Score:
        """Score one sequence.

        Raises:
            DatasetError: annotation or results are missing or wrong.
        """
        sequence = self._dataset.read(name, require="some")
        runs = read_reset_runs(self._results, sequence)
        times = read_times(self._results.time_file(name), len(sequence))
        speed = frames_per_second(times, _count_frames(runs, times))
        rules = vot_toolkit if self._is_toolkit else vot_challenge
        analysis = self._analyses[name] = rules.analyze_sequence(runs)
        self._speeds.append(speed)
        for tag, frames in sequence.tags.items():
            self._tags.setdefault(tag, {})[name] = frames
        accuracy = analysis.accuracy if self._is_toolkit else mean_or_nan(analysis.overlaps)
        return Score(
            name=name,
            frames=len(sequence),
            numbers={"accuracy": accuracy, **_failures(analysis.mean_failures, len(analysis))}
            | {"fps": speed},
        )

    def totals(self) -> BenchmarkScores:
        """Return the scores of all sequences that were added, at least one."""
        frames = sum(len(analysis) for analysis in self._analyses.values())
        if self._is_toolkit:
            scores = toolkit_scores(self._analyses)
            more = {
                "failures_weighted": scores.failures_weighted,
                "reliability": scores.reliability,
            }
        else:
            scores, more = challenge_scores(self._analyses), {}
        numbers = {"accuracy": scores.accuracy, **_failures(scores.failures, frames), **more}
        interval = self._benchmark.eao_interval
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
        """Return the scores of all frames that have a tag; a failure counts where it happened."""
        overlaps, failures, frames = [], 0.0, 0
        for name, tagged in self._tags[tag].items():
            analysis = self._analyses[name]
            overlaps.append(analysis.overlaps[tagged])
            frames += int(tagged.sum())
            failures += float(np.mean([tagged[list(run)].sum() for run in analysis.failures]))
        pooled = mean_or_nan(np.concatenate(overlaps))
        return Score(
            name=tag, frames=frames, numbers={"accuracy": pooled, **_failures(failures, frames)}
        )


def _failures(failures: float, frames: int) -> dict[str, float]:
    per_100 = 100 * failures / frames if frames else float("nan")
    return {"failures": failures, "failures_per_100_frames": per_100}


def _count_frames(runs: ResetRuns, times: np.ndarray | None) -> int:
    """Return the number of frames that the tracker was given in the timed runs."""
    timed = runs.runs[: 0 if times is None else times.shape[1]]
    return sum(len(run) - len(frames_with(run, SKIPPED)) for run in timed)
