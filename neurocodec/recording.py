"""What comes with a movie: the stimulus, and recordings of the cells that a model describes."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.network import Network

logger = logging.getLogger(__name__)

Movie = xr.Dataset | xr.DataArray


def stimulus_of(movie: Movie) -> xr.DataArray:
    """Frames of a movie, without the scalar coordinates of its other variables.

    Parameters
    ----------
    movie
        (time, y, x), or a Dataset with it as `stimulus`.

    Raises
    ------
    InputError
        Where there is no `stimulus`.

    Examples
    --------
    >>> stimulus_of(xr.Dataset({"frames": ("time", [0.0])}))
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: a movie with the variables ['frames']
      expected: one called 'stimulus' with dims ('time', 'y', 'x')
      try: movie.rename(old_name='stimulus')
    """
    if isinstance(movie, xr.Dataset):
        if v.STIMULUS not in movie:
            raise InputError(
                came=f"a movie with the variables {[*map(str, movie.data_vars)]}",
                expected="one called 'stimulus' with dims ('time', 'y', 'x')",
                hint="movie.rename(old_name='stimulus')",
            )
        movie = movie[v.STIMULUS]
    if isinstance(movie, xr.DataArray):
        return movie.drop_vars([name for name, c in movie.coords.items() if not c.ndim])
    raise InputError(
        came=f"a movie of type {type(movie).__name__}",
        expected="an xarray.Dataset with 'stimulus', or an xarray.DataArray (time, y, x)",
        hint="xr.DataArray(frames, {'time': times}, ('time', 'y', 'x'))",
    )


def recorded_rates(movie: Movie, rates: xr.DataArray) -> xr.DataArray | None:
    """Recorded firing rates of a model's cells, where the movie came with them.

    Parameters
    ----------
    movie
        A Dataset with `firing_rate` (time, cell), or `spike_count` (repeat, time, cell), which is
        averaged over repeats and divided by its `bin_width`.
    rates
        The model's firing rates (time, cell); cells are matched by name.

    Returns
    -------
    xarray.DataArray or None
        `recorded_firing_rate` (time, cell) in Hz at the times and for the cells of `rates`; None
        where the movie has no recording, or one of other cells.

    Examples
    --------
    >>> rates = xr.DataArray([[1.0]], {"time": [0.1], "cell": ["a"]}, ("time", "cell"))
    >>> movie = xr.Dataset({"firing_rate": rates + 1})
    >>> recorded_rates(movie, rates).values.tolist()
    [[2.0]]
    """
    rate = _firing_rate(movie) if isinstance(movie, xr.Dataset) else None
    if rate is None or v.CELL not in rates.coords:
        return None
    names = rates[v.CELL].values
    if v.CELL not in rate.coords or not set(names) <= set(rate[v.CELL].values):
        logger.info("the recorded cells are not those of the model; they are not compared")
        return None
    found = _at_times(rate.sel({v.CELL: names}), rates).transpose(v.TIME, v.CELL)
    labels.require_finite(found, "the recorded firing rates, at times at which the model responds,")
    return labels.labelled(
        found.values,
        (v.TIME, v.CELL),
        {str(k): c.variable for k, c in found.coords.items() if c.ndim},
        name="recorded_firing_rate",
        comment="simulated retina" if movie.attrs.get("simulated") else "recorded",
    )


def _at_times(rate: xr.DataArray, rates: xr.DataArray) -> xr.DataArray:
    """Recorded rates at the model's times; without labels, the frames that have a response."""
    if v.TIME not in rates.coords:
        skipped = rate.sizes[v.TIME] - rates.sizes[v.TIME]
        return rate.isel({v.TIME: slice(skipped, None)})
    missing = ~np.isin(rates[v.TIME].values, rate[v.TIME].values)
    if missing.any():
        raise InputError(
            came=f"a recording without {int(missing.sum())} of the model's times, the first at"
            f" {float(rates[v.TIME].values[missing][0]):g} s",
            expected="stimulus and recording on one time axis",
            hint="recording.interp(time=movie.time), if you mean to resample",
        )
    return rate.sel({v.TIME: rates[v.TIME].values})


def _firing_rate(movie: xr.Dataset) -> xr.DataArray | None:
    if "firing_rate" in movie:
        return movie["firing_rate"]
    if "spike_count" in movie and "bin_width" in movie.coords:
        return movie["spike_count"].mean(v.REPEAT) / movie["bin_width"]
    return None


def with_types(rates: xr.DataArray, recorded: xr.DataArray | None) -> xr.DataArray:
    """Give rates the cell types that came with a recording, where the model knows none.

    Parameters
    ----------
    rates
        The model's firing rates (time, cell).
    recorded
        As `recorded_rates` returns them.

    Examples
    --------
    >>> rates = xr.DataArray([[1.0]], dims=("time", "cell"))
    >>> with_types(rates, rates.assign_coords(cell_type=("cell", ["ON"]))).cell_type.values.tolist()
    ['ON']
    """
    if recorded is None or "cell_type" in rates.coords or "cell_type" not in recorded.coords:
        return rates
    return rates.assign_coords(cell_type=(v.CELL, recorded["cell_type"].values))


def simulated_parts(net: Network, stimulus: xr.DataArray) -> tuple[str, ...]:
    """Which of "model" and "movie" say of themselves that they are simulated.

    Parameters
    ----------
    net
        A network; its name and those of its outputs are read.
    stimulus
        A movie; its attributes are read.

    Examples
    --------
    >>> from torch import nn
    >>> net = Network(nn.Linear(2, 1), [], name="simulated-retina")
    >>> simulated_parts(net, xr.DataArray([0.0], dims="time"))
    ('model',)
    """
    told = {
        "model": " ".join([net.name, *(net.outputs or ())]),
        "movie": " ".join(str(text) for text in stimulus.attrs.values()),
    }
    return tuple(what for what, text in told.items() if "simulated" in text.lower())
