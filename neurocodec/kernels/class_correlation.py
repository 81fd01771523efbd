"""Correlation of columns with masks of few members, and what of it chance makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse


class Masks:
    """Masks (rows, masks) as a sparse table, with which columns are correlated."""

    def __init__(self, member: ArrayLike) -> None:
        x: NDArray[Any] = np.asarray(member, dtype=bool)
        count = x.sum(axis=0)
        spread = np.sqrt(count * (1.0 - count / max(len(x), 1)))
        self.scale = np.where(spread > 0, spread, np.nan)
        self.table = sparse.csr_array(x.T.astype(np.float64))

    def correlate(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlation (columns, masks) of `unit_columns`; NaN for a mask of all rows or none."""
        # sum(z[M]) / sqrt(m (1 - m / n)) with z a column of mean 0 and norm 1 and M a mask of m of
        # n rows (CODEC eq. 35): one sparse product for all masks
        product = self.table @ columns
        return np.asarray(np.clip(product / self.scale[:, None], -1.0, 1.0).T)

    def chance(
        self, columns: NDArray[np.float64], permutations: int, seed: int
    ) -> NDArray[np.float64]:
        """Largest correlation (permutations, columns) with any mask, rows in random order."""
        found = np.empty((permutations, columns.shape[1]))
        for i in range(permutations):
            # the same for all columns and for all masks, so that their overlap stays
            order = np.random.default_rng([seed, i]).permutation(len(columns))
            found[i] = largest(self.correlate(columns[order]))
        return found


def largest(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest entry of each row (columns, masks) without NaN; NaN where all are."""
    filled = np.where(np.isnan(correlation), -np.inf, correlation)
    best = filled.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(best), best, np.nan)


def bootstrap_medians(values: ArrayLike, draws: int, seed: int) -> NDArray[np.float64]:
    """Medians (draws,) of finite values drawn again, as many as there are, with replacement."""
    x = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    found = (np.median(x[random.integers(len(x), size=len(x))]) for _ in range(draws))
    return np.fromiter(found, dtype=np.float64, count=draws)


def chance_of_sizes(
    columns: NDArray[np.float64], sizes: ArrayLike, *, draws: int, level: float, seed: int
) -> NDArray[np.float64]:
    """Correlation (columns, sizes) that as many rows at random stay below in part of the draws."""
    # with `unit_columns`; the first m rows of a random order are a random mask of m rows
    wanted = np.asarray(sizes, dtype=np.int64)
    count, n = np.unique(wanted), len(columns)
    usable = count[(count > 0) & (count < n)]
    found = np.full((columns.shape[1], len(wanted)), np.nan)
    if not len(usable):
        return found
    drawn = np.empty((draws, len(usable), columns.shape[1]))
    for i in range(draws):
        order = np.random.default_rng([seed, i]).permutation(n)[: usable[-1]]
        drawn[i] = np.add.reduceat(columns[order], [0, *usable[:-1]], axis=0).cumsum(axis=0)
    drawn /= np.sqrt(usable * (1 - usable / n))[:, None]
    reached = np.quantile(drawn, level, axis=0)
    for place, size in enumerate(usable):
        found[:, wanted == size] = reached[place][:, None]
    return found
