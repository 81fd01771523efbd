"""Averages over cells of another grid, which keep the integral."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def area_average(
    values: NDArray[Any], old: NDArray[np.float64], new: NDArray[np.float64], *, axis: int
) -> NDArray[np.float64]:
    """Mean of values, one a cell of the grid `old` (edges) along `axis`, over cells of `new`."""
    moved = np.moveaxis(np.asarray(values, dtype=np.float64), axis, 0)
    widths = np.diff(old).reshape(-1, *[1] * (moved.ndim - 1))
    # the integral up to an edge is linear between the old edges, within which the new ones lie
    total = np.concatenate([np.zeros((1, *moved.shape[1:])), np.cumsum(moved * widths, axis=0)])
    place = np.clip(np.searchsorted(old, new, side="right") - 1, 0, len(old) - 2)
    share = (new - old[place]) / (old[place + 1] - old[place])
    share = share.reshape(-1, *[1] * (moved.ndim - 1))
    at = (1 - share) * total[place] + share * total[place + 1]
    mean = np.diff(at, axis=0) / np.diff(new).reshape(-1, *[1] * (moved.ndim - 1))
    return np.moveaxis(mean, 0, axis)
