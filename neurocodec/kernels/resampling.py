"""Rows drawn again, and rows whose columns no longer go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bootstrap_rows(size: int, seed: int | list[int], *, series: bool) -> NDArray[np.intp]:
    """Positions of as many rows as there are, drawn with replacement; of a series in blocks."""
    random = np.random.default_rng(seed)
    if not series:
        return random.integers(size, size=size)
    # Neighbouring frames of a movie are nearly copies of each other: moving blocks (Künsch 1989) of
    # n^(1/3) rows or one in a hundred, what is longer.
    length = min(size, max(1, round(size ** (1 / 3)), round(size / 100)))
    starts = random.integers(size - length + 1, size=-(-size // length))
    return np.asarray((starts[:, None] + np.arange(length)).ravel()[:size])


def resample_training(
    held: NDArray[np.bool_], seed: int | list[int], *, series: bool
) -> NDArray[np.intp]:
    """Row that takes each row's place: training rows drawn again, those held out themselves."""
    # So no held-out row is a copy of a training row, which would be scored as if it were new.
    # Blocks of a series that come to rows held out go on behind them.
    training, drawn = np.flatnonzero(~held), np.arange(len(held))
    drawn[training] = training[bootstrap_rows(len(training), seed, series=series)]
    return drawn


def shuffle_columns(matrix: NDArray[Any], seed: int | list[int]) -> NDArray[Any]:
    """Permute each column by itself: its values stay, what goes together does not."""
    return np.random.default_rng(seed).permuted(matrix, axis=0)


def break_columns(matrix: NDArray[Any], seed: int | list[int], *, series: bool) -> NDArray[Any]:
    """Permute each column by itself; of a series turn it in a circle, so that its course stays."""
    if not series:
        return shuffle_columns(matrix, seed)
    size = len(matrix)
    turns = np.random.default_rng(seed).integers(size, size=matrix.shape[1])
    return np.take_along_axis(matrix, (np.arange(size)[:, None] + turns) % size, axis=0)


def gaussian_rows(rows: NDArray[np.float64], seed: int | list[int]) -> NDArray[np.float64]:
    """As many rows from one Gaussian with the mean and covariance of the rows that came."""
    mean = rows.mean(axis=0)
    # mixtures of the rows, of which there may be fewer than columns
    mixed = np.random.default_rng(seed).standard_normal((len(rows), len(rows)))
    return np.asarray(mean + mixed @ (rows - mean) / np.sqrt(max(len(rows) - 1, 1)))
