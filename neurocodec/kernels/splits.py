"""Which rows are held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCKS = 10
"""Number of blocks that are held out of a series, where it is long enough."""


def liveliest(values: NDArray[np.float64], count: int) -> int:
    """First place of the part, of so many in a row, in which values vary most."""
    parts = np.lib.stride_tricks.sliding_window_view(values, count)
    return int(parts.std(axis=1).argmax())


def held_out(size: int, fraction: float, seed: int, *, series: bool) -> NDArray[np.bool_]:
    """True where a row is held out: rows by themselves, or blocks of a series."""
    mask = np.zeros(size, dtype=bool)
    if fraction <= 0 or size < 2:
        return mask
    random = np.random.default_rng(seed)
    count = min(max(1, round(fraction * size)), size - 1)
    if not series:
        mask[random.permutation(size)[:count]] = True
        return mask
    # Neighbouring frames of a movie are nearly copies of each other: held out one by one they would
    # be as good as fitted. A series is cut into as many stretches as blocks, and each holds out one
    # block at a random place.
    blocks = min(_BLOCKS, count)
    for stretch, length in zip(
        np.array_split(np.arange(size), blocks), _parts(count, blocks), strict=True
    ):
        start = random.integers(0, len(stretch) - length + 1)
        mask[stretch[start : start + length]] = True
    return mask


def held_out_of_each(groups: ArrayLike, fraction: float, seed: int) -> NDArray[np.bool_]:
    """True where a row is held out: the same part of every group, rounded, of one row none."""
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
