"""Another frame rate: held for stimuli, averaged for rates, filtered for potentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeVar, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.signal import resample_poly

from neurocodec import arguments
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
    """Old and new frames: onsets and edges in seconds."""

    old: NDArray[np.float64]
    new: NDArray[np.float64]
    step: float
    rate: float

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
    lasts. Nothing else in neurocodec resamples by itself.

    Parameters
    ----------
    data
        DataArray, Dataset or DataTree with `time` in seconds.
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
    require_rate(frame_rate)
    if isinstance(data, xr.DataArray):
        return _array(data, frame_rate, method)
    if isinstance(data, xr.Dataset):
        return _dataset(data, frame_rate, method)
    whole = data if data.is_root else data.copy()
    nodes = {node.path: _dataset(node.to_dataset(), frame_rate, method) for node in whole.subtree}
    return xr.DataTree.from_dict(nodes, name=data.name)


def require_rate(frame_rate: float) -> float:
    """Refuse a frame rate that is not positive."""
    expected = "frames per second, above 0"
    found = arguments.number("frame_rate", frame_rate, expected, hint="frame_rate=100.0")
    if found <= 0:
        raise InputError(came=f"frame_rate={frame_rate!r}", expected=expected)
    return found


def _array(data: xr.DataArray, rate: float, method: Resampling | None) -> xr.DataArray:
    clock = _clock(data, rate)
    if clock is None:
        return data
    made = _resampled(data, clock, method or _method(data, clock))
    return stamp(made, "nc.stimuli.resample", frame_rate=rate, method=method)


def _dataset(data: xr.Dataset, rate: float, method: Resampling | None) -> xr.Dataset:
    clock = _clock(data, rate) if v.TIME in data.dims else None
    if clock is None:
        return data
    timed = {n: x for n, x in data.data_vars.items() if v.TIME in x.dims}
    still = data.drop_vars(list(timed)).drop_dims(v.TIME)
    done = {n: _resampled(x, clock, method or _method(x, clock)) for n, x in timed.items()}
    made = still.assign(done)
    if "bin_width" in made.coords:
        width = made["bin_width"]
        made = made.assign_coords(bin_width=((), 1 / rate, width.attrs))
    ordered = made[[*data.data_vars]].assign_attrs(data.attrs)
    return stamp(ordered, "nc.stimuli.resample", frame_rate=rate, method=method)


def _clock(data: xr.DataArray | xr.Dataset, rate: float) -> _Clock | None:
    """Old and new times; None where the data have this frame rate already."""
    if v.TIME not in data.coords or data.sizes.get(v.TIME, 1) < 2:
        raise InputError(
            came=f"data with dims {dict(data.sizes)} and without times"
            if v.TIME not in data.coords
            else "a single time",
            expected="a coordinate 'time' in seconds with at least two values",
            hint="data.assign_coords(time=np.arange(data.sizes['time']) / frame_rate)",
        )
    old = data[v.TIME].values.astype(np.float64)
    steps = np.diff(old)
    if not (steps > 0).all():
        raise InputError(came="times that do not rise", expected="rising times in seconds")
    step = float(np.median(steps))
    if np.allclose(steps * rate, 1, rtol=0, atol=1e-6):
        return None
    count = int((old[-1] + step - old[0]) * rate + 1e-6)
    if not count:
        raise InputError(
            came=f"frame_rate={rate:g} for data of {old[-1] + step - old[0]:g} s",
            expected="a frame rate with at least one frame in that time",
        )
    return _Clock(old, old[0] + np.arange(count) / rate, step, rate)


def _method(data: xr.DataArray, clock: _Clock) -> Resampling:
    name = str(data.name)
    if name in v.VOLTAGES:
        return "linear" if clock.rate * clock.step > 1 else "polyphase"
    if name not in METHODS:
        raise InputError(
            came=f"the variable {name!r}, of which nothing says how to resample it",
            expected=f"a method, or one of {', '.join(map(repr, [*METHODS, *v.VOLTAGES]))}",
            hint=f"nc.stimuli.resample(data, {clock.rate:g}, method='hold')",
        )
    return METHODS[name]


def _resampled(data: xr.DataArray, clock: _Clock, method: Resampling) -> xr.DataArray:
    held = _held(data, clock)
    if method == "hold":
        return held
    axis = data.get_axis_num(v.TIME)
    moved = np.moveaxis(data.values, axis, 0)
    values = np.moveaxis(_KERNELS[method](moved, clock), 0, axis)
    kind = data.dtype if data.dtype.kind == "f" or method == "sum" else np.float32
    return held.copy(data=values.astype(kind))


def _held(data: xr.DataArray, clock: _Clock) -> xr.DataArray:
    """Frame that was on at each new time; a clock that is off by 0.1 % of a frame is not seen."""
    on = np.searchsorted(clock.old, clock.new + 1e-3 * clock.step, side="right") - 1
    time = xr.Variable(v.TIME, clock.new, data[v.TIME].attrs)
    return data.isel({v.TIME: on}).assign_coords({v.TIME: time})


def _mean(values: NDArray[np.float64], clock: _Clock) -> NDArray[np.float64]:
    return area_average(values, clock.old_edges, clock.new_edges, axis=0)


def _sum(values: NDArray[np.float64], clock: _Clock) -> NDArray[np.float64]:
    bins = 1 / (clock.rate * clock.step)
    if round(bins) < 1 or abs(bins - round(bins)) > 1e-6 or _is_irregular(clock):
        raise InputError(
            came=f"counts in bins of {clock.step:g} s, wanted at {clock.rate:g} per second",
            expected="new bins that are whole numbers of old ones",
            hint="resample the firing rate, count / bin_width",
        )
    return np.round(_mean(values, clock) * round(bins))


def _linear(values: NDArray[np.float64], clock: _Clock) -> NDArray[np.float64]:
    inside = clock.new.clip(clock.old[0], clock.old[-1])
    return np.asarray(make_interp_spline(clock.old, values, k=1)(inside))


def _polyphase(values: NDArray[np.float64], clock: _Clock) -> NDArray[np.float64]:
    ratio = clock.rate * clock.step
    share = Fraction(ratio).limit_denominator(1000)
    if _is_irregular(clock) or abs(float(share) / ratio - 1) > 1e-6:
        raise InputError(
            came=f"frames {clock.step:g} s apart, irregular or in no simple ratio to"
            f" {clock.rate:g} per second",
            expected="regular times, and a ratio of whole numbers up to 1000",
            hint="method='linear' or method='mean'",
        )
    filtered = resample_poly(values, share.numerator, share.denominator, axis=0, padtype="line")
    return np.asarray(filtered[: len(clock.new)])


def _is_irregular(clock: _Clock) -> bool:
    return not np.allclose(np.diff(clock.old), clock.step, rtol=1e-3)


_KERNELS: Final[dict[str, Callable[[NDArray[np.float64], _Clock], NDArray[np.float64]]]] = {
    "linear": _linear,
    "mean": _mean,
    "polyphase": _polyphase,
    "sum": _sum,
}
