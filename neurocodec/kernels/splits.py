"""Which rows are held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCKS = 10
"""Number of blocks that are held out of a series, where it is long enough."""


def held_out(size: int, fraction: float, seed: int, *, series: bool) -> NDArray[np.bool_]:
    """Choose the rows that are held out.

    Neighbouring frames of a movie are nearly copies of each other, so that frames held out one
    by one would be as good as fitted. Of a series whole blocks are held out: it is cut into as
    many stretches as there are to be blocks, and each holds out one block at a random place.

    Parameters
    ----------
    size
        Number of rows.
    fraction
        Part of the rows to hold out, 0 to below 1.
    seed
        Seed of the choice.
    series
        Whether neighbouring rows are alike.

    Returns
    -------
    numpy.ndarray
        True where a row is held out; of at least one row where `fraction` is above 0 and there
        are two rows or more.

    Examples
    --------
    >>> mask = held_out(100, 0.1, seed=0, series=False)
    >>> int(mask.sum())
    10
    """
    mask = np.zeros(size, dtype=bool)
    if fraction <= 0 or size < 2:
        return mask
    random = np.random.default_rng(seed)
    count = min(max(1, round(fraction * size)), size - 1)
    if not series:
        mask[random.permutation(size)[:count]] = True
        return mask
    blocks = min(_BLOCKS, count)
    for stretch, length in zip(
        np.array_split(np.arange(size), blocks), _parts(count, blocks), strict=True
    ):
        start = random.integers(0, len(stretch) - length + 1)
        mask[stretch[start : start + length]] = True
    return mask


def held_out_of_each(groups: ArrayLike, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Choose rows that are held out, the same part of every group.

    Parameters
    ----------
    groups
        Group of each row: numbers or text.
    fraction
        Part of the rows of each group to hold out, rounded; of a group of one row none.
    seed
        Seed of the choice.

    Returns
    -------
    numpy.ndarray
        True where a row is held out.

    Examples
    --------
    >>> mask = held_out_of_each(["cat"] * 4 + ["dog"] * 2 + ["emu"], 0.5, seed=0)
    >>> int(mask[:4].sum()), int(mask[4:6].sum()), int(mask[6:].sum())
    (2, 1, 0)
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    mask = np.zeros(len(group), dtype=bool)
    for number in range(len(names)):
        rows = np.flatnonzero(group == number)
        count = min(round(fraction * len(rows)), len(rows) - 1)
        mask[random.permutation(rows)[:count]] = True
    return mask


def _parts(total: int, parts: int) -> list[int]:
    """Cut a number into nearly equal parts, longer ones first, as `numpy.array_split` does."""
    return [(total + parts - 1 - i) // parts for i in range(parts)]
