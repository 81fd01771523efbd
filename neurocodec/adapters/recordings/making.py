"""A movie, sorted cells and a schedule as one part of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.frames.axes import doubt_axes
from neurocodec.adapters.recordings.frames.schedule import Schedule
from neurocodec.adapters.recordings.spike_times import count_spikes, report_outside
from neurocodec.adapters.recordings.spikes.cells import Cells
from neurocodec.adapters.recordings.spikes.remedies import IN_MEMORY, Remedies
from neurocodec.labels import labelled


def made(
    movie: xr.DataArray, cells: Cells, schedule: Schedule, remedies: Remedies = IN_MEMORY
) -> xr.Dataset:
    """Stimulus as it was shown, spike counts of every trial and their mean rate."""
    report_outside(cells.times, [*schedule.onsets], session=True, remedies=remedies)
    doubt_axes(movie, cells.times.values(), schedule)
    return xr.Dataset({v.STIMULUS: shown(movie, schedule)}).assign(responses(cells, schedule))


def shown(movie: xr.DataArray, schedule: Schedule) -> xr.DataArray:
    """Frames in the order in which they were on, at their times."""
    rows = schedule.rows
    plain = len(rows) == movie.sizes[v.TIME] and (rows == np.arange(len(rows))).all()
    frames = movie if plain else movie.isel({v.TIME: rows})
    return frames.assign_coords({v.TIME: time_of(schedule.times)})


def time_of(values: NDArray[np.float64]) -> xr.Variable:
    """Times as a coordinate in seconds."""
    return xr.Variable(v.TIME, values, {"units": v.SECONDS, "long_name": "time"})


def responses(cells: Cells, schedule: Schedule) -> xr.Dataset:
    """Spike counts (repeat, time, cell), and the firing rate over all trials."""
    counts = np.stack([count_spikes(cells.times, onsets) for onsets in schedule.onsets])
    widths = schedule.widths
    rate = counts.sum(0) / widths[:, None]
    width = float(np.median(widths)) / len(counts)
    coords: dict[str, Any] = {
        **cells.coords,
        v.TIME: time_of(schedule.times),
        v.REPEAT: np.arange(len(counts)),
        "bin_width": ((), width, {"units": v.SECONDS}),
    }
    if schedule.starts is not None:
        coords["trial_start"] = (v.REPEAT, schedule.starts, {"units": v.SECONDS})
    data = {
        "firing_rate": labelled(rate, (v.TIME, v.CELL), name="firing_rate"),
        "spike_count": labelled(counts, (v.REPEAT, v.TIME, v.CELL), name="spike_count"),
    }
    return xr.Dataset(data, coords)
