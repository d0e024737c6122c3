"""Accuracy, robustness and expected average overlap (EAO) of the reset-based VOT challenges.

T: frames of a sequence. A trajectory holds for each frame a region, or a code: 1 where the tracker
was initialised, 2 where it failed, 0 where frames were skipped after a failure.

Two programs give two sets of numbers, and neither is wrong: `challenge_scores` has what papers give
for VOT2016 and VOT2018 (pysot, the MATLAB toolkit); `toolkit_scores` what today's Python program
gives. They differ in the pooling of frames, the padding of fragments and the interval of the EAO.

Source: Kristan et al., "The Visual Object Tracking VOT2015/VOT2018 challenge results"; Čehovin et
al., TPAMI 2016.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.metrics.region_overlap import Bounds, OverlapRules, region_overlaps
from cyclesiam.evaluation.metrics.regions import Region, RegionArray, is_code

SKIPPED, INITIALISED, FAILED = 0, 1, 2
BURN_IN = 10  # frames from an initialisation on that accuracy ignores, that frame included
RESTART_AFTER = 5  # frames from a failure to the next initialisation
RELIABILITY_LENGTH = 30  # frames that a tracker should survive, in vot-toolkit's reliability

Interval = tuple[int, int]
EAO_INTERVALS: Mapping[str, Interval] = {
    "vot2016": (108, 371),
    "vot2017": (100, 356),
    "vot2018": (100, 356),
    "vot2019": (46, 291),
}
"""Lengths of typical sequences of each challenge; the EAO is the curve's mean over them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResetRuns:
    """What a tracker answered on one sequence under supervision, and the truth.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        truth: T regions.
        runs: repetitions, each a trajectory of T regions or codes.

    Raises:
        ValueError: no run, a run of another length than the truth, or one that does not begin with
            an initialisation.
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
        if not all(len(run) and is_code(run[0], INITIALISED) for run in self.runs):
            raise ValueError(f"a run must begin with the code {INITIALISED} (initialisation)")

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def failures(self) -> list[int]:
        """Number of failures in each run."""
        return [len(frames_with(run, FAILED)) for run in self.runs]


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A run from one initialisation to the next, or to its end.

    Args:
        overlaps: (T,) of its frames; the first is the initialisation.
        failed: it counts as zero overlap for ever after; else it just ends.
        weight: its share.
    """

    overlaps: np.ndarray
    failed: bool
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SequenceAnalysis:
    """What the scores of a benchmark need of one sequence; its regions can be forgotten.

    Args:
        overlaps: (T,) mean over the runs in which a frame counts, NaN where in none.
        failures: of each run, the frames in which it failed.
        fragments: of all runs.
        accuracy: of the sequence, by vot-toolkit's rule; else NaN.
    """

    overlaps: np.ndarray
    failures: tuple[tuple[int, ...], ...]
    fragments: tuple[Fragment, ...]
    accuracy: float = float("nan")

    def __len__(self) -> int:
        return len(self.overlaps)

    @property
    def mean_failures(self) -> float:
        """Failures in a run."""
        return float(np.mean([len(run) for run in self.failures]))


def frames_with(trajectory: Sequence[Region], code: int) -> list[int]:
    """List the frames of a trajectory that hold a code."""
    return RegionArray.from_regions(trajectory).frames_with(code)


def accuracy_frames(trajectory: Sequence[Region], burn_in: int = BURN_IN) -> np.ndarray:
    """Say which frames (T,) count for accuracy: no codes, and none of the burn-in."""
    judged = ~RegionArray.from_regions(trajectory).is_code
    for start in frames_with(trajectory, INITIALISED):
        judged[start : start + burn_in] = False
    return judged


def mean_of(values: np.ndarray) -> float:
    """Give the mean, NaN of nothing (where numpy warns)."""
    return float(values.mean()) if len(values) else float("nan")


def mean_or_nan(values: np.ndarray) -> float:
    """Give the mean of the values that are not NaN; NaN if there are none."""
    return mean_of(values[~np.isnan(values)])


def expected_overlap(fragments: Iterable[Fragment], length: int) -> np.ndarray:
    """Give the overlap to be expected after each number of frames.

    Args:
        fragments: of all runs.
        length: L, of the curve; no fragment is longer.

    Returns:
        (L,): at i > 0 the weighted mean, over the fragments that reach frame i or have failed, of
        the mean overlap in their frames 1 to i. 0 at 0, and where there is no such fragment.
    """
    sums, weights = np.zeros(length - 1), np.zeros(length - 1)  # of the fragments, at 1, 2 ...
    later_sums, later_weights = np.zeros(length), np.zeros(length)  # from there on
    for fragment in fragments:
        overlaps = fragment.overlaps[1:]
        reached, reaches = overlaps.cumsum(), ~np.isnan(overlaps)
        end = len(overlaps)
        sums[:end] += np.where(reaches, fragment.weight * reached, 0)
        weights[:end] += fragment.weight * reaches
        if fragment.failed:
            later_sums[end] += fragment.weight * reached[-1] if end else 0
            later_weights[end] += fragment.weight
    sums += later_sums[:-1].cumsum()
    weights += later_weights[:-1].cumsum()
    means = sums / np.arange(1, length) / np.where(weights > 0, weights, 1)
    return np.concatenate(([0.0], means))


def mean_over_runs(runs: Iterable[np.ndarray], sequence: ResetRuns, burn_in: int) -> np.ndarray:
    """Give each frame's overlap (T,), mean over the runs in which it counts, NaN where in none."""
    judged = [
        np.where(accuracy_frames(run, burn_in), overlaps, np.nan)
        for overlaps, run in zip(runs, sequence.runs, strict=True)
    ]
    if len(judged) == 1:
        return judged[0]
    return np.array([mean_or_nan(frame) for frame in np.stack(judged, axis=1)])


def run_overlaps(sequence: ResetRuns, bounds: Bounds, rules: OverlapRules) -> list[np.ndarray]:
    """Give the overlaps (T,) of each run."""
    return [region_overlaps(run, sequence.truth, bounds, rules) for run in sequence.runs]


def require_sequences(sequences: Mapping[str, SequenceAnalysis]) -> None:
    """Refuse to score nothing.

    Raises:
        ValueError: there are no sequences.
    """
    if not sequences:
        raise ValueError("there is no sequence to score")
