"""What one linear filter of a stimulus says of traces: a Gaussian in space times a time course."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurocodec.kernels.lagged import HALVES
from neurocodec.kernels.temporal_basis import temporal_basis

WIDTHS: Final = (0.1, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the Gaussians in pixels; the first is a pixel."""
PLACES: Final = 1024
"""Places that a Gaussian of one width is put at, about."""
FUNCTIONS: Final = 10
RIDGE: Final = 1e-3
"""Penalty, in parts of the mean variance of the regressors."""
_NUMBERS: Final = 2**22
"""Regressors in memory at once, over times and places."""


def held_out_predictions(
    movie: NDArray[np.floating],  # (frame, y, x)
    ends: NDArray[np.intp],  # last frame of the window that each time answers
    history: int,  # frames in a window
    traces: NDArray[np.float64],  # (time, trace)
    halves: NDArray[np.int8],  # of every time, as `interleaved_halves` gives them
) -> NDArray[np.float64]:
    """Predictions (time, trace), each by the filter that fits best on the other half; else NaN."""
    # Width, place and time course are chosen on one half and take no look at the other, as the
    # unit of a model is. A rectifier is no part of it: the filter is what is linear and separable.
    basis = temporal_basis(history, min(FUNCTIONS, history))
    count = traces.shape[1]
    best, made = np.full((2, count), -np.inf), np.full(traces.shape, np.nan)
    for pooled in _pooled(movie):
        # (time, function, place): the oldest frame comes first, in windows and basis; windows
        # are multiplied where they lie, as copies of them take longer than the products
        seen = basis @ sliding_window_view(pooled, history, axis=0).transpose(0, 2, 1)
        x = seen[ends - history + 1]
        for half in HALVES:
            here, there = halves == half, halves == 1 - half
            score, weight = _fitted(x[here], traces[here])
            place = score.argmax(axis=0)
            found = score[place, np.arange(count)]
            for i in np.flatnonzero(found > best[half]):
                best[half, i] = found[i]
                made[there, i] = x[there, :, place[i]] @ weight[place[i], :, i]
    return made


def _pooled(movie: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    """Movie less its mean under Gaussians (frame, place), of each width, some places at a time."""
    frames = np.asarray(movie, dtype=np.float64)
    frames = frames - frames.mean()
    sides = frames.shape[1:]
    for width in [w for w in WIDTHS if w == WIDTHS[0] or w < max(sides)]:
        step = max(1, int(width / 2), int(np.sqrt(np.prod(sides) / PLACES)))
        down, across = (_gaussians(n, width, step) for n in sides)
        maps = np.einsum("tyx,yi->tix", frames, down, optimize=True) @ across
        flat = maps.reshape(len(frames), -1)
        some = max(1, _NUMBERS // (len(frames) * FUNCTIONS))
        for first in range(0, flat.shape[1], some):
            yield flat[:, first : first + some]


def _gaussians(size: int, width: float, step: int) -> NDArray[np.float64]:
    """Weights (pixel, place) along one axis; each column sums to 1."""
    weights = gaussian_filter1d(np.eye(size), width, axis=0, mode="constant")
    weights = weights[:, (size - 1) % step // 2 :: step]
    return np.asarray(weights / weights.sum(axis=0))


def _fitted(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlation (place, trace) and weights (place, function, trace) of ridge regressions."""
    # as one block for each place: products of strided ones read far more memory than they need
    features = np.ascontiguousarray(x.transpose(2, 1, 0))
    features -= features.mean(axis=2, keepdims=True)
    target = y - y.mean(axis=0)
    within = features @ features.transpose(0, 2, 1)
    cross = features @ target
    size = np.einsum("pff->p", within) / x.shape[1]
    varies = size > np.finfo(float).eps * max(float(size.max(initial=0.0)), np.finfo(float).tiny)
    ridge = np.where(varies, RIDGE * size, 1.0)
    weight = np.linalg.solve(within + ridge[:, None, None] * np.eye(x.shape[1]), cross)
    power = np.sqrt(np.einsum("pfi,pfg,pgi->pi", weight, within, weight, optimize=True))
    norm = power * np.linalg.norm(target, axis=0)
    found = np.divide((weight * cross).sum(axis=1), norm, out=np.zeros_like(norm), where=norm > 0)
    return np.where(varies[:, None], found, 0.0), weight


def held_out_correlation(
    made: NDArray[np.float64],  # predictions (time, trace)
    traces: NDArray[np.float64],
    halves: NDArray[np.int8],
    without: NDArray[np.bool_] | None = None,  # times that are left out
) -> NDArray[np.float64]:
    """Correlation of predictions with traces on each half, mean of both; 0 where they are flat."""
    found = []
    for half in HALVES:
        rows = (halves == half) & (True if without is None else ~without)
        a, b = (z[rows] - z[rows].mean(axis=0) for z in (made, traces))
        norm = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
        found.append(np.divide((a * b).sum(axis=0), norm, out=np.zeros_like(norm), where=norm > 0))
    return np.asarray(np.mean(found, axis=0))
