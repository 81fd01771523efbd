"""The linear-nonlinear (LN) model of a ganglion cell: the baseline that a network has to beat."""

from __future__ import annotations

import functools
import itertools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from neurocodec.errors import InputError
from neurocodec.kernels.correlation import correlate
from neurocodec.kernels.lagged_features import LaggedFeatures, block_rows, receptive_centres
from neurocodec.kernels.output_nonlinearity import Softplus, fit_softplus
from neurocodec.kernels.temporal_basis import temporal_basis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

STA: Final = float("inf")
"""Ridge penalty at which the filter is the spike-triggered average."""
PENALTIES: Final = (STA, 1.0, 0.1, 0.01)
RADII: Final = (1, 2, 3)
RANKS: Final = (1, 2)
BASIS: Final = 10
FOLDS: Final = 5
PIECE: Final = 2048
"""Responses computed at once."""


@dataclass(frozen=True)
class Choice:
    """How the filter of one cell was regularised."""

    radius: int  # half of the window's side around the cell's centre, without the middle pixel
    penalty: float  # in units of the mean variance of the regressors, or `STA`
    rank: int  # space-time components that are kept


@dataclass(frozen=True)
class LinearNonlinear:
    """Several cells' models: rate = gain * log(1 + exp(slope * (g - threshold))) in Hz."""

    # g is the filter times the window of frames, which are standardised first

    filters: NDArray[np.float32]  # (cell, lag, y, x), the oldest frame first
    nonlinearity: Sequence[Softplus]
    mean: float  # of the stimulus
    deviation: float
    choices: Sequence[Choice]
    centers: Sequence[tuple[int, int]]  # row and column of every cell's window
    held_out: NDArray[np.float64] | None = None  # output (row, cell) of filters of other folds

    def drive(self, frames: NDArray[np.number]) -> NDArray[np.float64]:
        """Return the filters' output (time - history + 1, cell) for a movie (time, y, x)."""
        cells, history = self.filters.shape[:2]
        weight = self.filters.reshape(cells, history, -1)
        rows = len(frames) - history + 1
        total = np.zeros((max(rows, 0), cells))
        for start in range(0, rows, PIECE):
            stop = min(start + PIECE, rows)
            piece = np.asarray(frames[start : stop + history - 1], dtype=np.float32)
            flat = (piece.reshape(len(piece), -1) - self.mean) / self.deviation
            for lag in range(history):
                total[start:stop] += flat[lag : lag + stop - start] @ weight[:, lag].T
        return total

    def predict(self, frames: NDArray[np.number]) -> NDArray[np.float64]:
        """Return firing rates (time - history + 1, cell) in Hz for a movie (time, y, x)."""
        drive = self.drive(frames)
        rates = [f(g) for f, g in zip(self.nonlinearity, drive.T, strict=True)]
        return np.stack(rates, axis=1)


def fit_linear_nonlinear(
    frames: NDArray[np.number],  # (time, y, x) in any units
    rates: NDArray[np.float32],  # (time, cell) in Hz; row t answers the frames up to t
    blocks: Sequence[tuple[int, int]],  # first frame, and frame after the last; at least two
    *,
    history: int = 40,
    penalties: Sequence[float] = PENALTIES,
    radii: Sequence[int] = RADII,
    ranks: Sequence[int] = RANKS,
    basis: int = BASIS,
) -> LinearNonlinear:
    """Fit an LN model to every cell: spike-triggered average or ridge regression, regularised."""
    # The filter of a cell lies in a window around its centre, is smooth in time (`temporal_basis`)
    # and of low rank. Window, ridge penalty and rank are those with the highest correlation in
    # 5-fold cross-validation over the blocks. The nonlinearity is fitted by maximum Poisson
    # likelihood to the held-out output of the filters of the folds: on the data that made it, a
    # filter explains more than it does on others, and the nonlinearity would come out too steep.
    parts = [block_rows(block, history) for block in blocks]
    if len(parts) < 2 or any(start >= stop for start, stop in parts):
        raise InputError(
            came=f"blocks {list(blocks)}",
            expected=f"at least two blocks of at least {history} frames (the history)",
        )
    inside = np.concatenate([np.arange(*block) for block in blocks])
    # in the same digits for bytes and for floats: a fit magnifies the last one
    mean, deviation = (
        float(number(frames[inside], dtype=np.float64)) for number in (np.mean, np.std)
    )
    if not deviation > 0:
        raise InputError(came="a constant stimulus", expected="one that varies")
    movie = (frames.astype(np.float32) - np.float32(mean)) / np.float32(deviation)
    functions = temporal_basis(history, min(basis, history))
    centres = receptive_centres(movie, rates, parts, functions)
    grid = [Choice(*x) for x in itertools.product(radii, penalties, ranks)]
    fits = [
        _fit_cell(LaggedFeatures(movie, centre, max(radii), functions, parts), rate, grid)
        for centre, rate in zip(centres, rates.T, strict=True)
    ]
    return LinearNonlinear(
        filters=np.stack([fit[0] for fit in fits]).astype(np.float32),
        nonlinearity=[fit[1] for fit in fits],
        mean=mean,
        deviation=deviation,
        choices=[fit[2] for fit in fits],
        centers=centres,
        held_out=np.stack([fit[3] for fit in fits], axis=1),
    )


def _fit_cell(
    features: LaggedFeatures, rate: NDArray[np.float32], grid: Sequence[Choice]
) -> tuple[NDArray[np.float64], Softplus, Choice, NDArray[np.float64]]:
    """Filter (lag, y, x) in the frame, nonlinearity, what was chosen, and held-out output."""
    target = np.concatenate([rate[start:stop] for start, stop in features.parts])
    best, kept = -np.inf, None
    for choice, drive in _cross_validated(features, rate, grid):
        nonlinearity = fit_softplus(drive, target)
        found = correlate(nonlinearity(drive)[:, None], target[:, None])
        score = float(np.nan_to_num(found, nan=-1.0).item())
        if score > best:
            best, kept = score, (nonlinearity, choice, drive.copy())
    if kept is None:
        raise InputError(came="nothing to try", expected="at least one penalty, radius and rank")
    nonlinearity, choice, held_out = kept
    moments = features.moments(rate, range(len(features.parts)))
    (weight,) = features.solve(moments, choice.radius, choice.penalty, [choice.rank])
    return features.in_frame(weight), nonlinearity, choice, held_out


def _cross_validated(
    features: LaggedFeatures, rate: NDArray[np.float32], grid: Sequence[Choice]
) -> Iterator[tuple[Choice, NDArray[np.float64]]]:
    """Every choice, with the output of filters for the rows that they were not fitted to."""
    folds = min(FOLDS, len(features.parts))
    members = [range(k, len(features.parts), folds) for k in range(folds)]
    moments = [features.moments(rate, which) for which in members]
    whole = functools.reduce(operator.add, moments)
    rest = [whole - own for own in moments]
    rows = [features.rows(which) for which in members]
    for (radius, penalty), same in itertools.groupby(grid, lambda c: (c.radius, c.penalty)):
        choices = list(same)
        drives = np.empty((len(choices), len(features.values)))
        for others, own in zip(rest, rows, strict=True):
            weights = features.solve(others, radius, penalty, [c.rank for c in choices])
            drives[:, own] = (features.values[own] @ np.stack(weights, axis=1)).T
        yield from zip(choices, drives, strict=True)
