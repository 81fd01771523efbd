"""Sums of many columns in two halves of the time, of which no block is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.kernels.scores import CONSTANT

Floats = NDArray[np.floating[Any]]


class HalfSums:
    """Sum and sum of squares of every column in each half.

    Parameters
    ----------
    columns
        Number of columns.
    offset
        What is taken off every column, near its mean so that no digits are lost; the mean of the
        first rows that come where None.

    Examples
    --------
    >>> sums = HalfSums(2)
    >>> sums.add(0, sums.centred(np.array([[1.0, 5.0], [-1.0, 5.0]])))
    >>> sums.spread([0]).round(3).tolist()
    [1.414, 0.0]
    """

    def __init__(self, columns: int, offset: ArrayLike | None = None) -> None:
        self.columns = columns
        self.offset = None if offset is None else np.asarray(offset, dtype=np.float32)
        self.count = np.zeros(2)
        self.total, self.squares = np.zeros((2, 2, columns))

    def centred(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Return rows (time, column) without the offset."""
        x = np.asarray(rows, dtype=np.float32)
        if self.offset is None:
            self.offset = x.mean(axis=0)
        return np.asarray(x - self.offset)

    def add(self, half: int, rows: Floats) -> None:
        """Take rows of one half, without the offset."""
        self.count[half] += len(rows)
        self.total[half] += rows.sum(axis=0, dtype=np.float64)
        self.squares[half] += np.einsum("ij,ij->j", rows, rows, dtype=np.float64)

    def mean(self, halves: list[int]) -> NDArray[np.float64]:
        """Mean of every column in some halves, without the offset."""
        return np.asarray(self.total[halves].sum(axis=0) / max(self.count[halves].sum(), 1))

    def spread(self, halves: list[int]) -> NDArray[np.float64]:
        """Root of the sum of squared deviations in some halves; 0 where it is rounding noise."""
        count, total = max(self.count[halves].sum(), 1), self.total[halves].sum(axis=0)
        energy = self.squares[halves].sum(axis=0)
        rest = energy - total**2 / count
        offset = 0.0 if self.offset is None else self.offset.astype(np.float64)
        size = energy + 2 * offset * total + count * offset**2
        # beside large columns, a Fourier transform leaves noise where there is nothing
        floor = CONSTANT * np.maximum(size, rest.max(initial=0.0))
        return np.asarray(np.sqrt(np.where(rest > floor, rest, 0.0)))
