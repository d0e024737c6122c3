"""Accuracy, robustness and EAO by the rules of pysot and the MATLAB toolkit of the challenges.

T: frames of a sequence.

Source: STVIR/pysot `toolkit/`; the MATLAB toolkit of 2016 to 2019.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.region_overlap import OverlapRules, region_overlaps
from cyclesiam.evaluation.metrics.regions import RegionArray
from cyclesiam.evaluation.metrics.vot import (
    BURN_IN,
    FAILED,
    RESTART_AFTER,
    Fragment,
    Interval,
    ResetRuns,
    SequenceAnalysis,
    expected_overlap,
    frames_with,
    mean_over_runs,
    require_sequences,
    run_overlaps,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChallengeScores:
    """The numbers of a challenge's table.

    Args:
        accuracy: mean overlap over the frames of all sequences, 0..1; NaN if no frame counts.
        accuracy_of: mean overlap of each sequence, 0..1; NaN if none of its frames counts.
        failures: number of failures in a run, sum over the sequences ("lost number").
        failures_per_100_frames: `failures` per 100 frames ("robustness" in pysot's table).
        curve: expected overlap by length; index 0 is 1.
    """

    accuracy: float
    accuracy_of: Mapping[str, float]
    failures: float
    failures_per_100_frames: float
    curve: np.ndarray

    def eao(self, interval: Interval) -> float:
        """Return the mean of the curve's points low to high, counted from 1; NaN if none."""
        low, high = interval
        return mean_or_nan(self.curve[low - 1 : high])


def vot_challenge(
    sequences: Mapping[str, ResetRuns],
    rules: Literal["pysot", "matlab_2019"] = "pysot",
    *,
    burn_in: int = BURN_IN,
    restart_after: int = RESTART_AFTER,
) -> ChallengeScores:
    """Score a tracker by the rules of the MATLAB toolkit and pysot.

    Args:
        sequences: name to runs; at least one.
        rules: of overlap; `matlab_2019` for VOT2019.
        burn_in: frames that accuracy ignores, from each initialization on.
        restart_after: frames from a failure to the next initialization.

    Returns:
        Accuracy with the bounds (W, H), the curve with (W - 1, H - 1), as in those programs.

    Raises:
        ValueError: there is no sequence, or a region is invalid.
    """
    return challenge_scores(
        {
            name: analyze_sequence(runs, rules, burn_in=burn_in, restart_after=restart_after)
            for name, runs in sequences.items()
        }
    )


def analyze_sequence(
    sequence: ResetRuns,
    rules: OverlapRules = "pysot",
    *,
    burn_in: int = BURN_IN,
    restart_after: int = RESTART_AFTER,
) -> SequenceAnalysis:
    """Return what `challenge_scores` needs of one sequence.

    Args:
        sequence: its runs.
        rules: of overlap.
        burn_in: frames that accuracy ignores, from each initialization on.
        restart_after: frames from a failure to the next initialization.

    Raises:
        ValueError: a region is invalid.
    """
    outer, inner = _overlaps_of_both_bounds(sequence, rules)
    fragments = _challenge_fragments(sequence, inner, restart_after)
    return SequenceAnalysis(
        overlaps=mean_over_runs(outer, sequence, burn_in),
        failures=tuple(tuple(frames_with(run, FAILED)) for run in sequence.runs),
        fragments=tuple(fragments),
    )


def challenge_scores(sequences: Mapping[str, SequenceAnalysis]) -> ChallengeScores:
    """Score a tracker by the analyses of its sequences.

    Args:
        sequences: name to analysis; at least one.

    Raises:
        ValueError: there is no sequence.
    """
    require_sequences(sequences)
    failures = float(sum(s.mean_failures for s in sequences.values()))
    curve = expected_overlap(
        (fragment for s in sequences.values() for fragment in s.fragments),
        max(len(s) for s in sequences.values()),
    )
    curve[0] = 1
    return ChallengeScores(
        accuracy=mean_or_nan(np.concatenate([s.overlaps for s in sequences.values()])),
        accuracy_of={name: mean_or_nan(s.overlaps) for name, s in sequences.items()},
        failures=failures,
        failures_per_100_frames=100 * failures / sum(len(s) for s in sequences.values()),
        curve=curve,
    )


def _overlaps_of_both_bounds(
    sequence: ResetRuns, rules: OverlapRules
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return each run's overlaps with the bounds (W, H) and with (W - 1, H - 1).

    They differ only where a region reaches the image's right or lower border.
    """
    width, height = sequence.width, sequence.height
    outer = run_overlaps(sequence, (width, height), rules)
    inner = []
    for overlaps, run in zip(outer, sequence.runs, strict=True):
        run, truth = RegionArray.from_regions(run), RegionArray.from_regions(sequence.truth)
        differs = run.exceeds(width - 1, height - 1) | truth.exceeds(width - 1, height - 1)
        frames = np.flatnonzero(differs)
        inner.append(overlaps.copy())
        inner[-1][frames] = region_overlaps(
            run.take(frames), truth.take(frames), (width - 1, height - 1), rules
        )
    return outer, inner


def _challenge_fragments(
    sequence: ResetRuns, overlaps: Iterable[np.ndarray], restart_after: int
) -> Iterable[Fragment]:
    """Split the runs at the initializations; a failed fragment includes the next one's first frame.

    A failure so late that no initialization follows does not end its fragment: its frames without
    overlap count as zero, and it ends with the sequence.
    """
    run_weight = 1 / len(sequence.runs)
    for of_run, run in zip(overlaps, sequence.runs, strict=True):
        restarts = [frame + restart_after for frame in frames_with(run, FAILED)]
        starts = [0, *(start for start in restarts if start <= len(run))]
        values = np.nan_to_num(of_run) if restarts else of_run
        for start, end in pairwise(starts):
            frames = values[start : end + 1]  # one frame short where `end` is the run's length
            weight = run_weight * len(frames) / (end + 1 - start)
            yield Fragment(frames, failed=True, weight=weight)
        yield Fragment(values[starts[-1] :], failed=False, weight=run_weight)
