"""What comes with a movie: the stimulus, and recordings of the cells that a model describes."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from neurocodec import clock, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.network import Network

logger = logging.getLogger(__name__)

Movie = xr.Dataset | xr.DataArray | xr.DataTree


def stimulus_of(movie: Movie) -> xr.DataArray:
    """Frames of a movie, or its `stimulus`, without the scalar coordinates of other variables."""
    if isinstance(movie, xr.Dataset | xr.DataTree):
        if v.STIMULUS not in movie.data_vars:
            raise _without_stimulus(movie)
        movie = _with_segments(movie)
    if isinstance(movie, xr.DataArray):
        plain = movie.drop_vars([name for name, c in movie.coords.items() if not c.ndim])
        return labels.movie_of(plain)
    raise InputError(
        came=f"a movie of type {type(movie).__name__}",
        expected="an xarray.Dataset with 'stimulus', or an xarray.DataArray (time, y, x)",
        hint="xr.DataArray(frames, {'time': times}, ('time', 'y', 'x'))",
    )


def _with_segments(movie: xr.Dataset | xr.DataTree) -> xr.DataArray:
    """Its stimulus, with the segments that are a variable beside it."""
    stimulus = movie.data_vars[v.STIMULUS]
    beside = movie.data_vars.get(v.SEGMENT)
    if beside is None or beside.dims != (v.TIME,) or v.TIME not in stimulus.dims:
        return stimulus
    return stimulus.assign_coords({v.SEGMENT: beside.variable})


def in_seconds(movie: Movie) -> Movie:
    """Movie or recording with `time` in seconds, see `neurocodec.clock`."""
    if isinstance(movie, xr.DataArray):
        return clock.in_seconds(movie)
    plain = movie.to_dataset() if isinstance(movie, xr.DataTree) else movie
    made = clock.in_seconds(plain)
    return movie if made is plain else made


def timed(movie: Movie, frame_rate: float | None) -> Movie:
    """Movie with the times of its frames in seconds, at `frame_rate` where it has none."""
    movie = in_seconds(movie)
    frames = stimulus_of(movie)
    if v.TIME in frames.coords or v.TIME not in frames.dims:
        return movie
    if frame_rate is None:
        raise InputError(
            came="a movie without times, and a network without a frame rate",
            expected="the coordinate 'time' in seconds",
            hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / frame_rate)",
        )
    times = labels.time_coordinate(frames.sizes[v.TIME], frame_rate)
    return movie.assign_coords({v.TIME: times})


def _without_stimulus(movie: xr.Dataset | xr.DataTree) -> InputError:
    parts = [str(name) for name in movie.children] if isinstance(movie, xr.DataTree) else []
    within = f" and the parts {parts}" if parts else ""
    return InputError(
        came=f"a movie with the variables {[*map(str, movie.data_vars)]}{within}",
        expected="one called 'stimulus' with dims ('time', 'y', 'x')",
        hint=f"recording[{parts[0]!r}]" if parts else "movie.rename(old_name='stimulus')",
    )


def recorded_rates(movie: Movie, rates: xr.DataArray) -> xr.DataArray | None:
    """Recorded rates (time, cell) of a model's cells and times in Hz, where the movie has them."""
    movie = in_seconds(movie.to_dataset() if isinstance(movie, xr.DataTree) else movie)
    rate = _firing_rate(movie) if isinstance(movie, xr.Dataset) else None
    if rate is None or v.CELL not in rates.coords:
        return None
    rate = _of_cells(rate, rates[v.CELL])
    if rate is None:
        logger.info("the recorded cells are not those of the model; they are not compared")
        return None
    found = _at_times(rate, rates).transpose(v.TIME, v.CELL)
    labels.require_finite(found, "the recorded firing rates, at times at which the model responds,")
    return labels.labelled(
        found.values,
        (v.TIME, v.CELL),
        {str(k): c.variable for k, c in found.coords.items() if c.ndim},
        name="recorded_firing_rate",
        comment="simulated retina" if movie.attrs.get("simulated") else "recorded",
    )


def recorded_repeats(movie: Movie, rates: xr.DataArray) -> xr.DataArray | None:
    """Recorded rates (repeat, time, cell) of a model's cells and times in Hz, single repeats."""
    movie = in_seconds(movie.to_dataset() if isinstance(movie, xr.DataTree) else movie)
    if not isinstance(movie, xr.Dataset) or v.CELL not in rates.coords:
        return None
    if "spike_count" not in movie or "bin_width" not in movie.coords:
        return None
    if movie["spike_count"].sizes.get(v.REPEAT, 1) < 2:
        return None
    found = _of_cells(movie["spike_count"] / bin_width_of(movie), rates[v.CELL])
    return None if found is None else _at_times(found, rates).transpose(v.REPEAT, v.TIME, v.CELL)


def _of_cells(rate: xr.DataArray, cells: xr.DataArray) -> xr.DataArray | None:
    """Recorded rates of the cells with these names, or with these numbers in the file."""
    # a model's cells may be called by their numbers, as in checkpoints of torch-deep-retina
    known = [*map(str, rate[v.CELL].values)] if v.CELL in rate.coords else []
    if not set(cells.values) <= {*known} and "number" in rate.coords:
        known = [*map(str, rate["number"].values)]
    if not set(cells.values) <= {*known}:
        return None
    chosen = rate.isel({v.CELL: [known.index(name) for name in cells.values]})
    return chosen.assign_coords({v.CELL: cells.values})


def _at_times(rate: xr.DataArray, rates: xr.DataArray) -> xr.DataArray:
    """Recorded rates at the model's times; without labels, the frames that have a response."""
    if v.TIME not in rates.coords:
        if len(clock.pieces(rate)) > 1:
            raise InputError(
                came="a movie of several segments, without times",
                expected="times, by which responses and recorded rates are matched",
                hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / 100)",
            )
        skipped = rate.sizes[v.TIME] - rates.sizes[v.TIME]
        return rate.isel({v.TIME: slice(skipped, None)})
    missing = ~np.isin(rates[v.TIME].values, rate[v.TIME].values)
    if missing.any():
        raise InputError(
            came=f"a recording without {int(missing.sum())} of the model's times, the first at"
            f" {float(rates[v.TIME].values[missing][0]):g} s",
            expected="stimulus and recording on one time axis",
            hint="nc.stimuli.resample(recording, frame_rate), if you mean to resample",
        )
    return rate.sel({v.TIME: rates[v.TIME].values})


def _firing_rate(movie: xr.Dataset) -> xr.DataArray | None:
    """The `firing_rate` (time, cell), or `spike_count` (repeat, time, cell) as a mean rate."""
    if "firing_rate" in movie:
        return movie["firing_rate"]
    if "spike_count" in movie and "bin_width" in movie.coords:
        return movie["spike_count"].mean(v.REPEAT) / bin_width_of(movie)
    return None


def bin_width_of(part: xr.Dataset) -> float:
    """Width of the bins of spike counts in seconds; refused where frames last longer or less."""
    width = clock.scalar_seconds(part["bin_width"])
    if v.TIME in part.coords and part.sizes[v.TIME] > 1:
        step = clock.step_of(clock.seconds(part[v.TIME].variable).values)
        clock.require_width(width, step)
    return width


def with_types(rates: xr.DataArray, recorded: xr.DataArray | None) -> xr.DataArray:
    """Give rates the cell types that came with a recording, where the model knows none."""
    if recorded is None or "cell_type" in rates.coords or "cell_type" not in recorded.coords:
        return rates
    return rates.assign_coords(cell_type=(v.CELL, recorded["cell_type"].values))


def simulated_parts(net: Network, movie: Movie) -> tuple[str, ...]:
    """Which of "model" and "movie" say of themselves that they are simulated."""
    model = "simulated" in " ".join([net.name, *(net.outputs or ())]).lower()
    found = {"model": model, "movie": is_simulated(movie)}
    return tuple(what for what, said in found.items() if said)


def is_simulated(movie: Movie) -> bool:
    """Whether a movie or a recording, or its stimulus, says of itself that it is simulated."""
    if movie.attrs.get("simulated"):
        return True
    attrs = movie.attrs if isinstance(movie, xr.DataArray) else movie[v.STIMULUS].attrs
    return any("simulated" in str(text).lower() for text in attrs.values())


def what_was_shown(movie: Movie) -> str:
    """Part of a recording, how its light was made a movie, and the size of the movie, in words."""
    frames = stimulus_of(movie)
    name = movie.name if isinstance(movie, xr.DataTree) else movie.attrs.get("part")
    facts = labels.provenance(movie)
    made = str(movie.attrs.get("geometry", ""))
    if made and facts.get("diameter") is not None:
        made += f" of {facts['diameter']:g} pixels"
    rendered = f"rendered by {facts['function']}" if made and "function" in facts else ""
    height, width = (frames.sizes[d] for d in (v.Y, v.X))
    size = f"{frames.sizes[v.TIME]} frames of {height} x {width} pixels"
    same = "the same light in every pixel" if is_uniform(frames) else ""
    words = [f"part {name!r}" if name else "", made, rendered, size, same]
    return ", ".join(word for word in words if word)


def is_uniform(frames: xr.DataArray) -> bool:
    """Whether every frame is the same in all pixels, so that places mean nothing."""
    values = frames.transpose(..., v.Y, v.X).values
    return bool((values == values[..., :1, :1]).all())
