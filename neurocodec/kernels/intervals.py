"""Bootstrap intervals of means, many columns at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from neurocodec.kernels.resampling import bootstrap_rows

_COUNTS: Final = 2**24
"""Numbers in a block of draws, at most: 128 MiB."""


def draw_counts(size: int, draws: int, seed: int, *, series: bool) -> Iterator[NDArray[np.float64]]:
    """Counts (some draws, rows) of rows drawn again and again, some draws at a time."""
    step = max(1, _COUNTS // max(size, 1))
    for first in range(0, draws, step):
        # each draw has a stream of its own: the first ones stay where more are asked for
        drawn = (
            np.bincount(bootstrap_rows(size, [seed, draw], series=series), minlength=size)
            for draw in range(first, min(first + step, draws))
        )
        yield np.stack([*drawn]).astype(np.float64)


def bootstrap_means(
    values: ArrayLike, draws: int, seed: int, *, series: bool = False
) -> NDArray[np.float64]:
    """Means (draws, columns) of rows (rows, columns) drawn again, without NaN."""
    x = np.asarray(values, dtype=np.float64)
    there = np.isfinite(x)
    filled = np.where(there, x, 0.0)
    found = [np.empty((0, x.shape[1]))]
    # one draw for all columns, so that means of differences are differences of means
    for counts in draw_counts(len(x), draws, seed, series=series):
        number = counts @ there
        found.append((counts @ filled) / np.where(number > 0, number, np.nan))
    return np.concatenate(found)


def interval(draws: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Percentile interval (2, ...) of draws (draws, ...) without NaN; NaN where there are none."""
    x = np.asarray(draws, dtype=np.float64)
    ends = np.full((2, *x.shape[1:]), np.nan)
    there = np.isfinite(x).any(axis=0) if len(x) else np.zeros(x.shape[1:], dtype=bool)
    if there.any():
        # Efron and Tibshirani (1993), An introduction to the bootstrap, sec. 13.3
        levels = [(1 - confidence) / 2, (1 + confidence) / 2]
        ends[:, there] = np.nanquantile(x[:, there], levels, axis=0)
    return ends


def mean_intervals(
    values: ArrayLike, draws: int, confidence: float, seed: int, *, series: bool = False
) -> NDArray[np.float64]:
    """Mean of each column without NaN, lower and upper end, number of rows: (4, columns)."""
    x = np.asarray(values, dtype=np.float64)
    there = np.isfinite(x)
    number = there.sum(axis=0)
    mean = np.where(there, x, 0.0).sum(axis=0) / np.where(number > 0, number, np.nan)
    ends = interval(bootstrap_means(x, draws, seed, series=series), confidence)
    return np.stack([mean, *ends, number])


def jackknife_interval(
    value: ArrayLike, without: ArrayLike, confidence: float
) -> NDArray[np.float64]:
    """Interval (2, ...) of a statistic from its values (groups, ...) without each group."""
    middle, x = np.asarray(value, dtype=np.float64), np.asarray(without, dtype=np.float64)
    if len(x) < 2:
        return np.full((2, *middle.shape), np.nan)
    # value -+ t s with s^2 = (G - 1) / G sum_g (x_g - mean x)^2 over G groups of about one size,
    # and t of Student's distribution with G - 1 degrees of freedom (delete-a-group jackknife, Kott
    # 2001, J. Official Statistics 17)
    spread = np.sqrt((len(x) - 1) / len(x) * ((x - x.mean(axis=0)) ** 2).sum(axis=0))
    reach = student.ppf((1 + confidence) / 2, len(x) - 1) * spread
    return np.stack([middle - reach, middle + reach])


def centred_interval(value: ArrayLike, draws: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Percentile interval of draws, less the bias of their mean, and this bias: (3, ...)."""
    middle, x = np.asarray(value, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    # For statistics that are larger (or smaller) in resampled rows, such as a dimensionality, to
    # which drawing again adds noise: the interval says how far the value varies.
    bias = x.mean(axis=0) - middle if len(x) else np.full(middle.shape, np.nan)
    return np.stack([*(interval(x, confidence) - bias), bias])
