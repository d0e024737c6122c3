"""Scores of one pass: success and precision, and the average overlap of GOT-10k.

T: frames of a sequence.
"""

from dataclasses import dataclass, field

import numpy as np

from cyclesiam.datasets.sequences import TrackingDataset, TrackingSequence
from cyclesiam.errors import DatasetError
from cyclesiam.evaluation.benchmarks import BenchmarkSpec, ScoringRules
from cyclesiam.evaluation.metrics.boxes import (
    NORM_PRECISION_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
)
from cyclesiam.evaluation.metrics.got10k import average_overlap_scores, scored_ious
from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.otb import OPECurves, got10k_curves, mean_curves, pysot_curves
from cyclesiam.evaluation.results.evaluation import Curve, Score
from cyclesiam.evaluation.results.files import ResultFolder, read_boxes, read_times
from cyclesiam.evaluation.scorers.summary import BenchmarkScores, frames_per_second
from cyclesiam.geometry.boxes import xyxy_to_xywh

DECIMALS = 6  # more than annotations have: undoes the last bit of x + w - x


@dataclass(frozen=True, slots=True, eq=False)
class BoxRun:
    """One run from frame `first` on.

    Args:
        first: its first frame.
        boxes: (T, 4) xywh as in the file.
        truth: (T, 4) xywh, the ground truth in the same coordinates.
    """

    first: int
    boxes: np.ndarray
    truth: np.ndarray


def read_runs(
    benchmark: BenchmarkSpec, results: ResultFolder, sequence: TrackingSequence
) -> list[BoxRun]:
    """Read a sequence's runs of one pass: repetitions, and those that started later.

    Raises:
        DatasetError: a result is missing or wrong.
    """
    truth = ground_truth_boxes(benchmark, sequence)
    runs = [
        BoxRun(0, read_boxes(path, len(sequence)), truth) for path in results.runs(sequence.name)
    ]
    for first, path in results.starts(sequence.name).items():
        if first >= len(sequence):
            raise DatasetError(
                f"{path}: begins behind the end of the sequence, which has {len(sequence)} frames. "
                "Remove this file."
            )
        runs.append(BoxRun(first, read_boxes(path, len(sequence) - first), truth[first:]))
    return runs


def ground_truth_boxes(benchmark: BenchmarkSpec, sequence: TrackingSequence) -> np.ndarray:
    """Return the ground truth (T, 4) xywh as the benchmark's files have it, NaN where unknown.

    Raises:
        DatasetError: only the first frame has a box, as the benchmark keeps the others secret.
    """
    truth = np.array(xyxy_to_xywh(sequence.boxes))
    truth[:, :2] += benchmark.origin
    if len(truth) > 1 and np.isnan(truth[1:]).any(axis=1).all():
        raise DatasetError(
            f"{sequence.name}: only the first frame has a box, as the benchmark keeps the others "
            "secret. Send the raw results to its server."
        )
    return np.round(truth, DECIMALS)


@dataclass(slots=True)
class _Attribute:
    """Curves of the sequences that have an attribute, over the frames that have it."""

    frames: int = 0
    curves: list[OPECurves] = field(default_factory=list)


class BoxScorer:
    """Scores one pass: the mean over sequences; where the benchmark pools frames, over frames too.

    Args:
        benchmark: the benchmark.
        dataset: its sequences with boxes.
        results: of one tracker.
        rules: `pysot` or `got10k`, the rules of success and precision.
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
        self._make_curves = got10k_curves if rules == "got10k" else pysot_curves
        self._curves: list[OPECurves] = []
        self._speeds: list[float] = []
        self._pooled: list[np.ndarray] = []
        self._attributes: dict[str, _Attribute] = {}

    def add(self, name: str) -> Score:
        """Score one sequence.

        Raises:
            DatasetError: annotation or results are missing or wrong.
        """
        sequence = self._dataset.read(name, require="some")
        runs = read_runs(self._benchmark, self._results, sequence)
        times = read_times(self._results.time_file(name), len(sequence))
        speed = frames_per_second(times, sum(len(run.boxes) for run in runs))
        curves = mean_curves([self._make_curves(run.boxes, run.truth) for run in runs])
        overlaps = self._pooled_overlaps(sequence, runs)
        for tag, frames in sequence.tags.items():
            self._add_attribute(tag, frames, runs)
        self._curves.append(curves)
        self._speeds.append(speed)
        self._pooled.append(overlaps)
        numbers = {**self._numbers(curves, overlaps), "fps": speed}
        return Score(name=name, frames=len(sequence), numbers=numbers)

    def totals(self) -> BenchmarkScores:
        """Return the scores of all sequences that were added, at least one."""
        mean = mean_curves(self._curves)
        numbers = self._numbers(mean, np.concatenate(self._pooled))
        attributes = (
            Score(name=tag, frames=a.frames, numbers=self._numbers(mean_curves(a.curves), None))
            for tag, a in sorted(self._attributes.items())
        )
        return BenchmarkScores(
            mean={**numbers, "fps": mean_or_nan(self._speeds)},
            curves=tuple(_named_curves(mean)),
            attributes=tuple(attributes),
        )

    def _numbers(self, curves: OPECurves, overlaps: np.ndarray | None) -> dict[str, float]:
        numbers = {"auc": curves.success_auc, "precision_20": curves.precision_20}
        if curves.norm_precision_20 is not None:
            numbers["norm_precision_20"] = curves.norm_precision_20
        if not self._benchmark.pools_frames or overlaps is None:
            return numbers
        pooled = average_overlap_scores(overlaps)
        return {"ao": pooled.ao, "sr_50": pooled.sr_50, "sr_75": pooled.sr_75, **numbers}

    def _pooled_overlaps(self, sequence: TrackingSequence, runs: list[BoxRun]) -> np.ndarray:
        if not self._benchmark.pools_frames:
            return np.empty(0)
        height, width = next(sequence.images()).shape[:2]
        visibility = np.ones(len(sequence)) if sequence.visibility is None else sequence.visibility
        return np.concatenate(
            [
                scored_ious(
                    [run.boxes],
                    run.truth,
                    cover=visibility[run.first :],
                    resolution=(width, height),
                )
                for run in runs
            ]
        )

    def _add_attribute(self, tag: str, frames: np.ndarray, runs: list[BoxRun]) -> None:
        tagged = [run for run in runs if frames[run.first :].any()]
        if not tagged:
            return
        attribute = self._attributes.setdefault(tag, _Attribute())
        attribute.frames += int(frames.sum())
        curves = (
            self._make_curves(run.boxes[frames[run.first :]], run.truth[frames[run.first :]])
            for run in tagged
        )
        attribute.curves.append(mean_curves([*curves]))


def _named_curves(curves: OPECurves) -> list[Curve]:
    named = [
        ("success", SUCCESS_THRESHOLDS, curves.success),
        ("precision", PRECISION_THRESHOLDS, curves.precision),
    ]
    if curves.norm_precision is not None:
        named.append(("norm_precision", NORM_PRECISION_THRESHOLDS, curves.norm_precision))
    return [Curve(name=name, x=tuple(x.tolist()), y=tuple(y.tolist())) for name, x, y in named]
