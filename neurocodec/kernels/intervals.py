"""Intervals of means and of other statistics over rows, many columns at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from neurocodec.kernels.resampling import bootstrap_rows

_COUNTS: Final = 2**24
"""Numbers in a block of draws, at most: 128 MiB."""
_STRETCHES: Final = 5
"""Stretches of a series, of which one at a time is left out."""


def draw_counts(size: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Counts (some draws, rows) of rows drawn again and again, some draws at a time."""
    step = max(1, _COUNTS // max(size, 1))
    for first in range(0, draws, step):
        # each draw has a stream of its own: the first ones stay where more are asked for
        drawn = (
            np.bincount(bootstrap_rows(size, [seed, draw], series=False), minlength=size)
            for draw in range(first, min(first + step, draws))
        )
        yield np.stack([*drawn]).astype(np.float64)


def without_stretches(size: int) -> NDArray[np.float64]:
    """Weights (stretches, rows) that leave out one stretch of a series at a time."""
    # Rows of a series go together with their neighbours, so that blocks that are drawn again must
    # be long. Few long stretches and Student's t hold what they say where blocks of the usual
    # lengths do not (batch means, Schmeiser 1982, Operations Research 30; benchmarks/coverage.py).
    count = min(_STRETCHES, size)
    left_out = np.arange(size) * count // max(size, 1) == np.arange(count)[:, None]
    return np.asarray(~left_out, dtype=np.float64)


def bootstrap_means(values: ArrayLike, draws: int, seed: int) -> NDArray[np.float64]:
    """Means (draws, columns) of rows (rows, columns) drawn again, without NaN."""
    x = np.asarray(values, dtype=np.float64)
    # one draw for all columns, so that means of differences are differences of means
    found = (_means(x, counts) for counts in draw_counts(len(x), draws, seed))
    return np.concatenate([np.empty((0, x.shape[1])), *found])


def _means(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (weightings, columns) without NaN; NaN where no row has weight."""
    there = np.isfinite(x)
    number = weights @ there
    found: NDArray[np.float64] = (weights @ np.where(there, x, 0.0)) / np.where(
        number > 0, number, np.nan
    )
    return found


def interval(
    draws: ArrayLike,  # (draws, ...), of a statistic of rows drawn again
    confidence: float,
    size: ArrayLike = math.inf,  # rows, one number or (...)
    *,
    value: ArrayLike | None = None,  # (...) of all rows: corrects for what drawing again shifts
    skewness: ArrayLike = 0.0,  # acceleration
) -> NDArray[np.float64]:
    """Interval (2, ...) between percentiles of draws without NaN; NaN where there are none."""
    # BCa (Efron 1987, doi:10.1080/01621459.1987.10478410) at expanded percentiles: of skewed rows,
    # such as ratios, an interval reaches further to the side of the tail
    x = np.asarray(draws, dtype=np.float64)
    if not len(x):
        return np.full((2, *x.shape[1:]), np.nan)
    reach = np.broadcast_to(_reach(confidence, size), x.shape[1:])
    bias = np.zeros(x.shape[1:]) if value is None else _bias(x, np.asarray(value))
    ways = bias + np.stack([-reach, reach])
    # where the denominator is 0, the level is 0 or 1
    levels = ndtr(bias + ways / np.maximum(1 - np.asarray(skewness) * ways, 1e-9))
    return _between(x, levels)


def _bias(draws: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal quantile of the part of the draws below the value."""
    below = (draws < value).sum(axis=0) + 0.5 * (draws == value).sum(axis=0)
    count = np.maximum(np.isfinite(draws).sum(axis=0), 1)
    return np.asarray(ndtri(np.clip(below / count, 0.5 / count, 1 - 0.5 / count)))


def _reach(confidence: float, size: ArrayLike) -> NDArray[np.float64]:
    """Normal quantile of the percentile at which an interval ends; NaN of less than two rows."""
    # Percentiles of few rows are too close, as a variance of the rows that are drawn is (n - 1) / n
    # of the true one, and itself uncertain: sqrt(n / (n - 1)) t in place of z gives a mean of
    # normal rows the interval of Student's t (expanded percentiles, Hesterberg 2015,
    # doi:10.1080/00031305.2015.1089789, sec. 5.3)
    n = np.asarray(size, dtype=np.float64)
    freedom = np.where(n > 1, n - 1, np.nan)
    return np.asarray(student.ppf((1 + confidence) / 2, freedom) * np.sqrt(1 + 1 / freedom))


def _between(draws: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles (2, ...) of draws without NaN, at levels (2, ...) of their own."""
    count = np.isfinite(draws).sum(axis=0)
    ordered = np.sort(draws, axis=0)  # NaN last
    place = levels * np.maximum(count - 1, 0)
    right = np.nan_to_num(np.ceil(place)).astype(np.intp)
    left = np.nan_to_num(np.floor(place)).astype(np.intp)
    low, high = (np.take_along_axis(ordered, at, axis=0) for at in (left, right))
    ends = low + (high - low) * (place - left)
    return np.where(count > 0, ends, np.nan)


def mean_intervals(
    values: ArrayLike, draws: int, confidence: float, seed: int, *, series: bool = False
) -> NDArray[np.float64]:
    """Mean of each column without NaN, lower and upper end, number of rows: (4, columns)."""
    x = np.asarray(values, dtype=np.float64)
    number = np.isfinite(x).sum(axis=0)
    mean = _means(x, np.ones((1, len(x))))[0]
    if series:
        ends = jackknife_interval(mean, _means(x, without_stretches(len(x))), confidence)
        ends = ends if draws else np.full(ends.shape, np.nan)
    else:
        again = bootstrap_means(x, draws, seed)
        ends = interval(again, confidence, number, value=mean, skewness=_acceleration(x - mean))
    return np.stack([mean, *ends, number])


def _acceleration(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean of rows (rows, columns), less it: a sixth of its skewness."""
    x = np.where(np.isfinite(centred), centred, 0.0)
    squares = (x**2).sum(axis=0)
    return np.asarray((x**3).sum(axis=0) / np.where(squares > 0, squares, 1.0) ** 1.5 / 6)


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


def centred_interval(
    value: ArrayLike, draws: ArrayLike, confidence: float, size: ArrayLike = math.inf
) -> NDArray[np.float64]:
    """Percentile interval of draws, less the bias of their mean, and this bias: (3, ...)."""
    middle, x = np.asarray(value, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    # For statistics that are larger (or smaller) in resampled rows, such as a dimensionality, to
    # which drawing again adds noise: the interval says how far the value varies.
    bias = x.mean(axis=0) - middle if len(x) else np.full(middle.shape, np.nan)
    return np.stack([*(interval(x, confidence, size) - bias), bias])


def level_of_chance(null: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Value (...) that one more draw of chance exceeds with 1 - confidence at most."""
    x = np.sort(np.asarray(null, dtype=np.float64), axis=0)
    # The k-th smallest of n draws is exceeded by one more with (n + 1 - k) / (n + 1), as p-values
    # (1 + number above) / (1 + n) say. NaN where there are too few draws for this confidence.
    rank = math.ceil(confidence * (len(x) + 1) * (1 - 1e-12))
    return x[max(rank, 1) - 1] if rank <= len(x) else np.full(x.shape[1:], np.nan)


def prediction_interval(draws: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """Interval (2, ...) of correlations that one more draw is beyond, each way, with 1 - that."""
    # mean -+ t s sqrt(1 + 1/n) of n normal draws (of Fisher's z, which is nearly normal), with t of
    # Student's distribution with n - 1 degrees of freedom: holds from two draws on, where ranks
    # (`level_of_chance`) need 19 for 0.95
    x = np.arctanh(np.clip(np.asarray(draws, dtype=np.float64), -1 + 1e-9, 1 - 1e-9))
    if len(x) < 2:
        return np.full((2, *x.shape[1:]), np.nan)
    reach = student.ppf(confidence, len(x) - 1) * np.sqrt(1 + 1 / len(x)) * x.std(axis=0, ddof=1)
    return np.asarray(np.tanh(x.mean(axis=0) + np.stack([-reach, reach])))
