"""Pearson correlation of every column of one array with every column of another."""

from __future__ import annotations

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
