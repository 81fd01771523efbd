"""Means of rows by class, and of rows drawn again within each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse


def draw_within(
    codes: NDArray[np.integer[Any]], draws: int, seed: int, first: int = 0
) -> NDArray[np.float64]:
    """Counts (draws, rows) of rows drawn again within their class, never of a class below 0."""
    known = np.flatnonzero(codes >= 0)
    order = known[np.argsort(codes[known], kind="stable")]
    _, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    counts = np.zeros((draws, len(codes)))
    for i, draw in enumerate(range(first, first + draws)):
        # draw 0 takes each row once; each other one has a stream of its own
        if not draw:
            counts[i, known] = 1.0
            continue
        uniform = np.random.default_rng([seed, draw]).random(len(order))
        place = start + np.minimum((uniform * size).astype(np.intp), size - 1)
        counts[i] = np.bincount(order[place], minlength=len(codes))
    return counts


@dataclass(frozen=True)
class ClassMeans:
    """Means of rows by class for several weightings of the rows, joined over blocks of rows."""

    weight: NDArray[np.float64]  # (weightings, classes)
    mean: NDArray[np.float64]  # (weightings, classes, columns); 0 where a class has no weight

    @classmethod
    def of(
        cls,
        rows: ArrayLike,
        codes: NDArray[np.integer[Any]],
        weights: NDArray[np.float64],
        classes: int,
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
        # joined through the means, which loses no digits where these are large
        part = (other.weight / np.where(total > 0, total, 1.0))[..., None]
        return ClassMeans(total, self.mean + (other.mean - self.mean) * part)
