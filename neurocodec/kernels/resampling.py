"""Rows drawn again, and rows whose columns no longer go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bootstrap_rows(size: int, seed: int | list[int], *, series: bool) -> NDArray[np.intp]:
    """Draw as many rows as there are, with replacement.

    Neighbouring frames of a movie are nearly copies of each other; of a series whole blocks are
    drawn (moving blocks, Künsch 1989), of n^(1/3) rows or one in a hundred, what is longer.

    Parameters
    ----------
    size
        Number of rows.
    seed
        Seed of the draw.
    series
        Whether neighbouring rows are alike.

    Returns
    -------
    numpy.ndarray
        Positions of the rows drawn.

    Examples
    --------
    >>> drawn = bootstrap_rows(1000, seed=0, series=True)
    >>> len(drawn), int((np.diff(drawn) == 1).sum())  # 100 blocks of 10
    (1000, 900)
    """
    random = np.random.default_rng(seed)
    if not series:
        return random.integers(size, size=size)
    length = min(size, max(1, round(size ** (1 / 3)), round(size / 100)))
    starts = random.integers(size - length + 1, size=-(-size // length))
    return np.asarray((starts[:, None] + np.arange(length)).ravel()[:size])


def resample_training(
    held: NDArray[np.bool_], seed: int | list[int], *, series: bool
) -> NDArray[np.intp]:
    """Draw the training rows again, with replacement; a row that is held out stays itself.

    So no held-out row is a copy of a training row, which would be scored as if it were new.

    Parameters
    ----------
    held
        True where a row is held out.
    seed
        Seed of the draw.
    series
        Whether neighbouring rows are alike. Then blocks are drawn, as in `bootstrap_rows`; one
        that comes to rows held out goes on behind them.

    Returns
    -------
    numpy.ndarray
        For each row, the position of the row that takes its place.

    Examples
    --------
    >>> held = np.array([False, True, False])
    >>> drawn = resample_training(held, seed=0, series=False)
    >>> int(drawn[1]), 1 in drawn[[0, 2]]
    (1, False)
    """
    training, drawn = np.flatnonzero(~held), np.arange(len(held))
    drawn[training] = training[bootstrap_rows(len(training), seed, series=series)]
    return drawn


def shuffle_columns(matrix: NDArray[Any], seed: int | list[int]) -> NDArray[Any]:
    """Permute each column by itself: its values stay, what goes together does not.

    Parameters
    ----------
    matrix
        Rows by columns.
    seed
        Seed of the permutations.

    Examples
    --------
    >>> shuffled = shuffle_columns(np.arange(6).reshape(3, 2), seed=0)
    >>> np.sort(shuffled, axis=0).tolist()
    [[0, 1], [2, 3], [4, 5]]
    """
    return np.random.default_rng(seed).permuted(matrix, axis=0)


def gaussian_rows(rows: NDArray[np.float64], seed: int | list[int]) -> NDArray[np.float64]:
    """Draw as many rows from one Gaussian with the mean and covariance of the rows that came.

    Parameters
    ----------
    rows
        (rows, columns); there may be fewer rows than columns.
    seed
        Seed of the draw.

    Examples
    --------
    >>> drawn = gaussian_rows(np.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]]), seed=0)
    >>> bool(np.allclose(drawn[:, 1], 2 * drawn[:, 0]))  # the plane of the rows is kept
    True
    """
    mean = rows.mean(axis=0)
    mixed = np.random.default_rng(seed).standard_normal((len(rows), len(rows)))
    return np.asarray(mean + mixed @ (rows - mean) / np.sqrt(max(len(rows) - 1, 1)))
