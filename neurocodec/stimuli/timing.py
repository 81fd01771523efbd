"""Another frame rate: held for stimuli, averaged for rates, filtered for potentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal, TypeVar, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.signal import resample_poly

from neurocodec import arguments, clock
from neurocodec import vocabulary as v
from neurocodec.arguments import one_of
from neurocodec.errors import InputError
from neurocodec.kernels.averaging import area_average
from neurocodec.labels import stamp

Resampling = Literal["hold", "linear", "mean", "polyphase", "sum"]
Recorded = TypeVar("Recorded", xr.DataArray, xr.Dataset, xr.DataTree)

METHODS: Final[dict[str, Resampling]] = {
    v.STIMULUS: "hold",
    "intensity": "hold",
    "firing_rate": "mean",
    "recorded_firing_rate": "mean",
    "spike_count": "sum",
}
"""Method of a variable; potentials and fluorescence are interpolated linearly or filtered."""


@dataclass(frozen=True)
class _Clock:
    """Old and new frames of a part without gaps: onsets and edges in seconds."""

    frames: slice  # of the old ones
    old: NDArray[np.float64]
    new: NDArray[np.float64]
    step: float
    rate: float

    @classmethod
    def of(cls, old: NDArray[np.float64], frames: slice, step: float, rate: float) -> _Clock:
        """Frames of one part at a new rate, as long as it lasts."""
        own = old[frames]
        count = int((own[-1] + step - own[0]) * rate + 1e-6)
        return cls(frames, own, own[0] + np.arange(count) / rate, step, rate)

    @property
    def old_edges(self) -> NDArray[np.float64]:
        return np.append(self.old, self.old[-1] + self.step)

    @property
    def new_edges(self) -> NDArray[np.float64]:
        edges = np.append(self.new, self.new[-1] + 1 / self.rate)
        return edges.clip(self.old_edges[0], self.old_edges[-1])


def resample(data: Recorded, frame_rate: float, *, method: Resampling | None = None) -> Recorded:
    """Bring a stimulus, responses or a whole recording to another frame rate.

    The first frame stays where it is; frames follow at 1 / `frame_rate` as long as the recording
    lasts. A frame before a gap of time lasts one step (the median), and there is no frame in the
    gap: after it, frames begin with the first one there. Nothing else in neurocodec resamples by
    itself.

    Parameters
    ----------
    data
        DataArray, Dataset or DataTree with `time` in seconds (or dates, which become seconds).
    frame_rate
        Frames per second: `net.frame_rate`.
    method
        Of every variable; None takes, of each variable, what keeps its meaning:

        - ``"hold"``: the frame that was on (`stimulus`, `intensity`, coordinates);
        - ``"mean"``: the mean over the new bin of a signal that is constant over an old one
          (`firing_rate`: the number of spikes stays the same);
        - ``"sum"``: counts of whole bins put together (`spike_count`), where a new bin is a
          whole number of old ones;
        - ``"linear"``: between two frames (`membrane_potential`, `fluorescence` to a higher rate);
        - ``"polyphase"``: `scipy.signal.resample_poly`, low-pass filtered (the same to a lower
          rate), of regular times.

    Returns
    -------
    xarray.DataArray, xarray.Dataset or xarray.DataTree
        As came. A stimulus that is read lazily stays so where it is held.

    Raises
    ------
    InputError
        Where there are no times, or a method does not fit: counts to a rate that does not divide
        the old one, irregular times for a filter.

    Examples
    --------
    >>> rate = xr.DataArray([0.0, 4.0], {"time": [0.0, 0.5]}, dims="time", name="firing_rate")
    >>> resample(rate, 1.0).values.tolist(), resample(rate, 4.0).values.tolist()
    ([2.0], [0.0, 0.0, 4.0, 4.0])
    """
    if method is not None:
        one_of("method of resampling", method, get_args(Resampling))
    frame_rate = arguments.frame_rate(frame_rate)
    if isinstance(data, xr.DataArray):
        return _array(data, frame_rate, method)
    if isinstance(data, xr.Dataset):
        return _dataset(data, frame_rate, method)
    whole = data if data.is_root else data.copy()
    nodes = {node.path: _dataset(node.to_dataset(), frame_rate, method) for node in whole.subtree}
    return xr.DataTree.from_dict(nodes, name=data.name)


def _array(data: xr.DataArray, rate: float, method: Resampling | None) -> xr.DataArray:
    data = clock.in_seconds(data)
    clocks = _clocks(data, rate)
    if not clocks:
        return data
    made = _resampled(data, clocks, method or _method(data, clocks[0]))
    return stamp(made, "nc.stimuli.resample", frame_rate=rate, method=method)


def _dataset(data: xr.Dataset, rate: float, method: Resampling | None) -> xr.Dataset:
    data = clock.in_seconds(data)
    clocks = _clocks(data, rate) if v.TIME in data.dims else []
    if not clocks:
        return data
    timed = {n: x for n, x in data.data_vars.items() if v.TIME in x.dims}
    still = data.drop_vars(list(timed)).drop_dims(v.TIME)
    done = {n: _resampled(x, clocks, method or _method(x, clocks[0])) for n, x in timed.items()}
    made = still.assign(done)
    if "bin_width" in made.coords:
        width = made["bin_width"]
        made = made.assign_coords(bin_width=((), 1 / rate, {**width.attrs, "units": v.SECONDS}))
    ordered = made[[*data.data_vars]].assign_attrs(data.attrs)
    return stamp(ordered, "nc.stimuli.resample", frame_rate=rate, method=method)


def _clocks(data: xr.DataArray | xr.Dataset, rate: float) -> list[_Clock]:
    """Old and new times of each part without gaps; none where the data have this rate already."""
    if v.TIME not in data.coords or data.sizes.get(v.TIME, 1) < 2:
        raise InputError(
            came=f"data with dims {dict(data.sizes)} and without times"
            if v.TIME not in data.coords
            else "a single time",
            expected="a coordinate 'time' in seconds with at least two values",
            hint="data.assign_coords(time=np.arange(data.sizes['time']) / frame_rate)",
        )
    old = clock.rising(data[v.TIME].values, "data")
    inside = np.diff(old)[~clock.after_gaps(old)]
    if np.allclose(inside * rate, 1, rtol=0, atol=1e-6):
        return []
    step = clock.step_of(old)
    found = [_Clock.of(old, slice(*part), step, rate) for part in clock.parts_of(old)]
    clocks = [part for part in found if part.new.size]
    if not clocks:
        raise InputError(
            came=f"frame_rate={rate:g} for data of {old[-1] + step - old[0]:g} s",
            expected="a frame rate with at least one frame in that time",
        )
    return _apart(clocks)


def _apart(clocks: list[_Clock]) -> list[_Clock]:
    """Take off the last frame before a gap that would no longer be seen as one."""
    kept = clocks[-1:]
    for part in clocks[-2::-1]:
        least = kept[0].new[0] - (1 + clock.JUMP) / part.rate
        new = part.new[part.new < least]
        kept = [replace(part, new=new), *kept] if new.size else kept
    return kept


def _method(data: xr.DataArray, part: _Clock) -> Resampling:
    name = str(data.name)
    if name in v.VOLTAGES:
        return "linear" if part.rate * part.step > 1 else "polyphase"
    if name not in METHODS:
        raise InputError(
            came=f"the variable {name!r}, of which nothing says how to resample it",
            expected=f"a method, or one of {', '.join(map(repr, [*METHODS, *v.VOLTAGES]))}",
            hint=f"nc.stimuli.resample(data, {part.rate:g}, method='hold')",
        )
    return METHODS[name]


def _resampled(data: xr.DataArray, clocks: list[_Clock], method: Resampling) -> xr.DataArray:
    held = _held(data, clocks)
    if method == "hold":
        return held
    axis = data.get_axis_num(v.TIME)
    moved = np.moveaxis(data.values, axis, 0)
    parts = [_part(moved[part.frames], part, method) for part in clocks]
    values = np.moveaxis(np.concatenate(parts), 0, axis)
    kind = data.dtype if data.dtype.kind == "f" or method == "sum" else np.float32
    return held.copy(data=values.astype(kind))


def _part(values: NDArray[np.float64], part: _Clock, method: Resampling) -> NDArray[np.float64]:
    if len(values) == 1 and method != "sum":  # a frame between two gaps
        return np.repeat(values, len(part.new), axis=0)
    return _KERNELS[method](values, part)


def _held(data: xr.DataArray, clocks: list[_Clock]) -> xr.DataArray:
    """Frame that was on at each new time; a clock that is off by 0.1 % of a frame is not seen."""
    on = [
        np.searchsorted(part.old, part.new + 1e-3 * part.step, side="right") - 1 + part.frames.start
        for part in clocks
    ]
    times = np.concatenate([part.new for part in clocks])
    time = xr.Variable(v.TIME, times, data[v.TIME].attrs)
    return data.isel({v.TIME: np.concatenate(on)}).assign_coords({v.TIME: time})


def _mean(values: NDArray[np.float64], part: _Clock) -> NDArray[np.float64]:
    return area_average(values, part.old_edges, part.new_edges, axis=0)


def _sum(values: NDArray[np.float64], part: _Clock) -> NDArray[np.float64]:
    bins = 1 / (part.rate * part.step)
    if round(bins) < 1 or abs(bins - round(bins)) > 1e-6 or _is_irregular(part):
        raise InputError(
            came=f"counts in bins of {part.step:g} s, wanted at {part.rate:g} per second",
            expected="new bins that are whole numbers of old ones",
            hint="resample the firing rate, count / bin_width",
        )
    return np.round(_mean(values, part) * round(bins))


def _linear(values: NDArray[np.float64], part: _Clock) -> NDArray[np.float64]:
    inside = part.new.clip(part.old[0], part.old[-1])
    return np.asarray(make_interp_spline(part.old, values, k=1)(inside))


def _polyphase(values: NDArray[np.float64], part: _Clock) -> NDArray[np.float64]:
    ratio = part.rate * part.step
    share = Fraction(ratio).limit_denominator(1000)
    if _is_irregular(part) or abs(float(share) / ratio - 1) > 1e-6:
        raise InputError(
            came=f"frames {part.step:g} s apart, irregular or in no simple ratio to"
            f" {part.rate:g} per second",
            expected="regular times, and a ratio of whole numbers up to 1000",
            hint="method='linear' or method='mean'",
        )
    filtered = resample_poly(values, share.numerator, share.denominator, axis=0, padtype="line")
    return np.asarray(filtered[: len(part.new)])


def _is_irregular(part: _Clock) -> bool:
    return not np.allclose(np.diff(part.old), part.step, rtol=1e-3)


_KERNELS: Final[dict[str, Callable[[NDArray[np.float64], _Clock], NDArray[np.float64]]]] = {
    "linear": _linear,
    "mean": _mean,
    "polyphase": _polyphase,
    "sum": _sum,
}
