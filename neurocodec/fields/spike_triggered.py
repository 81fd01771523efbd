"""`nc.spike_triggered_average`: the mean stimulus before a spike, as a labelled field."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from tqdm.auto import tqdm

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.arguments import is_whole, whole
from neurocodec.engine.samples import bar
from neurocodec.errors import InputError, unknown_name, warn
from neurocodec.kernels.lagged import circular_shifts
from neurocodec.kernels.triggered import TriggeredSums
from neurocodec.labels import (
    labelled,
    lag_coordinate,
    movie_of,
    provenance,
    require_dims,
    require_finite,
    require_free_names,
    stamp,
)

BLOCK = 1024
"""Responses per block: the lazily read stimulus is never in memory as a whole."""

Kind = Literal["average", "filter"]


def spike_triggered_average(
    stimulus: xr.DataArray,
    responses: xr.DataArray,
    history: int = 40,
    *,
    kind: Kind = "average",
    shifts: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Spike-triggered average of every cell: the mean stimulus before a spike.

    With r(t) spikes or rates and s(t + lag) the frames up to and including the one at t,

    - ``"average"``: sum_t r(t) s(t + lag) / sum_t r(t) - mean_t s(t + lag), in units of the
      stimulus. The mean stimulus over the same windows is taken off.
    - ``"filter"``: cov_t(r(t), s(t + lag)) / var(s), with one variance for all pixels (over time,
      the mean of all pixels), in units of the response per unit of stimulus: for white noise the
      least-squares linear filter.

    No whitening is done: a stimulus with correlations in space or time blurs both.

    Parameters
    ----------
    stimulus
        (time, y, x); read block by block.
    responses
        (time, cell), or spike counts (repeat, time, cell), which are summed over repeats. Times
        are matched with frames by their labels; without labels there is one response per frame,
        or one per full window. Responses before the first full window are left out, as are those
        whose window reaches over a gap of time or the border of a `segment`.
    history
        Frames in the window.
    kind
        ``"average"`` or ``"filter"``.
    shifts
        Circular shifts of the responses, by more than the history, that say what chance gives;
        each takes as long as the average itself. 0 leaves `p_value` out.
    seed
        Of the shifts.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        `sta` (cell, lag, y, x), the oldest lag first; (cell, lag, color, y, x) of a stimulus in
        colours, each of which has the variance of its own. NaN, with a warning, for a cell without
        spikes. With `shifts`, `p_value` (cell): part of the shifted responses, and of the unshifted
        ones, whose field is as large as the cell's anywhere.

    Raises
    ------
    InputError
        Where times of responses are no times of frames, the stimulus is shorter than the
        history, a number is not finite, or an average is asked of responses below 0.

    Examples
    --------
    >>> times = {"time": [0.0, 0.01, 0.02]}
    >>> stimulus = xr.DataArray([[[1.0]], [[2.0]], [[6.0]]], times, dims=("time", "y", "x"))
    >>> spikes = xr.DataArray([[5.0], [0.0], [1.0]], times, dims=("time", "cell"))
    >>> spike_triggered_average(stimulus, spikes, history=2).sta.values.ravel().tolist()
    [0.5, 2.0]
    """
    if kind not in ("average", "filter"):
        raise unknown_name("kind of spike-triggered average", kind, ("average", "filter"))
    stimulus = movie_of(stimulus)
    colors = (v.COLOR,) if v.COLOR in getattr(stimulus, "dims", ()) else ()
    stimulus = require_dims(stimulus, (v.TIME, *colors, v.Y, v.X), "the stimulus")
    stimulus = clock.in_seconds(stimulus)
    _require_history(history, stimulus)
    rates = _on_clock_of(stimulus, _summed(responses))
    if kind == "average":
        _require_weights(rates)
    ends, rates = _aligned(stimulus, rates, history)
    moved = _shifts(rates, history, shifts, seed)
    values = _fields(stimulus, rates.values, history, ends, kind=kind, progress=progress)
    silent = (rates.values == 0).all(axis=0)
    if silent.any():
        values[silent] = np.nan
        names = rates[v.CELL].values[silent].tolist()
        warn(f"cells without spikes have no spike-triggered average: {names}")
    made = _label(values, stimulus, responses=responses, rates=rates, history=history, kind=kind)
    if not moved.size:
        return made
    peaks = _peaks(values)
    as_large = np.ones(len(peaks))
    for shift in tqdm(moved, "shifted responses", disable=not progress, leave=False):
        rolled = np.roll(rates.values, shift, axis=0)
        as_large += _peaks(_fields(stimulus, rolled, history, ends, kind=kind)) >= peaks
    p = labelled(np.where(silent, np.nan, as_large / (len(moved) + 1)), (v.CELL,), name="p_value")
    facts = provenance(made) | {"shifts": len(moved), "seed": seed}
    return stamp(made.assign(p_value=p), facts.pop("function"), **facts)


def _shifts(rates: xr.DataArray, history: int, count: int, seed: int) -> NDArray[np.intp]:
    """Circular shifts of responses, in windows."""
    count = whole("shifts", count, 0, hint="shifts=99")
    size, room = rates.sizes[v.TIME], rates.sizes[v.TIME] - 2 * history
    if count > max(room, 0):
        raise InputError(
            came=f"shifts={count} of {size} responses, by more than the history of {history}",
            expected=f"at most {max(room, 0)}",
            hint=f"shifts={max(room, 0)}, or a longer recording",
        )
    return circular_shifts(size, count, history, whole("seed", seed, 0, hint="seed=0"))


def _fields(
    stimulus: xr.DataArray,
    rates: NDArray[Any],
    history: int,
    ends: NDArray[np.intp],
    *,
    kind: Kind,
    progress: bool = False,
) -> NDArray[np.floating]:
    sums = _collect(stimulus, rates, history, ends, progress=progress)
    return sums.averages() if kind == "average" else sums.filters()


def _peaks(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Largest size of each cell's field."""
    return np.asarray(np.abs(values).reshape(len(values), -1).max(axis=1))


def _require_history(history: int, stimulus: xr.DataArray) -> None:
    frames = stimulus.sizes[v.TIME]
    if not is_whole(history) or not 1 <= history <= frames:
        raise InputError(
            came=f"history={history!r} for a stimulus of {frames} frames",
            expected=f"a whole number from 1 to {frames}",
        )


def _require_weights(rates: xr.DataArray) -> None:
    if (rates.values < 0).any():
        raise InputError(
            came=f"responses down to {float(rates.min()):g}",
            expected="spikes or rates of at least 0, by which the stimulus is averaged",
            hint='kind="filter", which takes any response',
        )


def _summed(responses: xr.DataArray) -> xr.DataArray:
    if v.REPEAT in getattr(responses, "dims", ()):
        # a NaN in one repeat is not to count as no spike
        responses = responses.sum(v.REPEAT, keep_attrs=True, skipna=False)
    rates = require_dims(responses, (v.TIME, v.CELL), "responses")
    require_finite(rates, "responses")
    if v.CELL not in rates.coords:
        rates = rates.assign_coords({v.CELL: [str(i) for i in range(rates.sizes[v.CELL])]})
    return rates


def _on_clock_of(stimulus: xr.DataArray, rates: xr.DataArray) -> xr.DataArray:
    """Responses in seconds since the stimulus' first date, where both have dates."""
    dates = v.TIME in rates.coords and clock.is_date(rates[v.TIME].variable)
    since = stimulus[v.TIME].attrs.get(clock.SINCE) if v.TIME in stimulus.coords else None
    if dates and since is None:
        raise InputError(
            came="responses at dates beside a stimulus in seconds",
            expected="both on one clock",
            hint="responses.assign_coords(time=(responses.time - responses.time[0]).values)",
        )
    return clock.in_seconds(rates, since)


def _aligned(
    stimulus: xr.DataArray, rates: xr.DataArray, history: int
) -> tuple[NDArray[np.intp], xr.DataArray]:
    """Last frames of the windows that lie in one piece of the movie, and their responses."""
    frames = _frames(stimulus, rates, history)
    parts = clock.pieces(_with_segments(stimulus, rates, frames), what="stimulus")
    full = np.isin(frames, clock.window_ends(parts, history))
    if not full.any():
        longest = max((int(frames[frames < b].max(initial=a)) - a for a, b in parts), default=1)
        raise InputError(
            came=f"{len(frames)} responses from frame {int(frames[0]) if len(frames) else 0} on",
            expected=f"some after {history} frames, the history, without a gap",
            hint=f"history={max(1, longest)}",
        )
    return frames[full], rates.isel({v.TIME: np.flatnonzero(full)})


def _with_segments(
    stimulus: xr.DataArray, rates: xr.DataArray, frames: NDArray[np.intp]
) -> xr.DataArray:
    """Stimulus with the segments that only the responses know; frames before one belong to it."""
    known = clock.segment_of(rates)
    if known is None or clock.segment_of(stimulus) is not None:
        return stimulus
    following = np.searchsorted(frames, np.arange(stimulus.sizes[v.TIME]))
    whole = known[following.clip(max=len(known) - 1)]
    return stimulus.assign_coords({v.SEGMENT: (v.TIME, whole)})


def _frames(stimulus: xr.DataArray, rates: xr.DataArray, history: int) -> NDArray[np.intp]:
    """Frame of every response."""
    size, count = stimulus.sizes[v.TIME], rates.sizes[v.TIME]
    if v.TIME in stimulus.coords and v.TIME in rates.coords:
        known = clock.rising(stimulus[v.TIME].values, "stimulus")
        wanted = clock.rising(rates[v.TIME].values, "responses")
        found = np.searchsorted(known, wanted).clip(max=size - 1)
        if (known[found] == wanted).all():
            return found
    elif count in (size, size - history + 1):
        return np.arange(size - count, size)
    elif count == (ends := clock.window_ends(clock.pieces(stimulus), history)).size:
        return ends
    raise InputError(
        came=f"{count} responses and {size} frames, whose times do not match",
        expected="responses at times of frames",
        hint="xr.align(stimulus, responses, join='exact')",
    )


def _collect(
    stimulus: xr.DataArray,
    rates: NDArray[Any],
    history: int,
    ends: NDArray[np.intp],
    *,
    progress: bool,
) -> TriggeredSums:
    sums: TriggeredSums | None = None
    with bar(len(rates), "spike-triggered average", progress=progress) as shown:
        for rows in _blocks(ends):
            first = int(ends[rows.start]) - history + 1
            last = int(ends[rows.stop - 1])
            frames = stimulus.isel({v.TIME: slice(first, last + 1)}).compute()
            require_finite(frames, "the stimulus", first)
            if sums is None:
                sums = TriggeredSums(history, float(frames.values.mean()))
            sums.add(frames.values, rates[rows])
            shown.update(rows.stop - rows.start)
    if sums is None:
        raise InputError(came="no responses", expected="at least one")
    return sums


def _blocks(ends: NDArray[np.intp]) -> Iterator[slice]:
    """Blocks of windows that follow each other frame by frame."""
    edges = [0, *(np.flatnonzero(np.diff(ends) != 1) + 1).tolist(), len(ends)]
    for first, last in itertools.pairwise(edges):
        for start in range(first, last, BLOCK):
            yield slice(start, min(start + BLOCK, last))


def _label(
    values: NDArray[Any],
    stimulus: xr.DataArray,
    *,
    responses: xr.DataArray,
    rates: xr.DataArray,
    history: int,
    kind: Kind,
) -> xr.Dataset:
    own = str(stimulus.attrs.get("units", "")) or "unit of stimulus"
    units = own if kind == "average" else f"{responses.attrs.get('units', '1')} per {own}"
    space = tuple(map(str, stimulus.dims))[1:]
    sta = labelled(values, (v.CELL, v.LAG, *space), name="sta", units=units)
    coords: dict[str, Any] = {
        str(n): c.variable for n, c in rates.coords.items() if c.dims == (v.CELL,)
    }
    require_free_names(coords, ("sta", v.LAG, *space), "the cells")
    coords |= {d: stimulus[d].variable for d in space if d in stimulus.coords}
    coords[v.LAG] = lag_coordinate(history, stimulus)
    facts = {
        "history": history,
        "kind": kind,
        "responses": responses.name,
        "windows": rates.sizes[v.TIME],
    }
    return stamp(
        xr.Dataset({"sta": sta}).assign_coords(coords), "nc.spike_triggered_average", **facts
    )
