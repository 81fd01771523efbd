"""Means of rows by class, and of rows drawn again within each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Array = NDArray[np.float64]


def draw_within(codes: NDArray[np.integer[Any]], draws: int, seed: int, first: int = 0) -> Array:
    """Draw as many rows of each class as it has, with replacement, and count them.

    Parameters
    ----------
    codes
        Class of each row, from 0; rows of a negative class are never drawn.
    draws
        Number of draws.
    seed
        Each draw has a stream of its own.
    first
        Number of the first draw. Draw 0 takes each row once.

    Returns
    -------
    numpy.ndarray
        Counts (draws, rows).

    Examples
    --------
    >>> counts = draw_within(np.array([0, 1, 0, -1]), 3, seed=0)
    >>> counts[0].tolist(), counts[:, [0, 2]].sum(axis=1).tolist(), counts[:, 1].tolist()
    ([1.0, 1.0, 1.0, 0.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    """
    known = np.flatnonzero(codes >= 0)
    order = known[np.argsort(codes[known], kind="stable")]
    _, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    counts = np.zeros((draws, len(codes)))
    for i, draw in enumerate(range(first, first + draws)):
        if not draw:
            counts[i, known] = 1.0
            continue
        uniform = np.random.default_rng([seed, draw]).random(len(order))
        place = start + np.minimum((uniform * size).astype(np.intp), size - 1)
        counts[i] = np.bincount(order[place], minlength=len(codes))
    return counts


@dataclass(frozen=True)
class ClassMeans:
    """Means of rows by class for several weightings of the rows, over blocks of rows.

    Blocks are joined through their means, which loses no digits where these are large.

    Parameters
    ----------
    weight
        (weightings, classes).
    mean
        (weightings, classes, columns); 0 where a class has no weight.

    Examples
    --------
    >>> parts = (ClassMeans.of([[x]], np.array([0]), np.ones((1, 1)), 1) for x in (1.0, 5.0))
    >>> next(parts).merge(next(parts)).mean.tolist()
    [[[3.0]]]
    """

    weight: Array
    mean: Array

    @classmethod
    def of(
        cls, rows: ArrayLike, codes: NDArray[np.integer[Any]], weights: Array, classes: int
    ) -> Self:
        """Means of a block of rows (rows, columns), with weights (weightings, rows)."""
        x = np.asarray(rows, dtype=np.float64)
        centre = x.mean(axis=0) if len(x) else np.zeros(x.shape[1])
        draws, place = np.nonzero(weights * (codes >= 0))
        shape = (len(weights) * classes, len(x))
        table = sparse.csr_array(
            (weights[draws, place], (draws * classes + codes[place], place)), shape=shape
        )
        weight = np.asarray(table.sum(axis=1)).reshape(len(weights), classes)
        sums = (table @ (x - centre)).reshape(len(weights), classes, -1)
        there = weight[..., None] > 0
        mean = np.where(there, centre + sums / np.where(there, weight[..., None], 1.0), 0.0)
        return cls(weight, mean)

    def merge(self, other: ClassMeans) -> ClassMeans:
        """Means over the rows of both."""
        total = self.weight + other.weight
        part = (other.weight / np.where(total > 0, total, 1.0))[..., None]
        return ClassMeans(total, self.mean + (other.mean - self.mean) * part)
