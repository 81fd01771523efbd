"""Correlation of columns with masks of few members, and what of it chance makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Array = NDArray[np.float64]


class Masks:
    """Masks as a sparse table, with which columns are correlated.

    With z a column of mean 0 and norm 1 and M a mask of m of n rows, Pearson's correlation is
    ``sum(z[M]) / sqrt(m (1 - m / n))`` (CODEC eq. 35): one sparse product for all masks.

    Parameters
    ----------
    member
        (rows, masks), bool.

    Examples
    --------
    >>> from neurocodec.kernels.correlation import unit_columns
    >>> masks = Masks([[True, False], [True, False], [False, True], [False, False]])
    >>> masks.correlate(unit_columns([[2.0], [2.0], [0.0], [0.0]], 0)).round(3).tolist()
    [[1.0, -0.577]]
    """

    def __init__(self, member: ArrayLike) -> None:
        x: NDArray[Any] = np.asarray(member, dtype=bool)
        count = x.sum(axis=0)
        spread = np.sqrt(count * (1.0 - count / max(len(x), 1)))
        self.scale = np.where(spread > 0, spread, np.nan)
        self.table = sparse.csr_array(x.T.astype(np.float64))

    def correlate(self, columns: Array) -> Array:
        """Correlation (columns, masks) of `unit_columns`; NaN for a mask of all rows or none."""
        product = self.table @ columns
        return np.asarray(np.clip(product / self.scale[:, None], -1.0, 1.0).T)

    def chance(self, columns: Array, permutations: int, seed: int) -> Array:
        """Largest correlation of each column with any mask, with the rows in random order.

        Parameters
        ----------
        columns
            As `unit_columns` makes them.
        permutations
            How many orders. An order is the same for all masks, so that their overlap stays.
        seed
            Each order has a stream of its own, the same for all columns.

        Returns
        -------
        numpy.ndarray
            (permutations, columns).
        """
        found = np.empty((permutations, columns.shape[1]))
        for i in range(permutations):
            order = np.random.default_rng([seed, i]).permutation(len(columns))
            found[i] = largest(self.correlate(columns[order]))
        return found


def largest(correlation: Array) -> Array:
    """Largest entry of each row, without NaN.

    Parameters
    ----------
    correlation
        (columns, masks).

    Returns
    -------
    numpy.ndarray
        NaN where all are NaN.

    Examples
    --------
    >>> largest(np.array([[0.1, np.nan], [np.nan, np.nan]])).tolist()
    [0.1, nan]
    """
    filled = np.where(np.isnan(correlation), -np.inf, correlation)
    best = filled.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(best), best, np.nan)


def bootstrap_medians(values: ArrayLike, draws: int, seed: int) -> Array:
    """Medians of values that are drawn again, as many as there are, with replacement.

    Parameters
    ----------
    values
        One dimension, finite.
    draws, seed
        Number and seed of the draws.

    Returns
    -------
    numpy.ndarray
        (draws,).

    Examples
    --------
    >>> bootstrap_medians([2.0, 2.0], 3, 0).tolist()
    [2.0, 2.0, 2.0]
    """
    x = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    found = (np.median(x[random.integers(len(x), size=len(x))]) for _ in range(draws))
    return np.fromiter(found, dtype=np.float64, count=draws)
