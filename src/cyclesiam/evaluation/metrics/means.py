"""Means that leave out what is unknown."""

from collections.abc import Collection

import numpy as np


def mean_or_nan(values: Collection[float] | np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none.

    >>> mean_or_nan([1.0, float("nan"), 2.0])
    1.5
    """
    array = np.asarray(values, float)
    known = array[~np.isnan(array)]
    return float(known.mean()) if len(known) else float("nan")
