"""What every scorer does, and what it returns for a whole benchmark.

T: frames of a sequence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cyclesiam.evaluation.results.evaluation import Curve, Score


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkScores:
    """The numbers of a whole benchmark; each field becomes one of `Evaluation`.

    Args:
        mean: a name in `METRICS` to the benchmark's number.
        curves: of the benchmark.
        attributes: of frames or sequences with an attribute, where annotated.
        objects: of each object, in segmentation.
        eao_interval: lengths over which the expected average overlap is the mean of its curve.
    """

    mean: Mapping[str, float]
    curves: tuple[Curve, ...] = ()
    attributes: tuple[Score, ...] = ()
    objects: tuple[Score, ...] = ()
    eao_interval: tuple[int, int] | None = None


class Scorer(Protocol):
    """Scores the sequences of a benchmark one by one, then the whole."""

    def add(self, name: str) -> Score:
        """Score one sequence.

        Raises:
            CycleSiamError: annotation or results are missing or wrong; it then counts nowhere.
        """
        ...

    def totals(self) -> BenchmarkScores:
        """Return the scores of all sequences that were added, at least one."""
        ...


def frames_per_second(times: np.ndarray | None, num_frames: int) -> float:
    """Return the speed of runs.

    Args:
        times: (T, runs) or (T,) seconds, NaN where unknown; None where all are unknown.
        num_frames: number of frames that the tracker was given in all runs.

    Returns:
        Frames per second, NaN where it is unknown.
    """
    if times is None:
        return float("nan")
    known = ~np.isnan(times)
    known_ratio = known.mean() or float("nan")
    return num_frames * known_ratio / max(float(times[known].sum()), 1e-9)
