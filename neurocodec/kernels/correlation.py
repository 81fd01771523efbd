"""Pearson correlation of every column of one array with every column of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError

_FLAT = 1e-12
"""A column whose centred norm is below this part of its raw norm is rounding noise: constant."""


def correlate(a: ArrayLike, b: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Pearson correlation of every column of `a` with every column of `b`.

    r = <a - mean(a), b - mean(b)> / (|a - mean(a)| |b - mean(b)|), as one matrix product in
    float64.

    Parameters
    ----------
    a, b
        Arrays of two dimensions with the same length, at least 2, along `axis`.
    axis
        The axis of the samples, over which the correlation is taken.

    Returns
    -------
    numpy.ndarray
        Shape (columns of a, columns of b), within [-1, 1]; NaN where a column is constant or
        holds a NaN.

    Raises
    ------
    InputError
        Where an array has not two dimensions, or the numbers of samples differ or are below 2.

    Examples
    --------
    >>> correlate([[0.0], [1.0], [2.0]], [[1.0, 5.0], [2.0, 3.0], [3.0, 1.0]])
    array([[ 1., -1.]])
    """
    left, right = unit_columns(a, axis), unit_columns(b, axis)
    if left.shape[0] != right.shape[0] or left.shape[0] < 2:
        raise InputError(
            came=f"{left.shape[0]} and {right.shape[0]} samples along axis {axis}",
            expected="the same number of samples in both, at least 2",
        )
    product: NDArray[np.float64] = left.T @ right
    return np.clip(product, -1.0, 1.0)


def unit_columns(values: ArrayLike, axis: int) -> NDArray[np.float64]:
    """Columns centred and scaled to norm 1; NaN where they are constant.

    Parameters
    ----------
    values
        Two dimensions.
    axis
        The axis along which a column lies.

    Returns
    -------
    numpy.ndarray
        (samples, columns).

    Examples
    --------
    >>> (unit_columns([[1.0, 2.0], [3.0, 2.0]], 0) * 2**0.5).round(6).tolist()
    [[-1.0, nan], [1.0, nan]]
    """
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


Array = NDArray[np.float64]

_FLAT_SQUARE: Final = 1e-24
"""Squares about the mean below this part of all squares are rounding noise: a constant column."""


@dataclass(frozen=True)
class Comoments:
    """Sums over rows of two matrices about their means.

    Two sets of rows are joined as in Chan, Golub and LeVeque (1983),
    doi:10.1080/00031305.1983.10483115, which loses no digits where means are large::

        M = M1 + M2 + (mean2 - mean1)' (mean2 - mean1) n1 n2 / (n1 + n2)

    Parameters
    ----------
    count
        Number of rows.
    means
        Of the columns of a and of b.
    squares
        Sums of squared deviations from the mean, of the columns of a and of b.
    products
        Sums of products of deviations, (columns of a, columns of b).

    Examples
    --------
    >>> parts = Comoments.of([[1.0], [3.0]]), Comoments.of([[5.0]])
    >>> whole = parts[0].merge(parts[1])
    >>> whole.count, whole.means[0].tolist(), whole.products.tolist()
    (3, [3.0], [[8.0]])
    """

    count: int
    means: tuple[Array, Array]
    squares: tuple[Array, Array]
    products: Array

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
    def deviations(self) -> Array:
        """Standard deviation of each column of a; 0 where it is constant."""
        return np.asarray(np.sqrt(self._varying(0) / max(self.count, 1)))

    @property
    def correlation(self) -> Array:
        """Pearson correlation of columns, (columns of a, columns of b); NaN where one is flat."""
        norms = [np.sqrt(self._varying(side)) for side in (0, 1)]
        scale = [np.where(norm > 0, norm, np.nan) for norm in norms]
        return np.clip(self.products / scale[0][:, None] / scale[1], -1.0, 1.0)

    def _varying(self, side: int) -> Array:
        """Squares about the mean, 0 where they are no more than rounding."""
        squares = self.squares[side]
        energy = squares + self.count * self.means[side] ** 2
        return np.where(
            squares > _FLAT_SQUARE * energy, squares, np.where(np.isnan(squares), np.nan, 0.0)
        )


def _centred(values: ArrayLike) -> tuple[Array, Array]:
    x: NDArray[Any] = np.asarray(values, dtype=np.float64)
    if not len(x):
        return x, np.zeros(x.shape[1:])
    mean = x.mean(axis=0)
    centred = x - mean
    rest = centred.mean(axis=0)  # what rounding of a large mean has left
    return centred - rest, mean + rest
