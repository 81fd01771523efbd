"""Recordings in the HDF5 layout of torch-deep-retina (`<experiment>/<stimulus>.h5`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.lazy import numbers, stored_stimulus
from neurocodec.adapters.recordings.spike_times import count_spikes, report_outside
from neurocodec.adapters.recordings.spikes.remedies import of_units
from neurocodec.errors import InputError
from neurocodec.labels import labelled

EXPECTED = (
    "a group such as 'train' or 'test' with 'time' (T), 'stimulus' (T, y, x) and one of "
    "'response/firing_rate_10ms' (cell, T), 'response/binned' (cell, T), 'repeats/cellNN' "
    "(repeat, T), 'spikes/cellNN'"
)
FACTS = ("um_per_pixel", "frame_period_s")
"""Attributes of the file that describe the stimulus."""
SHIFT = (
    "row t is row t+1 of the file, whose row t answers the frames up to t-1; "
    "the file's first response row and last frame are left out"
)


def read_retina_hdf5(file: h5py.File, path: Path) -> dict[str, xr.Dataset]:
    """Every part of a torch-deep-retina recording; the stimulus stays in the file."""
    # Row t of such a file answers the frames t-40 to t-1 (as `loadexpt` of torch-deep-retina pairs
    # them); here row t answers the frames up to and including t, see SHIFT. Where `segment` says
    # that stimuli were put together, the last row of each is the first of the next one's responses,
    # and windows across a border saw two stimuli.
    parts = {name: group for name, group in _groups(file).items() if "stimulus" in group}
    if not parts:
        raise InputError(
            came=f"{str(path)!r} with {contents(file)}",
            expected=EXPECTED,
            hint="np.savez(path, stimulus=..., time=..., firing_rate=...) is read as well",
        )
    leave("at the root:", [name for name in file if name not in parts])
    return {name: _read_part(group, path, dict(file.attrs)) for name, group in parts.items()}


def contents(group: h5py.Group) -> str:
    """Names in a file, one and two levels deep, for messages."""
    found = [_described(name, item) for name, item in group.items()]
    return f"the groups {', '.join(found[:12])}" if found else "nothing in it"


def _described(name: str, item: Any) -> str:
    return f"{name!r} ({', '.join(list(item)[:6])})" if isinstance(item, h5py.Group) else repr(name)


def _groups(file: h5py.File) -> dict[str, h5py.Group]:
    return {name: item for name, item in file.items() if isinstance(item, h5py.Group)}


def _inner(group: h5py.Group, name: str) -> Any:
    """Group inside of another one, empty where there is none; refused where it is an array."""
    found = group.get(name, {})
    if isinstance(found, h5py.Dataset):
        raise InputError(came=f"{found.name}, which is an array", expected=EXPECTED)
    return found


def _numbers(item: Any, axes: int, length: int) -> h5py.Dataset:
    """Numbers of up to so many axes, the last of which is time."""
    found = numbers(item)
    if not 0 < found.ndim <= axes:
        raise InputError(came=f"{found.name} of shape {found.shape}", expected=EXPECTED)
    require_length(found.shape[-1], length, found.name)
    return found


def _read_part(group: h5py.Group, path: Path, facts: dict[str, Any]) -> xr.Dataset:
    stimulus = stored_stimulus(path, f"{group.name}/stimulus", "intensity of the display")
    time = _times(group, stimulus.sizes)
    step = clock.step_of(time)
    responses = dict(_responses(group, time, step))
    if not responses:
        raise InputError(
            came=f"the group {group.name!r} of {str(path)!r} with {contents(group)}, no responses",
            expected=EXPECTED,
        )
    _say_left(group)
    coords = _coords(group, responses, facts, time, step)
    data = {
        name: labelled(values, dims, coords={}, name=name)
        for name, (dims, values) in responses.items()
    }
    part = xr.Dataset({v.STIMULUS: stimulus[:-1], **data}, coords)
    part[v.STIMULUS].attrs |= {
        k: arguments.number(f"the attribute {k!r}", facts[k], "a number")
        for k in FACTS
        if k in facts
    }
    return part.assign_attrs(alignment=SHIFT)


def _say_left(group: h5py.Group) -> None:
    """Say what of a part is not read: a rate has counts and spike times beside it."""
    answers = [f"response/{name}" for name in _inner(group, "response")]
    rates = sorted(name for name in answers if "firing_rate" in name)
    binned = [name for name in answers if name.endswith("/binned")]
    taken = [*rates, *binned, *(["spikes"] if "spikes" in group else [])][:1]
    read = {"time", "stimulus", "repeats", "response", v.SEGMENT, *taken}
    own = group.name.strip("/")
    leave(f"of {own}:", [name for name in (*group, *answers) if name not in read])


def _times(group: h5py.Group, sizes: Any) -> NDArray[np.float64]:
    if "time" not in group:
        raise InputError(
            came=f"the group {group.name!r} with {contents(group)}",
            expected="'time' (T) in seconds",
        )
    time = stored_times(group["time"])
    require_length(len(time), sizes[v.TIME], f"{group.name}/time")
    if len(time) < 2:
        raise InputError(
            came=f"{group.name}/time of {len(time)} values",
            expected="at least two rising times in seconds",
        )
    return time


def stored_times(stored: h5py.Dataset) -> NDArray[np.float64]:
    """Times of a file that rise, in seconds; of other units where an attribute says so."""
    units = stored.attrs.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    time = xr.Variable(v.TIME, np.asarray(numbers(stored)[()]).ravel(), {"units": units})
    return clock.rising(clock.seconds(time).values, where=str(stored.name))


def require_length(found: int, frames: int, what: str) -> None:
    """Refuse a response or time axis that is not as long as the stimulus."""
    if found != frames:
        raise InputError(
            came=f"{what} of length {found} beside a stimulus of {frames} frames",
            expected="one value a frame",
            hint="cut both to the same frames before saving them",
        )


def numbered(names: Iterable[str]) -> list[str]:
    """Names in the order of the numbers in them, which is that of the rows of other arrays."""
    return sorted(
        names, key=lambda name: [t.zfill(9) if t.isdigit() else t for t in re.split(r"(\d+)", name)]
    )


Response = tuple[tuple[str, ...], NDArray[Any]]


def _responses(
    group: h5py.Group, time: NDArray[np.float64], step: float
) -> Iterator[tuple[str, Response]]:
    rate = _rate(group, time, step)
    if rate is not None:
        yield "firing_rate", ((v.TIME, v.CELL), rate.T[1:])
    repeats = _inner(group, "repeats")
    if len(repeats):
        cells = [_numbers(repeats[name], 2, len(time)) for name in numbered(repeats)]
        trials = {cell.name: len(cell) if cell.ndim == 2 else 1 for cell in cells}
        if len({*trials.values()}) > 1:
            raise InputError(
                came=f"other numbers of repeats for other cells: {trials}",
                expected="'repeats/cellNN' (repeat, T) with the same repeats for all cells",
            )
        counts = np.stack([np.atleast_2d(cell[()]) for cell in cells], axis=-1)
        yield "spike_count", ((v.REPEAT, v.TIME, v.CELL), counts[:, 1:])


def _rate(group: h5py.Group, time: NDArray[np.float64], step: float) -> NDArray[np.float32] | None:
    """Firing rates (cell, T), from what comes first: rates, counts per bin, spike times."""
    response = _inner(group, "response")
    found = sorted(name for name in response if re.fullmatch(r"firing_rate_\d+ms", name))
    if found:
        stored = _numbers(response[found[0]], 2, len(time))
        return np.atleast_2d(np.asarray(stored[()], dtype=np.float32))
    if "binned" in response:
        counts = _numbers(response["binned"], 2, len(time))
        trials = response.attrs.get("trials", 1)
        trials = arguments.whole(f"the attribute 'trials' of {response.name}", trials)
        return np.atleast_2d(np.asarray(counts[()] / (trials * step), dtype=np.float32))
    stored = _inner(group, "spikes")
    if len(stored):
        spikes = {name: np.ravel(numbers(stored[name])[()]) for name in numbered(stored)}
        report_outside(spikes, [time], remedies=of_units(f"{group.name}/time"))
        return np.asarray(count_spikes(spikes, time).T / step, dtype=np.float32)
    return None


def _coords(
    group: h5py.Group,
    responses: dict[str, Response],
    facts: dict[str, Any],
    time: NDArray[np.float64],
    step: float,
) -> dict[str, Any]:
    sizes = {d: n for dims, x in responses.values() for d, n in zip(dims, x.shape, strict=True)}
    cells = {name: x.shape[-1] for name, (_, x) in responses.items()}
    if len({*cells.values()}) > 1:
        raise InputError(
            came=f"the group {group.name!r} with {cells} cells",
            expected="the same cells in all responses",
        )
    coords: dict[str, Any] = {
        v.TIME: (v.TIME, time[:-1], {"units": v.SECONDS, "long_name": "time"}),
        v.CELL: _cell_names(group, sizes[v.CELL]),
        "number": (v.CELL, np.arange(sizes[v.CELL])),
    }
    if v.SEGMENT in group:
        require_length(np.size(group[v.SEGMENT]), len(time), f"{group.name}/{v.SEGMENT}")
        coords[v.SEGMENT] = (v.TIME, np.ravel(group[v.SEGMENT][()])[:-1])
    if v.REPEAT in sizes:
        coords[v.REPEAT] = np.arange(sizes[v.REPEAT])
        coords["bin_width"] = ((), step, {"units": v.SECONDS})
    if "reliable_cells" in facts:
        coords["reliable"] = (v.CELL, _reliable(facts["reliable_cells"], sizes[v.CELL]))
    return coords


def _reliable(places: Any, size: int) -> NDArray[np.bool_]:
    """Whether each cell is among those of the attribute `reliable_cells`, places from 0."""
    found = np.ravel(places)
    if found.size and (found.dtype.kind not in "iu" or found.min() < 0):
        raise InputError(
            came=f"the attribute 'reliable_cells' with {found[:5].tolist()} of {size} cells",
            expected=f"places of cells, 0 to {size - 1}",
        )
    leave(f"reliable cells beyond {size}:", found[found >= size])
    return np.isin(np.arange(size), found)


def _cell_names(group: h5py.Group, size: int) -> list[str]:
    for name in ("repeats", "spikes"):
        if len(group.get(name, ())) == size:
            return numbered(group[name])
    return [f"cell{i:02d}" for i in range(size)]
