"""Accuracy, robustness and expected average overlap (EAO) of the reset-based VOT challenges.

T: frames of a sequence. A trajectory holds for each frame a region, or a code: 1 where the tracker
was initialised, 2 where it failed, 0 where frames were skipped after a failure.

Two programs give two sets of numbers, and neither is wrong: `vot_challenge` computes what papers
give for VOT2016 and VOT2018 (pysot, the MATLAB toolkit); `vot_toolkit` what today's Python program
gives. They differ in the pooling of frames, the padding of fragments and the interval of the EAO.

Source: Kristan et al., "The Visual Object Tracking VOT2015/VOT2018 challenge results"; Čehovin et
al., TPAMI 2016.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from cyclesiam.evaluation.region_overlap import Bounds, Region, Rules, is_code, region_overlaps

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
class SupervisedRuns:
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
        return _mean(self.curve[low - 1 : high])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToolkitScores:
    """The numbers of vot-toolkit's report.

    Args:
        accuracy: mean over the sequences, weighted by length, 0..1.
        accuracy_of: each sequence's, 0 if no frame counts.
        failures_weighted: failures in a run, mean over the sequences weighted by length.
        failures_of: each sequence's mean over its runs.
        reliability: chance to survive `RELIABILITY_LENGTH` frames, exp(-30 failures / length).
        reliability_of: the same for each sequence.
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
        """Sum over the sequences of the failures in a run."""
        return float(sum(self.failures_of.values()))

    def eao(self, interval: Interval) -> float:
        """Give the mean of the curve from index low to high, counted from 0; NaN if none."""
        low, high = interval
        return _mean(self.curve[low : high + 1])


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


def frames_with(trajectory: Sequence[Region], code: int) -> list[int]:
    """List the frames of a trajectory that hold a code."""
    return [frame for frame, region in enumerate(trajectory) if is_code(region, code)]


def judged_frames(trajectory: Sequence[Region], burn_in: int = BURN_IN) -> np.ndarray:
    """Say which frames (T,) count for accuracy: no codes, and none of the burn-in."""
    judged = np.array([not is_code(region) for region in trajectory], bool)
    for start in frames_with(trajectory, INITIALISED):
        judged[start : start + burn_in] = False
    return judged


def _mean(values: np.ndarray) -> float:
    """Give the mean, NaN of nothing (where numpy warns)."""
    return float(values.mean()) if len(values) else float("nan")


def _mean_known(values: np.ndarray) -> float:
    """Give the mean of the values that are not NaN; NaN if there are none."""
    return _mean(values[~np.isnan(values)])


def expected_overlap(fragments: Iterable[Fragment], length: int) -> np.ndarray:
    """Give the overlap to be expected after each number of frames.

    Args:
        fragments: of all runs.
        length: L, of the curve; no fragment is longer.

    Returns:
        (L,): at i > 0 the weighted mean, over the fragments that reach frame i or have failed, of
        the mean overlap in their frames 1 to i. 0 at 0, and where there is no such fragment.
    """
    fragments = list(fragments)
    overlaps = np.full((len(fragments), length), np.nan)
    for row, fragment in zip(overlaps, fragments, strict=True):
        if fragment.failed:
            row[:] = 0
        row[: len(fragment.overlaps)] = fragment.overlaps
    reaches = ~np.isnan(overlaps[:, 1:])
    means = overlaps[:, 1:].cumsum(axis=1) / np.arange(1, length)
    weights = np.array([[fragment.weight] for fragment in fragments]) * reaches
    total = weights.sum(axis=0)
    weighted = np.where(reaches, means, 0) * weights  # means may be NaN where nothing is reached
    return np.concatenate(([0.0], weighted.sum(axis=0) / np.where(total > 0, total, 1)))


# The challenges of 2015 to 2019


def vot_challenge(
    sequences: Mapping[str, SupervisedRuns],
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
    _check(sequences)
    frames = {name: challenge_overlaps(s, rules, burn_in=burn_in) for name, s in sequences.items()}
    failures = float(sum(np.mean(sequence.failures) for sequence in sequences.values()))
    curve = expected_overlap(
        (f for s in sequences.values() for f in _challenge_fragments(s, rules, restart_after)),
        max(len(sequence) for sequence in sequences.values()),
    )
    curve[0] = 1
    return ChallengeScores(
        accuracy=_mean_known(np.concatenate(list(frames.values()))),
        accuracy_of={name: _mean_known(overlaps) for name, overlaps in frames.items()},
        failures=failures,
        failures_per_100_frames=100 * failures / sum(len(s) for s in sequences.values()),
        curve=curve,
    )


def challenge_overlaps(
    sequence: SupervisedRuns, rules: Rules = "pysot", *, burn_in: int = BURN_IN
) -> np.ndarray:
    """Give each frame's overlap (T,), mean over the runs in which it counts, NaN where in none."""
    runs = _overlaps(sequence, (sequence.width, sequence.height), rules)
    for overlaps, run in zip(runs, sequence.runs, strict=True):
        overlaps[~judged_frames(run, burn_in)] = np.nan
    return np.array([_mean_known(frame) for frame in np.stack(runs, axis=1)])


def _challenge_fragments(
    sequence: SupervisedRuns, rules: Rules, restart_after: int
) -> Iterable[Fragment]:
    """Cut the runs at the initialisations; a failed fragment includes the next one's first frame.

    A failure so late that no initialisation follows does not end its fragment: its frames without
    overlap count as zero, and it ends with the sequence.
    """
    bounds = sequence.width - 1, sequence.height - 1
    share = 1 / len(sequence.runs)
    runs = _overlaps(sequence, bounds, rules)
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


# vot-toolkit


def vot_toolkit(
    sequences: Mapping[str, SupervisedRuns], *, burn_in: int = BURN_IN
) -> ToolkitScores:
    """Score a tracker as vot-toolkit does; the bounds are always the image.

    Args:
        sequences: each by its name; at least one.
        burn_in: frames after an initialisation that accuracy ignores.

    Raises:
        ValueError: no sequences, or a region that is none.
    """
    _check(sequences)
    lengths = np.array([len(sequence) for sequence in sequences.values()])
    accuracy_of: dict[str, float] = {}
    fragments: list[Fragment] = []
    for name, sequence in sequences.items():
        runs = toolkit_overlaps(sequence)
        means = []
        for overlaps, run in zip(runs, sequence.runs, strict=True):
            judged = judged_frames(run, burn_in)
            means.append(overlaps[judged].mean() if judged.any() else 0.0)
            fragments.extend(_toolkit_fragments(overlaps, run))
        accuracy_of[name] = float(np.mean(means))
    failures_of = {name: float(np.mean(s.failures)) for name, s in sequences.items()}
    failures = float(np.average(list(failures_of.values()), weights=lengths))
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


def toolkit_overlaps(sequence: SupervisedRuns) -> list[np.ndarray]:
    """Give each run's overlaps (T,) as vot-toolkit does; 0 where there is a code."""
    return _overlaps(sequence, (sequence.width, sequence.height), "vot_toolkit")


def _toolkit_fragments(overlaps: np.ndarray, run: Sequence[Region]) -> Iterable[Fragment]:
    """Cut a run from each initialisation to the frame before a failure, or to the run's end."""
    failures = frames_with(run, FAILED)
    for start in frames_with(run, INITIALISED):
        end = next((frame for frame in failures if frame > start), None)
        yield Fragment(overlaps[start:end], failed=end is not None)


def _reliability(failures: float, length: float) -> float:
    return float(np.exp(-RELIABILITY_LENGTH * failures / length))


def _overlaps(sequence: SupervisedRuns, bounds: Bounds, rules: Rules) -> list[np.ndarray]:
    return [region_overlaps(run, sequence.truth, bounds, rules) for run in sequence.runs]


def _check(sequences: Mapping[str, SupervisedRuns]) -> None:
    if not sequences:
        raise ValueError("there is no sequence to score")
