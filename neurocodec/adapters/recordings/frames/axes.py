"""Whether time is the first axis of frames, as their times and the spikes tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.frames.schedule import Schedule, Timing
from neurocodec.adapters.recordings.frames.triggers import as_array
from neurocodec.errors import InputError, warn

NEAR: Final = (0.8, 1.05)
"""Shares of an axis, taken for frames, at which the last spike is one of its last frames."""


def scheduled(timing: Timing, movie: xr.DataArray) -> Schedule:
    """Rows and onsets of the frames; refused where times are those of another axis."""
    told = _told(timing)
    frames = movie.sizes[v.TIME]
    axis = None if told is None or told <= frames else _axis_of(movie, told)
    if axis is None or told is None:  # of fewer triggers than frames some are missing
        return timing.schedule(frames)
    hint = _moved(axis)
    if told % frames == 0:
        hint += f"; trials={told // frames}, where all of it was repeated"
    raise InputError(
        came=f"{told} times for a stimulus of shape {movie.shape}, whose axis {axis} has {told}",
        expected="frames (time, y, x)",
        hint=hint,
    )


def doubt_axes(movie: xr.DataArray, spikes: Iterable[ArrayLike], schedule: Schedule) -> None:
    """Doubt frames that end long before spikes, which end where another axis would."""
    found = np.concatenate([*(np.ravel(x) for x in spikes), np.empty(0)])
    onsets = schedule.onsets
    ends = max(float(clock.frame_ends(row)[-1]) for row in onsets)
    if len(onsets) > 1 or not found.size or 2 * int((found >= ends).sum()) <= found.size:
        return
    last = (float(found.max()) - float(onsets.min())) / clock.step_of(onsets[0])
    for axis in range(1, movie.ndim if movie.ndim == 3 else 1):
        size = movie.shape[axis]
        if NEAR[0] * size <= last <= NEAR[1] * size:
            warn(
                f"most spikes came after the {movie.shape[0]} frames, and the last at about frame"
                f" {last:.0f}, of a stimulus of shape {movie.shape}: {_moved(axis)}"
            )
            return


def _moved(axis: int) -> str:
    return f"np.moveaxis(stimulus, {axis}, 0), where its axis {axis} is time"


def _axis_of(movie: xr.DataArray, size: int) -> int | None:
    """Last axis of so many pixels, of frames without colours."""
    if movie.ndim != 3:
        return None
    return next((axis for axis in (2, 1) if movie.shape[axis] == size), None)


def _told(timing: Timing) -> int | None:
    """How many frames the times are of, one each, where they tell it."""
    name = "triggers" if timing.frame_times is None else "frame_times"
    given = getattr(timing, name)
    if given is None or timing.shown is not None or str(timing.missing) != "refuse":
        return None
    if timing.trials is not None or timing.frames_per_trigger != 1:
        return None
    times = as_array(given, name, "seconds")
    return times.size if times.ndim == 1 else None
