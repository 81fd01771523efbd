"""Bootstrap intervals of means, many columns at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from neurocodec.kernels.resampling import bootstrap_rows

Matrix = NDArray[np.float64]

_COUNTS: Final = 2**24
"""Numbers in a block of draws, at most: 128 MiB."""


def draw_counts(size: int, draws: int, seed: int, *, series: bool) -> Iterator[Matrix]:
    """Draw rows again and again, and count how often each came, some draws at a time.

    Parameters
    ----------
    size
        Number of rows.
    draws
        Number of times that as many rows are drawn with replacement.
    seed
        Each draw has a stream of its own, so that the first draws stay where more are asked for.
    series
        Whether neighbouring rows are alike; then blocks are drawn, as in `bootstrap_rows`.

    Yields
    ------
    numpy.ndarray
        Counts (some draws, rows); each row of them sums to `size`.

    Examples
    --------
    >>> [(c.shape, c.sum(axis=1).tolist()) for c in draw_counts(5, 2, 0, series=False)]
    [((2, 5), [5.0, 5.0])]
    """
    step = max(1, _COUNTS // max(size, 1))
    for first in range(0, draws, step):
        drawn = (
            np.bincount(bootstrap_rows(size, [seed, draw], series=series), minlength=size)
            for draw in range(first, min(first + step, draws))
        )
        yield np.stack([*drawn]).astype(np.float64)


def bootstrap_means(values: ArrayLike, draws: int, seed: int, *, series: bool = False) -> Matrix:
    """Means of columns over rows that are drawn again.

    Parameters
    ----------
    values
        (rows, columns); a NaN is left out of the means of its column.
    draws, seed, series
        As `draw_counts` takes them. A draw is the same for all columns, so that means of
        differences of columns are differences of means.

    Returns
    -------
    numpy.ndarray
        (draws, columns); NaN where only NaN was drawn.

    Examples
    --------
    >>> bootstrap_means([[1.0, np.nan], [1.0, 3.0]], draws=1, seed=0).tolist()
    [[1.0, 3.0]]
    """
    x = np.asarray(values, dtype=np.float64)
    there = np.isfinite(x)
    filled = np.where(there, x, 0.0)
    found = [np.empty((0, x.shape[1]))]
    for counts in draw_counts(len(x), draws, seed, series=series):
        number = counts @ there
        found.append((counts @ filled) / np.where(number > 0, number, np.nan))
    return np.concatenate(found)


def interval(draws: ArrayLike, confidence: float) -> Matrix:
    """Percentile interval: quantiles (1 - confidence) / 2 and (1 + confidence) / 2 of draws.

    Efron and Tibshirani (1993), An introduction to the bootstrap, sec. 13.3.

    Parameters
    ----------
    draws
        (draws, ...); NaN are left out.
    confidence
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        (2, ...): lower and upper end; NaN where there are no draws.

    Examples
    --------
    >>> interval(np.arange(101.0), 0.9).round(6).tolist()
    [5.0, 95.0]
    """
    x = np.asarray(draws, dtype=np.float64)
    ends = np.full((2, *x.shape[1:]), np.nan)
    there = np.isfinite(x).any(axis=0) if len(x) else np.zeros(x.shape[1:], dtype=bool)
    if there.any():
        levels = [(1 - confidence) / 2, (1 + confidence) / 2]
        ends[:, there] = np.nanquantile(x[:, there], levels, axis=0)
    return ends


def mean_intervals(
    values: ArrayLike, draws: int, confidence: float, seed: int, *, series: bool = False
) -> Matrix:
    """Mean of each column over rows, with its bootstrap interval and the number of rows.

    Parameters
    ----------
    values
        (rows, columns); a NaN is left out.
    draws, seed, series
        As `draw_counts` takes them.
    confidence
        Of the interval.

    Returns
    -------
    numpy.ndarray
        (4, columns): mean, lower end, upper end, number of rows.

    Examples
    --------
    >>> mean_intervals([[2.0], [2.0], [np.nan]], 10, 0.95, 0).ravel().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    x = np.asarray(values, dtype=np.float64)
    there = np.isfinite(x)
    number = there.sum(axis=0)
    mean = np.where(there, x, 0.0).sum(axis=0) / np.where(number > 0, number, np.nan)
    ends = interval(bootstrap_means(x, draws, seed, series=series), confidence)
    return np.stack([mean, *ends, number])


def jackknife_interval(value: ArrayLike, without: ArrayLike, confidence: float) -> Matrix:
    """Interval of a statistic from its values without each of some groups of rows.

    value -+ t s with s^2 = (G - 1) / G sum_g (x_g - mean x)^2 over G groups of about one size,
    left out one at a time, and t of Student's distribution with G - 1 degrees of freedom
    (delete-a-group jackknife, Kott 2001, J. Official Statistics 17).

    Parameters
    ----------
    value
        The statistics of all rows (...).
    without
        (groups, ...): those without each group.
    confidence
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        (2, ...): lower and upper end; NaN for fewer than two groups.

    Examples
    --------
    >>> jackknife_interval(5.0, [4.0, 5.0, 6.0], 0.95).round(2).tolist()
    [0.03, 9.97]
    """
    middle, x = np.asarray(value, dtype=np.float64), np.asarray(without, dtype=np.float64)
    if len(x) < 2:
        return np.full((2, *middle.shape), np.nan)
    spread = np.sqrt((len(x) - 1) / len(x) * ((x - x.mean(axis=0)) ** 2).sum(axis=0))
    reach = student.ppf((1 + confidence) / 2, len(x) - 1) * spread
    return np.stack([middle - reach, middle + reach])


def centred_interval(value: ArrayLike, draws: ArrayLike, confidence: float) -> Matrix:
    """Percentile interval of bootstrap draws, moved so that their mean is the value itself.

    For statistics that are larger (or smaller) in resampled rows than in the rows, such as a
    dimensionality, to which drawing again adds noise: the interval then says how far the value
    varies, and the difference of the two means is told apart from it.

    Parameters
    ----------
    value
        The statistics of all rows (...).
    draws
        (draws, ...).
    confidence
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        (3, ...): lower end, upper end, mean of the draws minus the value; NaN without draws.

    Examples
    --------
    >>> centred_interval(1.0, [1.0, 2.0, 3.0], 0.99).round(2).tolist()
    [0.01, 1.99, 1.0]
    """
    middle, x = np.asarray(value, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    bias = x.mean(axis=0) - middle if len(x) else np.full(middle.shape, np.nan)
    return np.stack([*(interval(x, confidence) - bias), bias])
