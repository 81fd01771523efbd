"""Averages over cells of another grid, which keep the integral."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def area_average(
    values: NDArray[Any], old: NDArray[np.float64], new: NDArray[np.float64], *, axis: int
) -> NDArray[np.float64]:
    """Mean of a piecewise constant signal over the cells of another grid.

    The integral over a cell is the difference of the cumulative integral, which is linear between
    the old edges.

    Parameters
    ----------
    values
        One value a cell of the old grid along `axis`.
    old, new
        Edges of the cells, rising; the new ones within the old ones.
    axis
        Axis of the grid.

    Returns
    -------
    numpy.ndarray
        One value a cell of the new grid along `axis`.

    Examples
    --------
    >>> area_average(np.array([1.0, 3.0]), np.array([0, 1, 2]), np.array([0, 0.5, 2]), axis=0)
    array([1.        , 2.33333333])
    """
    moved = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    widths = np.diff(old).reshape(-1, *[1] * (moved.ndim - 1))
    total = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(moved * widths, axis=0)])
    place = np.clip(np.searchsorted(old, new, side="right") - 1, 0, len(old) - 2)
    share = (new - old[place]) / (old[place + 1] - old[place])
    share = share.reshape(-1, *[1] * (moved.ndim - 1))
    at = (1 - share) * total[place] + share * total[place + 1]
    mean = np.diff(at, axis=0) / np.diff(new).reshape(-1, *[1] * (moved.ndim - 1))
    return np.moveaxis(mean, 0, axis)
