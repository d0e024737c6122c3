"""Accuracy, robustness and expected average overlap (EAO) of the reset-based VOT challenges.

T: frames of a sequence. L: length of a curve.

A trajectory holds for each frame a region or a code: 1 where the tracker was initialized, 2 where
it failed, 0 where frames were skipped after a failure.

Two programs yield two sets of numbers, and both are right. `vot_challenge` has those that papers
report for VOT2016 and VOT2018 (pysot, the MATLAB toolkit); `vot_toolkit` those of today's Python
program. They differ in the pooling of frames, the padding of fragments and the interval of the EAO.

Source: Kristan et al., "The Visual Object Tracking VOT2015/VOT2018 challenge results"; Čehovin et
al., TPAMI 2016.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.means import mean_or_nan
from cyclesiam.evaluation.metrics.region_overlap import Bounds, OverlapRules, region_overlaps
from cyclesiam.evaluation.metrics.regions import Region, RegionArray, is_code

SKIPPED, INITIALIZED, FAILED = 0, 1, 2
BURN_IN = 10  # frames that accuracy ignores, counted from the frame of an initialization
RESTART_AFTER = 5  # frames from a failure to the next initialization
RELIABILITY_LENGTH = 30  # frames that a tracker should survive, in vot-toolkit's reliability

Interval = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResetRuns:
    """Ground truth of one sequence, and a tracker's runs on it with resets.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        truth: T regions.
        runs: repetitions, each a trajectory of T regions or codes.

    Raises:
        ValueError: there is no run, a run and the ground truth differ in length, or a run does not
            begin with an initialization.
    """

    width: float
    height: float
    truth: Sequence[Region]
    runs: Sequence[Sequence[Region]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", RegionArray.from_regions(self.truth))
        object.__setattr__(self, "runs", tuple(RegionArray.from_regions(run) for run in self.runs))
        if not self.runs or any(len(run) != len(self.truth) for run in self.runs):
            raise ValueError(
                f"a sequence needs runs of its {len(self.truth)} frames, "
                f"got runs of {[len(run) for run in self.runs]}"
            )
        if not all(len(run) and is_code(run[0], INITIALIZED) for run in self.runs):
            raise ValueError(f"a run must begin with the code {INITIALIZED} (initialization)")

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def failures(self) -> list[int]:
        """Number of failures in each run."""
        return [len(frames_with(run, FAILED)) for run in self.runs]


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A part of a run, from one initialization to the next or to the run's end.

    Args:
        overlaps: (T,) of its frames; the first is the initialization.
        failed: whether it ended with a failure: its overlap is then zero in all later frames.
        weight: in the mean over fragments.
    """

    overlaps: np.ndarray
    failed: bool
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SequenceAnalysis:
    """All that the scores of a benchmark need of one sequence; its regions can be discarded.

    Args:
        overlaps: (T,) mean over the runs in which a frame counts, NaN where it counts in none.
        failures: frames in which each run failed.
        fragments: of all runs.
        accuracy: of the sequence, by vot-toolkit's rule, 0..1; NaN for other rules.
    """

    overlaps: np.ndarray
    failures: tuple[tuple[int, ...], ...]
    fragments: tuple[Fragment, ...]
    accuracy: float = float("nan")

    def __len__(self) -> int:
        return len(self.overlaps)

    @property
    def mean_failures(self) -> float:
        """Number of failures in a run, mean over the runs."""
        return float(np.mean([len(run) for run in self.failures]))


def frames_with(trajectory: Sequence[Region], code: int) -> list[int]:
    """Return the frames of a trajectory that hold a code."""
    return RegionArray.from_regions(trajectory).frames_with(code)


def accuracy_frames(trajectory: Sequence[Region], burn_in: int = BURN_IN) -> np.ndarray:
    """Return which frames count for accuracy: those without code and outside the burn-in.

    Args:
        trajectory: T regions or codes.
        burn_in: frames that do not count, from each initialization on.

    Returns:
        (T,) bool.
    """
    counted = ~RegionArray.from_regions(trajectory).is_code
    for start in frames_with(trajectory, INITIALIZED):
        counted[start : start + burn_in] = False
    return counted


def expected_overlap(fragments: Iterable[Fragment], length: int) -> np.ndarray:
    """Return the overlap to be expected after each number of frames.

    Args:
        fragments: of all runs.
        length: L, of the curve; no fragment is longer.

    Returns:
        (L,): at i > 0 the weighted mean, over the fragments that reach frame i or have failed, of
        the mean overlap in their frames 1 to i. 0 at 0, and where there is no such fragment.
    """
    sums, weights = np.zeros(length - 1), np.zeros(length - 1)  # of the fragments, at 1, 2 ...
    later_sums, later_weights = np.zeros(length), np.zeros(length)  # of failed ones, from there on
    for fragment in fragments:
        overlaps = fragment.overlaps[1:]
        total, is_reached = overlaps.cumsum(), ~np.isnan(overlaps)
        end = len(overlaps)
        sums[:end] += np.where(is_reached, fragment.weight * total, 0)
        weights[:end] += fragment.weight * is_reached
        if fragment.failed:
            later_sums[end] += fragment.weight * total[-1] if end else 0
            later_weights[end] += fragment.weight
    sums += later_sums[:-1].cumsum()
    weights += later_weights[:-1].cumsum()
    means = sums / np.arange(1, length) / np.where(weights > 0, weights, 1)
    return np.concatenate(([0.0], means))


def mean_over_runs(overlaps: Iterable[np.ndarray], runs: ResetRuns, burn_in: int) -> np.ndarray:
    """Return each frame's mean overlap over the runs in which it counts.

    Args:
        overlaps: (T,) of each run.
        runs: of one sequence.
        burn_in: frames that do not count, from each initialization on.

    Returns:
        (T,) in 0..1, NaN where a frame counts in no run.
    """
    counted = [
        np.where(accuracy_frames(run, burn_in), of_run, np.nan)
        for of_run, run in zip(overlaps, runs.runs, strict=True)
    ]
    if len(counted) == 1:
        return counted[0]
    return np.array([mean_or_nan(frame) for frame in np.stack(counted, axis=1)])


def run_overlaps(runs: ResetRuns, bounds: Bounds, rules: OverlapRules) -> list[np.ndarray]:
    """Return the overlaps (T,) of each run with the ground truth."""
    return [region_overlaps(run, runs.truth, bounds, rules) for run in runs.runs]


def require_sequences(sequences: Mapping[str, SequenceAnalysis]) -> None:
    """Check that there is a sequence to score.

    Raises:
        ValueError: there is none.
    """
    if not sequences:
        raise ValueError("there is no sequence to score")
