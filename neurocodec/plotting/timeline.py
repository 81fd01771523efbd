"""Times of samples: which range they cover, parts of them, the liveliest part."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.splits import liveliest


def time_range(data: xr.DataArray) -> tuple[float, float]:
    """Time that samples cover, half a step beyond the first and the last."""
    times = times_of(data)
    half = (times[-1] - times[0]) / (len(times) - 1) / 2 if len(times) > 1 else 0.5
    return float(times[0] - half), float(times[-1] + half)


def times_of(data: xr.DataArray) -> NDArray[np.float64]:
    """Times of samples in seconds; samples are numbered where `time` has no labels."""
    return np.asarray(clock.seconds(data[v.TIME].variable).values, dtype=np.float64)


def within(data: xr.DataArray, time: slice | None) -> xr.DataArray:
    """Part of `data` within a range of times in seconds, both ends included; all where None."""
    if time is None:
        return data
    part = clock.in_seconds(data).sel({v.TIME: time})
    if not part.sizes[v.TIME]:
        times = times_of(data)
        raise InputError(
            came=f"time={time}, in which nothing lies",
            expected=f"times from {times[0]:g} to {times[-1]:g} s",
            hint=f"time=slice({times[0]:g}, {times[-1]:g})",
        )
    return part


def excerpt(target: xr.DataArray, seconds: float = 6.0) -> slice:
    """Liveliest part of a movie: where the target varies most.

    Parameters
    ----------
    target
        (time).
    seconds
        Length of the part.

    Returns
    -------
    slice
        From its first to its last time in seconds; everything where the movie is shorter.

    Examples
    --------
    >>> calm, lively = np.zeros(100), np.arange(100) % 2
    >>> target = xr.DataArray(np.r_[calm, lively], {"time": np.arange(200) / 100}, "time")
    >>> excerpt(target, seconds=1.0)
    slice(1.0, 1.99, None)
    """
    times = times_of(target)
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    count = min(len(times), max(2, round(seconds / step))) if step else len(times)
    first = liveliest(target.values.astype(np.float64), count)
    return slice(float(times[first]), float(times[first + count - 1]))
