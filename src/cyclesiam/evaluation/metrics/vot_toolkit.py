"""Accuracy, reliability and EAO by the rules of vot-toolkit 0.9, today's Python program.

T: frames of a sequence.

Source: votchallenge/toolkit `vot/analysis`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.regions import Region
from cyclesiam.evaluation.metrics.vot import (
    BURN_IN,
    FAILED,
    INITIALIZED,
    RELIABILITY_LENGTH,
    Fragment,
    Interval,
    ResetRuns,
    SequenceAnalysis,
    accuracy_frames,
    expected_overlap,
    frames_with,
    mean_over_runs,
    require_sequences,
    run_overlaps,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToolkitScores:
    """The numbers of vot-toolkit's report.

    Args:
        accuracy: mean overlap, mean over the sequences weighted by length, 0..1.
        accuracy_of: mean overlap of each sequence, 0 if none of its frames counts.
        failures_weighted: number of failures in a run, mean over the sequences weighted by length.
        failures_of: number of failures in a run of each sequence, mean over its runs.
        reliability: chance to survive `RELIABILITY_LENGTH` frames, exp(-30 failures / length).
        reliability_of: chance to survive `RELIABILITY_LENGTH` frames of each sequence.
        curve: expected overlap by length; index 0 is 0.
    """

    accuracy: float
    accuracy_of: Mapping[str, float]
    failures_weighted: float
    failures_of: Mapping[str, float]
    reliability: float
    reliability_of: Mapping[str, float]
    curve: np.ndarray

    @property
    def failures(self) -> float:
        """Number of failures in a run, sum over the sequences."""
        return float(sum(self.failures_of.values()))

    def eao(self, interval: Interval) -> float:
        """Return the mean of the curve from index low to high, counted from 0; NaN if none."""
        low, high = interval
        return mean_or_nan(self.curve[low : high + 1])


def vot_toolkit(sequences: Mapping[str, ResetRuns], *, burn_in: int = BURN_IN) -> ToolkitScores:
    """Score a tracker by the rules of vot-toolkit; the bounds are always the image.

    Args:
        sequences: name to runs; at least one.
        burn_in: frames that accuracy ignores, from each initialization on.

    Raises:
        ValueError: there is no sequence, or a region is invalid.
    """
    return toolkit_scores({n: analyze_sequence(s, burn_in=burn_in) for n, s in sequences.items()})


def analyze_sequence(sequence: ResetRuns, *, burn_in: int = BURN_IN) -> SequenceAnalysis:
    """Return what `toolkit_scores` needs of one sequence.

    Args:
        sequence: its runs.
        burn_in: frames that accuracy ignores, from each initialization on.

    Raises:
        ValueError: a region is invalid.
    """
    overlaps = toolkit_overlaps(sequence)
    means, fragments = [], []
    for of_run, run in zip(overlaps, sequence.runs, strict=True):
        counted = accuracy_frames(run, burn_in)
        means.append(of_run[counted].mean() if counted.any() else 0.0)
        fragments.extend(_toolkit_fragments(of_run, run))
    return SequenceAnalysis(
        overlaps=mean_over_runs(overlaps, sequence, burn_in),
        failures=tuple(tuple(frames_with(run, FAILED)) for run in sequence.runs),
        fragments=tuple(fragments),
        accuracy=float(np.mean(means)),
    )


def toolkit_scores(sequences: Mapping[str, SequenceAnalysis]) -> ToolkitScores:
    """Score a tracker by the analyses of its sequences.

    Args:
        sequences: name to analysis; at least one.

    Raises:
        ValueError: there is no sequence.
    """
    require_sequences(sequences)
    lengths = np.array([len(sequence) for sequence in sequences.values()])
    accuracy_of = {name: s.accuracy for name, s in sequences.items()}
    failures_of = {name: s.mean_failures for name, s in sequences.items()}
    failures = float(np.average(list(failures_of.values()), weights=lengths))
    fragments = [fragment for s in sequences.values() for fragment in s.fragments]
    return ToolkitScores(
        accuracy=float(np.average(list(accuracy_of.values()), weights=lengths)),
        accuracy_of=accuracy_of,
        failures_weighted=failures,
        failures_of=failures_of,
        reliability=_reliability(failures, float(lengths.mean())),
        reliability_of={
            name: _reliability(failures_of[name], len(s)) for name, s in sequences.items()
        },
        curve=expected_overlap(fragments, max(len(f.overlaps) for f in fragments)),
    )


def toolkit_overlaps(sequence: ResetRuns) -> list[np.ndarray]:
    """Return each run's overlaps (T,) by the rules of vot-toolkit; 0 where there is a code."""
    return run_overlaps(sequence, (sequence.width, sequence.height), "vot_toolkit")


def _toolkit_fragments(overlaps: np.ndarray, run: Sequence[Region]) -> Iterable[Fragment]:
    """Split a run: from each initialization to the frame before a failure, or to the run's end."""
    failures = frames_with(run, FAILED)
    for start in frames_with(run, INITIALIZED):
        end = next((frame for frame in failures if frame > start), None)
        yield Fragment(overlaps[start:end], failed=end is not None)


def _reliability(failures: float, length: float) -> float:
    return float(np.exp(-RELIABILITY_LENGTH * failures / length))
