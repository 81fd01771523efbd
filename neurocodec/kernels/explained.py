"""What predicted rates explain of responses: of the variance that repeats share, of every spike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neurocodec.kernels.ceiling import signal_power
from neurocodec.kernels.intervals import jackknife_interval, without_stretches

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR: Final = 1e-6
"""Least part of its mean that a predicted rate counts as: one spike at 0 would cost infinity."""


def signal_explained(
    responses: NDArray[Any],  # (repeat, time, ...)
    predicted: NDArray[Any],  # (time, ...)
) -> NDArray[np.float64]:
    """Part of the variance that repeats share which is explained; NaN where they share nothing."""
    y, p = np.asarray(responses, np.float64), np.asarray(predicted, np.float64)
    mean, power = y.mean(axis=0), signal_power(y)
    # SPE = (Var(mean_n y_n) - Var(mean_n y_n - prediction)) / SP (Sahani and Linden 2003, NIPS 15;
    # Schoppe et al. 2016, Front. Comput. Neurosci. 10:10, eq. 5): 1 in the mean for the true rate,
    # as noise is in both variances; below 0 where the mean rate would do better
    explained = mean.var(axis=0) - (mean - p).var(axis=0)
    return np.asarray(np.divide(explained, power, out=np.full_like(power, np.nan), where=power > 0))


def signal_explained_interval(
    responses: NDArray[Any], predicted: NDArray[Any], confidence: float = 0.95
) -> NDArray[np.float64]:
    """Interval (2, ...) over stretches of time; NaN where one of its values is."""
    y, p = np.asarray(responses), np.asarray(predicted)
    kept = without_stretches(len(p)) > 0
    without = [signal_explained(y[:, rows], p[rows]) for rows in kept if rows.any()]
    value = signal_explained(y, p)
    return jackknife_interval(value, np.reshape(without, (-1, *value.shape)), confidence)


def bits_per_spike(
    responses: NDArray[Any],  # (time, ...), rates or counts
    predicted: NDArray[Any],  # (time, ...), in the same units
) -> NDArray[np.float64]:
    """Poisson log likelihood beyond that of the mean rate, in bits a spike; NaN without spikes."""
    weights = np.ones((1, len(responses)))
    found: NDArray[np.float64] = _bits(np.asarray(responses), np.asarray(predicted), weights)[0]
    return found


def bits_per_spike_interval(
    responses: NDArray[Any], predicted: NDArray[Any], confidence: float = 0.95
) -> NDArray[np.float64]:
    """Interval (2, ...) over stretches of time; NaN where one of its values is."""
    y, p = np.asarray(responses), np.asarray(predicted)
    without = _bits(y, p, without_stretches(len(y)))
    return jackknife_interval(bits_per_spike(y, p), without, confidence)


def _bits(y: NDArray[Any], p: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Bits a spike (weighting, ...) of weighted times."""
    # sum_t [y log2(p / m) - (p - m) / ln 2] / sum_t y with the mean m of y: the difference of the
    # Poisson log likelihoods of the two rates (the width of bins and log y! drop out), which is the
    # information of single spikes where p is the true rate (Brenner et al. 2000, Neural Comput. 12;
    # Williamson, Sahani and Pillow 2015, PLoS Comput. Biol. 11:e1004141)
    y, p = (np.asarray(x, np.float64) for x in (y, p))
    rate = np.maximum(p, FLOOR * y.mean(axis=0))
    spikes, expected = (np.tensordot(weights, x, 1) for x in (y, rate))
    count = weights.sum(axis=1).reshape(-1, *[1] * (y.ndim - 1))
    some = spikes > 0
    safe = np.where(some, spikes, 1.0)
    logs = np.log2(rate, out=np.zeros_like(rate), where=rate > 0)
    gain = np.tensordot(weights, y * logs, 1) - spikes * np.log2(safe / count)
    found = (gain - (expected - spikes) / np.log(2)) / safe
    return np.where(some, found, np.nan)
