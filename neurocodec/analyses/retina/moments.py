"""Moments of a movie that are worth a look."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import find_peaks

from neurocodec import labels
from neurocodec import vocabulary as v


def stretch(rates: xr.DataArray, seconds: float) -> slice:
    """Part of a movie in which the cells fire most; all of it where it is not longer than that.

    Parameters
    ----------
    rates
        Firing rates (time, cell).
    seconds
        Length of the part.

    Returns
    -------
    slice
        From its first to its last time in seconds.

    Examples
    --------
    >>> rate = np.r_[np.zeros(100), np.ones(100)][:, None]
    >>> rates = xr.DataArray(rate, {"time": np.arange(200) / 100}, ("time", "cell"))
    >>> stretch(rates, 1.0)
    slice(1.0, 1.99, None)
    """
    rates = labels.require_dims(rates, (v.TIME, v.CELL), "rates")
    labels.require_finite(rates, "rates")
    total = rates.values.sum(axis=1, dtype=np.float64)
    times = np.asarray(rates[v.TIME].values, dtype=np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    count = min(len(times), max(1, round(seconds / step)))
    sums = np.convolve(total, np.ones(count), mode="valid")
    first = int(sums.argmax())
    return slice(float(times[first]), float(times[first + count - 1]))


def lively_times(rates: xr.DataArray, count: int = 150, apart: float = 0.03) -> NDArray[np.float64]:
    """Choose times at which there is something to explore: peaks of the cells' rates, in turn.

    Each cell in turn gives its next highest peak that is not within `apart` of a time chosen
    before, so that quiet cells are shown at their best as well.

    Parameters
    ----------
    rates
        Firing rates (time, cell).
    count
        Times to choose, at most.
    apart
        Seconds between two chosen times, at least.

    Returns
    -------
    numpy.ndarray
        Times in seconds, rising: values of the coordinate `time`.

    Examples
    --------
    >>> rate = [0.0, 9.0, 0.0, 0.0, 3.0, 0.0, 5.0, 0.0]
    >>> rates = xr.DataArray([rate], {"time": np.arange(8) / 10}, ("cell", "time"))
    >>> lively_times(rates, 2).tolist()
    [0.1, 0.6]
    """
    rates = labels.require_dims(rates, (v.CELL, v.TIME), "rates")
    labels.require_finite(rates, "rates")
    times = rates[v.TIME].values.astype(np.float64)
    peaks = [_peaks(rate) for rate in rates.values]
    turns = [p for rank in zip_longest(*peaks) for p in rank if p is not None]
    chosen: list[float] = []
    for place in turns:
        if len(chosen) < count and all(abs(times[place] - t) >= apart for t in chosen):
            chosen.append(float(times[place]))
    return np.sort(np.array(chosen, dtype=np.float64))


def _peaks(rate: NDArray[np.float64]) -> list[int]:
    """Positions of the peaks of a rate, the highest first."""
    places = find_peaks(np.r_[-np.inf, rate, -np.inf])[0] - 1
    return [int(p) for p in places[np.argsort(-rate[places], kind="stable")]]
