"""Accuracy, robustness and EAO as pysot and the MATLAB toolkit of the VOT challenges give them.

T: frames of a sequence.

Source: STVIR/pysot `toolkit/`; the MATLAB toolkit of 2016 to 2019.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

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
    mean_of,
    mean_or_nan,
    mean_over_runs,
    require_sequences,
    run_overlaps,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChallengeScores:
    """The numbers of a challenge's table.

    Args:
        accuracy: mean overlap over the frames of all sequences, 0..1; NaN if no frame counts.
        accuracy_of: the same for each sequence.
        failures: sum over the sequences of the failures in a run ("lost number").
        failures_per_100_frames: that, per 100 frames ("robustness" in pysot's table).
        curve: expected overlap by length; index 0 is 1.
    """

    accuracy: float
    accuracy_of: Mapping[str, float]
    failures: float
    failures_per_100_frames: float
    curve: np.ndarray

    def eao(self, interval: Interval) -> float:
        """Give the mean of the curve's points number low to high, counted from 1; NaN if none."""
        low, high = interval
        return mean_of(self.curve[low - 1 : high])


def vot_challenge(
    sequences: Mapping[str, ResetRuns],
    rules: Literal["pysot", "matlab_2019"] = "pysot",
    *,
    burn_in: int = BURN_IN,
    restart_after: int = RESTART_AFTER,
) -> ChallengeScores:
    """Score a tracker as the MATLAB toolkit and pysot do.

    Args:
        sequences: each by its name; at least one.
        rules: of overlap; `matlab_2019` for VOT2019.
        burn_in: frames after an initialisation that accuracy ignores.
        restart_after: frames from a failure to the next initialisation.

    Returns:
        Accuracy with the bounds (W, H), the curve with (W - 1, H - 1), as those programs do.

    Raises:
        ValueError: no sequences, or a region that is none.
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
    """Judge one sequence for `challenge_scores`; the arguments are those of `vot_challenge`."""
    every, inner = _overlaps_of_both_bounds(sequence, rules)
    fragments = _challenge_fragments(sequence, inner, restart_after)
    return SequenceAnalysis(
        overlaps=mean_over_runs(every, sequence, burn_in),
        failures=tuple(tuple(frames_with(run, FAILED)) for run in sequence.runs),
        fragments=tuple(fragments),
    )


def challenge_scores(sequences: Mapping[str, SequenceAnalysis]) -> ChallengeScores:
    """Score a tracker by its sequences, each by its name; at least one.

    Raises:
        ValueError: no sequences.
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


def challenge_overlaps(
    sequence: ResetRuns, rules: OverlapRules = "pysot", *, burn_in: int = BURN_IN
) -> np.ndarray:
    """Give each frame's overlap (T,), mean over the runs in which it counts, NaN where in none."""
    runs = run_overlaps(sequence, (sequence.width, sequence.height), rules)
    return mean_over_runs(runs, sequence, burn_in)


def _overlaps_of_both_bounds(
    sequence: ResetRuns, rules: OverlapRules
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give each run's overlaps with the bounds (W, H) and with (W - 1, H - 1).

    They differ only where a region reaches the image's right or lower border.
    """
    width, height = sequence.width, sequence.height
    every = run_overlaps(sequence, (width, height), rules)
    inner = []
    for overlaps, run in zip(every, sequence.runs, strict=True):
        run, truth = RegionArray.from_regions(run), RegionArray.from_regions(sequence.truth)
        beyond = run.exceeds(width - 1, height - 1) | truth.exceeds(width - 1, height - 1)
        again = np.flatnonzero(beyond)
        inner.append(overlaps.copy())
        inner[-1][again] = region_overlaps(
            run.take(again), truth.take(again), (width - 1, height - 1), rules
        )
    return every, inner


def _challenge_fragments(
    sequence: ResetRuns, runs: Iterable[np.ndarray], restart_after: int
) -> Iterable[Fragment]:
    """Cut the runs at the initialisations; a failed fragment includes the next one's first frame.

    A failure so late that no initialisation follows does not end its fragment: its frames without
    overlap count as zero, and it ends with the sequence.
    """
    share = 1 / len(sequence.runs)
    for overlaps, run in zip(runs, sequence.runs, strict=True):
        restarts = [frame + restart_after for frame in frames_with(run, FAILED)]
        starts = [0, *(start for start in restarts if start <= len(run))]
        if restarts:
            overlaps = np.nan_to_num(overlaps)
        for start, end in pairwise(starts):
            frames = overlaps[start : end + 1]  # one less than wanted where the end is the run's
            weight = share * len(frames) / (end + 1 - start)
            yield Fragment(frames, failed=True, weight=weight)
        yield Fragment(overlaps[starts[-1] :], failed=False, weight=share)
