"""Times of frames in seconds, and the pieces of a movie over whose borders no window reaches."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError

Span = tuple[int, int]
"""First frame, and frame after the last."""
Timed = TypeVar("Timed", xr.DataArray, xr.Dataset)
Times = NDArray[np.float64]

SINCE: Final = "since"
"""Attribute of times that were dates: the date that is 0 s."""
JUMP: Final = 0.5
"""Share of a frame's duration by which the next one must come early or late to count as a jump."""
RATE_TOLERANCE: Final = 1e-3
"""Relative difference of a step from that of a frame rate that is taken for rounding."""
RATE_DIFFERS: Final = 0.01
"""Share by which a frame rate may differ from that of the times beside it, before it is told."""
UNEVEN: Final = 0.1
"""Share of steps too short for a frame above which no frame rate is seen in times."""
THOUSAND: Final = 1e3

_PER_SECOND: Final = {
    **dict.fromkeys(("", "1", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 10**3),
    **dict.fromkeys(("us", "µs", "usec", "microsecond", "microseconds"), 10**6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 10**9),
}
"""Units of times, and how many of them are a second."""


def in_seconds(data: Timed, since: str | None = None) -> Timed:
    """Data with `time` in seconds; dates become seconds since `since`, or since the first frame."""
    if v.TIME not in data.coords or data[v.TIME].dims != (v.TIME,):
        return data
    time = data[v.TIME].variable
    made = seconds(time, since)
    return data if made is time else data.assign_coords({v.TIME: made})


def seconds(time: xr.Variable, since: str | None = None) -> xr.Variable:
    """Times as numbers of seconds; itself where they are that already."""
    values, attrs = _plain(time), dict(time.attrs)
    if values.dtype.kind in "fiu":
        per_second = _per_second(str(attrs.get("units", "")))
        if per_second == 1:
            return time
        values = np.asarray(values, np.float64) / per_second
    elif values.dtype.kind == "m":
        values = values / np.timedelta64(1, "s")
    else:
        dates = values[~np.isnat(values)]
        first = (
            np.datetime64(since) if since else (dates[0] if dates.size else np.datetime64(0, "ns"))
        )
        attrs[SINCE] = str(first)
        values = (values - first) / np.timedelta64(1, "s")
    return xr.Variable(time.dims, values, {**attrs, "units": v.SECONDS})


def is_date(time: xr.Variable) -> bool:
    """Whether times are dates, not durations."""
    return isinstance(time.dtype, pd.DatetimeTZDtype) or _plain(time).dtype.kind == "M"


def plain_seconds(times: Any, since: str | None = None) -> NDArray[Any]:
    """Times that a user types, as `seconds` of a coordinate with the same first date."""
    if isinstance(times, xr.DataArray):
        time = times.variable
    else:
        values = np.asarray(times).ravel()
        time = xr.Variable("given", values.astype(float) if not values.size else values)
    return np.asarray(seconds(time, since).values, np.float64).ravel()


def _plain(time: xr.Variable) -> NDArray[Any]:
    """Values of a numpy type: numbers, timedeltas, or dates without a time zone (UTC)."""
    if isinstance(time.dtype, pd.DatetimeTZDtype):
        return np.asarray(pd.DatetimeIndex(time.to_index()).tz_convert(None).values)
    values = np.asarray(time.values)
    if values.dtype.kind == "O":
        flat = values.ravel().tolist()
        if all(isinstance(x, dt.timedelta) for x in flat):
            values = np.asarray(pd.to_timedelta(flat).values)
        elif all(isinstance(x, dt.datetime) for x in flat):
            zoned = {x.tzinfo is not None for x in flat} == {True}
            dates = pd.to_datetime(flat, utc=True) if zoned else pd.DatetimeIndex(flat)
            values = np.asarray(dates.tz_localize(None).values)
        values = values.reshape(time.shape)
    if values.dtype.kind not in "fiumM":
        raise InputError(
            came=f"times of {values.dtype}",
            expected="numbers of seconds, datetime64 or timedelta64",
            hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / 100)",
        )
    return values


def _per_second(units: str) -> int:
    name = units.split(" since ", maxsplit=1)[0].strip()
    name = name if name in _PER_SECOND else name.lower()
    if name not in _PER_SECOND:
        raise InputError(
            came=f"times in {units!r}",
            expected="seconds: the units 's', or none",
            hint="movie.assign_coords(time=np.arange(movie.sizes['time']) / 100)",
        )
    return _PER_SECOND[name]


def scalar_seconds(value: xr.DataArray, where: str = "") -> float:
    """A duration such as `bin_width` in seconds, above 0; of a file, where there is one."""
    found = float(seconds(value.variable).values)
    if not (np.isfinite(found) and found > 0):
        raise InputError(
            came=f"{value.name} of {found:g} s" + (f" in {where}" if where else ""),
            expected="a duration in seconds, above 0",
            hint="" if where else f"recording.assign_coords({value.name}=0.01)",
        )
    return found


def require_width(width: float, step: float, where: str = "") -> None:
    """Refuse bins of spikes that are not as long as the frames, within half of a frame."""
    if not abs(width / step - 1) <= JUMP:
        ms = 0.9 < step / width / THOUSAND < 1.1
        came = f"spike counts in bins of {width:g} s beside frames of {step:g} s"
        expected = "one count a frame, and both in seconds"
        if where:
            units = "; 'time' / 1000 there, if it is in ms" if ms else ""
            raise InputError(came=f"{came} in {where}", expected=expected + units)
        raise InputError(
            came=came,
            expected=expected,
            hint="recording.assign_coords(time=recording.time / 1000), if its times are in ms"
            if ms
            else f"recording.assign_coords(bin_width={step:g})",
        )


def rising(values: Any, what: str = "movie", where: str = "") -> Times:
    """Times in seconds as floats; refused where they are not finite, repeat or do not rise."""
    # `what` is also the name in the hint, which there is none of for a file, `where`
    times = np.asarray(values, np.float64).ravel()
    if not np.isfinite(times).all():
        place = int(np.argmin(np.isfinite(times)))
        raise InputError(
            came=f"time {place} of {where or f'the {what}'}, which is {times[place]:g}",
            expected="rising times in seconds",
            hint="" if where else f"{what}.isel(time=np.flatnonzero(np.isfinite({what}.time)))",
        )
    steps = np.diff(times)
    if (steps > 0).all():
        return times
    place = int(np.argmin(steps > 0)) + 1
    raise InputError(
        came=f"times of {where or f'the {what}'} that do not rise: time {place}"
        f" ({times[place]:g} s) is not later than the one before ({times[place - 1]:g} s)",
        expected="rising times in seconds",
        hint="" if where else _in_order(times, what),
    )


def _in_order(times: Times, what: str) -> str:
    """What to type: sort, drop what is twice, or number pieces whose times begin anew."""
    steps = np.diff(times)
    if np.unique(times).size == times.size:
        return f"{what}.sortby('time')"
    if (steps >= 0).all():
        return f"{what}.drop_duplicates('time')"
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.01
    new = f"~np.isclose(np.diff({what}.time), {step:g}, rtol={JUMP})"
    return (
        f"{what}.assign_coords(segment=('time', np.r_[0, np.cumsum({new})]),"
        f" time=np.arange({what}.sizes['time']) * {step:g})"
    )


def step_of(times: Times) -> float:
    """How long a frame lasts: the median step."""
    return float(np.median(np.diff(times)))


def after_gaps(times: Times, step: float | None = None, jump: float = JUMP) -> NDArray[np.bool_]:
    """Whether frames are missing between a time and the next: it comes late, and alone in that."""
    steps = np.diff(times)
    late = steps > (1 + jump) * (step or _usual(steps))
    return late & ~_held(late, steps)


def usual_step(times: Times) -> float:
    """How long a step lasts that is none over a gap, also where there are few."""
    return _usual(np.diff(times))


def _usual(steps: Times) -> float:
    """Median step; of two in the middle the shorter, which is no gap."""
    return float(np.percentile(steps, 50, method="lower")) if steps.size else 1.0


def _held(late: NDArray[np.bool_], steps: Times) -> NDArray[np.bool_]:
    """Three long steps of one length or more, one after the other, are another frame rate."""
    alike = late[1:] & late[:-1] & np.isclose(steps[1:], steps[:-1], rtol=0.1)
    found = np.zeros_like(late)
    three = alike[1:] & alike[:-1]
    for k in range(3):
        found[k : k + three.size] |= three
    return found


def frame_ends(times: Times) -> Times:
    """End of every frame: the next one's onset; the last one, or before a gap, lasts one step."""
    step = step_of(times)
    ends = np.append(times[1:], times[-1] + step)
    gaps = np.flatnonzero(after_gaps(times))
    ends[gaps] = times[gaps] + step
    return ends


def parts_of(times: Times) -> list[Span]:
    """Frames between gaps of time."""
    return spans(after_gaps(times))


def spans(new: NDArray[np.bool_]) -> list[Span]:
    """Parts, from whether a border follows each frame but the last."""
    edges = [0, *(np.flatnonzero(new) + 1).tolist(), len(new) + 1]
    return list(itertools.pairwise(edges))


def pieces(
    data: xr.DataArray | xr.Dataset, frame_rate: float | None = None, what: str = "movie"
) -> list[Span]:
    """Parts of one segment and without a gap of time, over whose borders no window reaches."""
    size = data.sizes[v.TIME]
    new = np.zeros(max(size - 1, 0), bool)
    labels = segment_of(data)
    if labels is not None:
        new |= (labels[1:] != labels[:-1]) | pd.isna(labels[1:])
    if v.TIME in data.coords:
        times = rising(seconds(data[v.TIME].variable).values, what)
        new |= _jumps(times, new, frame_rate, what)
    return spans(new)


def segment_of(data: xr.DataArray | xr.Dataset) -> NDArray[Any] | None:
    """Label of the segment of every frame, where there are segments."""
    known = data.variables if isinstance(data, xr.Dataset) else data.coords
    if v.SEGMENT not in known or not data[v.SEGMENT].ndim:
        return None
    found = data[v.SEGMENT]
    if found.dims != (v.TIME,):
        raise InputError(
            came=f"{v.SEGMENT!r} with dims {tuple(map(str, found.dims))}",
            expected="one label of each frame, with the dim 'time'",
            hint=f"movie.drop_vars({v.SEGMENT!r})",
        )
    return np.asarray(found.values)


def _jumps(
    times: Times, new: NDArray[np.bool_], frame_rate: float | None, what: str
) -> NDArray[np.bool_]:
    """Whether time jumps after each frame; refuses steps of another frame rate."""
    inside = np.diff(times)[~new]
    if not inside.size:
        return np.zeros_like(new)
    step = _usual(inside) if frame_rate is None else 1 / frame_rate
    late = inside > (1 + JUMP) * step
    held = _held(late, inside)
    early = inside < (1 - JUMP) * step
    if frame_rate is None:
        uneven = bool(held.any()) or early.mean() > UNEVEN
    else:
        fits = np.isclose(inside, step, rtol=RATE_TOLERANCE)
        uneven = not fits.any() or not bool((fits | (late & ~held)).all())
    if uneven:
        raise _of_another_rate(inside, step, frame_rate, what)
    found = np.zeros_like(new)
    found[~new] = late | early
    return found


def _of_another_rate(steps: Times, step: float, frame_rate: float | None, what: str) -> InputError:
    thousands = float(np.median(steps)) / step / THOUSAND
    if frame_rate is not None and 0.9 < thousands < 1.1:
        hint = f"{what}.assign_coords(time={what}.time / 1000), if its times are in ms"
    else:
        hint = f"nc.stimuli.resample({what}, {frame_rate or 1 / step:g})"
    wanted = "one frame rate" if frame_rate is None else f"{frame_rate:g} frames per second"
    return InputError(
        came=f"a {what} with frames {steps.min():.6g} to {steps.max():.6g} s apart",
        expected=f"{wanted}; between gaps, the same step from each frame to the next",
        hint=hint,
    )


def window_ends(parts: list[Span], history: int) -> NDArray[np.intp]:
    """Last frame of every window of `history` frames that lies in one part."""
    ends = [np.arange(a + history - 1, b) for a, b in parts if b - a >= history]
    return np.concatenate(ends).astype(np.intp) if ends else np.zeros(0, np.intp)


def require_windows(parts: list[Span], history: int, what: str = "movie") -> None:
    """Refuse a movie in which no window lies in one part."""
    longest = max(b - a for a, b in parts)
    if longest < history:
        raise InputError(
            came=f"a {what} of {parts[-1][1]} frames in {len(parts)} pieces (its segments, and"
            f" what lies between gaps of time), the longest of {longest} frames",
            expected=f"at least one of {history}, the frames of a window",
        )
