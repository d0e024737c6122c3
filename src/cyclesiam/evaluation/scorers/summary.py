"""Numbers of a whole benchmark, and means that leave out what is unknown.

T: frames of a sequence.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cyclesiam.evaluation.results.evaluation import Curve, Score


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkScores:
    """The numbers of a benchmark; the fields are those of `Evaluation`."""

    mean: Mapping[str, float]
    curves: tuple[Curve, ...] = ()
    attributes: tuple[Score, ...] = ()
    objects: tuple[Score, ...] = ()
    eao_interval: tuple[int, int] | None = None


def frames_per_second(times: np.ndarray | None, asked: int) -> float:
    """Give the speed of runs.

    Args:
        times: (T, runs) seconds, NaN where unknown; or None.
        asked: how many frames were given to the tracker in all runs.

    Returns:
        Frames per second, NaN where it is unknown.
    """
    if times is None:
        return float("nan")
    known = ~np.isnan(times)
    share = known.mean() or float("nan")
    return asked * share / max(float(times[known].sum()), 1e-9)
