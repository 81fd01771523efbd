"""Windows of a movie around a cell as regressors, and regularised filters from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import solve
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Span = tuple[int, int]
"""First row, and row after the last."""


def block_rows(block: Span, history: int) -> Span:
    """First row, and row after the last, of responses whose window lies in a block of frames."""
    return block[0] + history - 1, block[1]


def receptive_centres(
    movie: NDArray[np.float32],  # (time, y, x), of mean 0
    rates: NDArray[np.floating],  # (time, cell)
    parts: Sequence[Span],  # rows of `rates` that are used
    basis: NDArray[np.float64],  # (function, lag), the oldest frame first
) -> list[tuple[int, int]]:
    """Pixel at which the smoothed spike-triggered average of every cell is strongest."""
    used = np.concatenate([np.arange(*part) for part in parts])
    centred = np.zeros(rates.shape, dtype=np.float32)
    centred[used] = rates[used] - rates[used].mean(axis=0)
    functions, history = basis.shape
    # Filter the few responses instead of the many pixels: the sums are the same.
    spread = np.zeros((*rates.shape, functions), dtype=np.float32)
    for lag in range(history):
        weight = basis[:, history - 1 - lag].astype(np.float32)
        spread[: len(centred) - lag] += centred[lag:, :, None] * weight
    flat = movie.reshape(len(movie), -1)
    average = np.tensordot(spread, flat, (0, 0)).reshape(-1, functions, *movie.shape[1:])
    smooth = gaussian_filter(average, (0, 0, 1, 1), mode="constant")
    # where the sum of squares over the functions of the basis is largest
    best = (smooth**2).sum(axis=1).reshape(len(average), -1).argmax(axis=1)
    return [(int(i) // movie.shape[2], int(i) % movie.shape[2]) for i in best]


@dataclass(frozen=True)
class Moments:
    """Sums over rows of regressors x and response y; they add up and can be taken off."""

    count: int  # rows
    x: NDArray[np.float64]  # sums
    y: float
    xx: NDArray[np.float64]  # sums of products
    xy: NDArray[np.float64]

    def __add__(self, other: Moments) -> Moments:
        """Return the sums over both."""
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )

    def __sub__(self, other: Moments) -> Moments:
        """Return the sums without the rows of another."""
        return Moments(
            self.count - other.count,
            self.x - other.x,
            self.y - other.y,
            self.xx - other.xx,
            self.xy - other.xy,
        )

    def covariance(self, used: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the covariance of some of the regressors, and of them with y."""
        mean, xx, xy = self.x[used] / self.count, self.xx[np.ix_(used, used)], self.xy[used]
        return xx / self.count - np.outer(mean, mean), (xy - mean * self.y) / self.count


class LaggedFeatures:
    """A window of pixels around a centre, at all lags, in a temporal basis."""

    def __init__(
        self,
        movie: NDArray[np.float32],  # (time, y, x), of mean 0; 0 beyond its edge
        centre: tuple[int, int],  # row and column
        radius: int,  # the window reaches so many pixels from the centre
        basis: NDArray[np.float64],  # (function, lag), the oldest frame first
        parts: Sequence[Span],  # rows whose windows are used
    ) -> None:
        self.centre, self.radius, self.basis = centre, radius, basis
        self.size, self.parts = movie.shape[1:], list(parts)
        history, side = basis.shape[1], 2 * radius + 1
        (row, column), (height, width) = centre, self.size
        top, left = max(0, row - radius), max(0, column - radius)
        bottom, right = min(height, row + radius + 1), min(width, column + radius + 1)
        self.frame = (slice(top, bottom), slice(left, right))
        corner = top - row + radius, left - column + radius
        self.window = (
            slice(corner[0], corner[0] + bottom - top),
            slice(corner[1], corner[1] + right - left),
        )
        window = np.zeros((len(movie), side, side), dtype=np.float32)
        window[:, *self.window] = movie[:, *self.frame]
        flat = window.reshape(len(movie), -1)
        weight = basis.astype(np.float32).T
        pieces = [
            (sliding_window_view(flat[a - history + 1 : b], history, axis=0) @ weight)
            .transpose(0, 2, 1)
            .reshape(b - a, -1)
            for a, b in parts
        ]
        self.values = np.concatenate(pieces)
        self.starts = np.cumsum([0, *(b - a for a, b in parts)])

    def rows(self, which: Iterable[int]) -> NDArray[np.intp]:
        """Rows of `values` that belong to some of the parts."""
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in which])

    def moments(self, rate: NDArray[np.floating], which: Iterable[int]) -> Moments:
        """Return the sums over some of the parts, for a response (time,)."""
        chosen = list(which)
        x = self.values[self.rows(chosen)]
        y = np.concatenate([rate[slice(*self.parts[i])] for i in chosen]).astype(np.float32)
        sums = (x.sum(axis=0), float(y.sum()), x.T @ x, x.T @ y)
        return Moments(len(y), sums[0].astype(float), sums[1], *(s.astype(float) for s in sums[2:]))

    def solve(
        self, moments: Moments, radius: int, penalty: float, ranks: Sequence[int]
    ) -> list[NDArray[np.float64]]:
        """Ridge regression on a window of `radius`, for each rank, with output of variance 1."""
        # w = (C + penalty * mean(diag C) * 1)^-1 c, with C the covariance of the regressors and c
        # that with the response; w = c, the spike-triggered average, at an infinite penalty
        side, away = 2 * self.radius + 1, np.abs(np.arange(-self.radius, self.radius + 1))
        near = (np.maximum(away[:, None], away) <= radius).ravel()
        used = np.flatnonzero(np.tile(near, len(self.basis)))
        within, weight = moments.covariance(used)
        if np.isfinite(penalty):
            ridge = penalty * max(float(np.diag(within).mean()), np.finfo(float).tiny)
            weight = solve(within + ridge * np.eye(len(used)), weight, assume_a="pos")
        u, s, v = np.linalg.svd(weight.reshape(len(self.basis), -1), full_matrices=False)
        found = []
        for rank in ranks:
            whole = np.zeros(len(self.basis) * side**2)  # 0 outside of the smaller window
            whole[used] = ((u[:, :rank] * s[:rank]) @ v[:rank]).ravel()
            power = float(whole[used] @ within @ whole[used])
            found.append(whole / np.sqrt(power) if power > 0 else whole)
        return found

    def in_frame(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter (lag, y, x) on the whole frame that has these weights."""
        side = 2 * self.radius + 1
        window = np.tensordot(self.basis, weight.reshape(-1, side, side), (0, 0))
        whole = np.zeros((self.basis.shape[1], *self.size))
        whole[:, *self.frame] = window[:, *self.window]
        return whole
