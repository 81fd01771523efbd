"""Pearson correlation of every column of one array with every column of another.

`correlate` takes both arrays at once, `Comoments` the sums over blocks of their rows: these are
joined, and rows can be taken out again, without a second look at the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError

_FLAT: Final = 1e-12
"""A column whose centred norm is below this part of its raw norm is rounding noise: constant."""
_FLAT_SQUARE: Final = 1e-24
"""The same of squares of norms."""


def correlate(a: ArrayLike, b: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Correlation (columns of a, columns of b) over `axis`; NaN where one is flat or has NaN."""
    left, right = unit_columns(a, axis), unit_columns(b, axis)
    if left.shape[0] != right.shape[0] or left.shape[0] < 2:
        raise InputError(
            came=f"{left.shape[0]} and {right.shape[0]} samples along axis {axis}",
            expected="the same number of samples in both, at least 2",
        )
    product: NDArray[np.float64] = left.T @ right
    return np.clip(product, -1.0, 1.0)


def unit_columns(values: ArrayLike, axis: int) -> NDArray[np.float64]:
    """Columns along `axis` as (samples, columns), centred and of norm 1; NaN where constant."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise InputError(came=f"an array of shape {array.shape}", expected="two dimensions")
    array = np.moveaxis(array, axis, 0)
    if not array.size:
        return array
    peak = np.abs(array).max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        array = array / np.where(peak > 0, peak, 1.0)
        centred = array - array.mean(axis=0)
        norm = np.linalg.norm(centred, axis=0)
        flat = norm <= _FLAT * np.linalg.norm(array, axis=0)
        return np.asarray(centred / np.where(flat, np.nan, norm))


@dataclass(frozen=True)
class Comoments:
    """Sums over rows of two matrices, a and b, about their means."""

    count: int  # rows
    means: tuple[NDArray[np.float64], NDArray[np.float64]]  # of the columns of a and of b
    squares: tuple[NDArray[np.float64], NDArray[np.float64]]  # of deviations from the mean
    products: NDArray[np.float64]  # of deviations (columns of a, columns of b)

    @classmethod
    def of(cls, a: ArrayLike, b: ArrayLike | None = None) -> Self:
        """Sums over rows of a and b, or of a with itself."""
        left = _centred(a)
        right = left if b is None else _centred(b)
        return cls(
            len(left[0]),
            (left[1], right[1]),
            ((left[0] ** 2).sum(axis=0), (right[0] ** 2).sum(axis=0)),
            left[0].T @ right[0],
        )

    def merge(self, other: Comoments) -> Comoments:
        """Sums over the rows of both."""
        # Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115, which loses no digits
        # where means are large: M = M1 + M2 + (mean2 - mean1)' (mean2 - mean1) n1 n2 / (n1 + n2)
        if not (self.count and other.count):
            return self if self.count else other
        total = self.count + other.count
        weight = self.count * other.count / total
        steps = [there - here for here, there in zip(self.means, other.means, strict=True)]
        first, second = (
            mean + step * (other.count / total)
            for mean, step in zip(self.means, steps, strict=True)
        )
        squares = [
            here + there + step**2 * weight
            for here, there, step in zip(self.squares, other.squares, steps, strict=True)
        ]
        products = self.products + other.products + np.outer(steps[0] * weight, steps[1])
        return Comoments(total, (first, second), (squares[0], squares[1]), products)

    def without(self, other: Comoments) -> Comoments:
        """Sums over the rows without those of `other`, which are among them."""
        left = self.count - other.count
        if not left:
            nothing = np.empty((0, len(self.means[0]))), np.empty((0, len(self.means[1])))
            return Comoments.of(*nothing)
        steps = [here - there for here, there in zip(self.means, other.means, strict=True)]
        first, second = (
            mean + step * (other.count / left) for mean, step in zip(self.means, steps, strict=True)
        )
        weight = self.count * other.count / left
        squares = [
            np.maximum(here - there - step**2 * weight, 0.0)
            for here, there, step in zip(self.squares, other.squares, steps, strict=True)
        ]
        products = self.products - other.products - np.outer(steps[0] * weight, steps[1])
        return Comoments(left, (first, second), (squares[0], squares[1]), products)

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of each column of a; 0 where it is constant."""
        return np.asarray(np.sqrt(self._varying(0) / max(self.count, 1)))

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation of columns, (columns of a, columns of b); NaN where one is flat."""
        norms = [np.sqrt(self._varying(side)) for side in (0, 1)]
        scale = [np.where(norm > 0, norm, np.nan) for norm in norms]
        return np.clip(self.products / scale[0][:, None] / scale[1], -1.0, 1.0)

    def _varying(self, side: int) -> NDArray[np.float64]:
        """Squares about the mean, 0 where they are no more than rounding."""
        squares = self.squares[side]
        energy = squares + self.count * self.means[side] ** 2
        return np.where(
            squares > _FLAT_SQUARE * energy, squares, np.where(np.isnan(squares), np.nan, 0.0)
        )


def _centred(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows less their mean, and the mean."""
    x: NDArray[Any] = np.asarray(values, dtype=np.float64)
    if not len(x):
        return x, np.zeros(x.shape[1:])
    mean = x.mean(axis=0)
    centred = x - mean
    rest = centred.mean(axis=0)  # what rounding of a large mean has left
    return centred - rest, mean + rest
