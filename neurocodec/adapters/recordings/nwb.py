"""Recordings in NWB files, read through pynwb."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.checks import Parts
from neurocodec.adapters.recordings.lazy import stored_stimulus
from neurocodec.adapters.recordings.spike_times import count_spikes, report_outside
from neurocodec.arguments import frame_rate, one_of
from neurocodec.errors import InputError, warn
from neurocodec.kernels.averaging import area_average
from neurocodec.labels import labelled

AXES: Final = {"xy": (0, 2, 1), "yx": (0, 1, 2)}
"""Order of the axes of frames in the file -> where (time, y, x) are in it."""


def read_nwb(path: Path, image_axes: str = "xy", *, to_frames: bool = False) -> Parts:
    """Spikes, stimulus frames and intracellular potentials (mV) of an NWB file, by series."""
    # Each presented stimulus of three axes becomes a part, with the units' spikes counted while
    # each frame was shown. Each `CurrentClampSeries` becomes a part of its own at its own rate,
    # unless `to_frames` averages it over the frames of the stimuli that it covers. Currents of
    # voltage clamp are not read.
    one_of("order of image axes", image_axes, AXES)
    if importlib.util.find_spec("pynwb") is None:
        raise InputError(
            came=f"{str(path)!r}, an NWB file, and no pynwb to read it with",
            expected="the package pynwb",
            hint='pip install "neurocodec[nwb]"',
        )
    import pynwb  # noqa: PLC0415 - an extra

    with pynwb.NWBHDF5IO(str(path), "r") as file:
        content = file.read()
        stimuli = {s.name: s for s in content.stimulus.values() if _has_frames(s)}
        parts = {name: _stimulus_part(s, AXES[image_axes]) for name, s in stimuli.items()}
        traces = {s.name: _potential(s) for s in _clamps(content)}
        _require_content(parts, traces, content, path)
        if content.units is not None and parts:
            parts = _with_units(parts, content.units)
        if to_frames and parts:
            return _beside_frames(parts, traces)
        return {**parts, **{name: _own_part(trace) for name, trace in traces.items()}}


def _has_frames(series: Any) -> bool:
    return len(getattr(series.data, "shape", ())) == 3 and series.data.shape[0] > 1


def _clamps(content: Any) -> Iterator[Any]:
    """Current-clamp series; of others, which are currents, a warning."""
    from pynwb.icephys import (  # noqa: PLC0415 - an extra
        CurrentClampSeries,
        PatchClampSeries,
    )

    others = []
    for series in content.acquisition.values():
        if isinstance(series, CurrentClampSeries):
            yield series
        elif isinstance(series, PatchClampSeries):
            others.append(series.name)
    if others:
        warn(f"series that are no membrane potentials are not read: {', '.join(others)}")


def _require_content(parts: Parts, traces: Mapping[str, Any], content: Any, path: Path) -> None:
    if parts or traces:
        return
    units = 0 if content.units is None else len(content.units)
    raise InputError(
        came=f"{str(path)!r} with the stimuli {[*content.stimulus] or 'none'}, the acquisitions"
        f" {[*content.acquisition] or 'none'} and {units} units",
        expected="a presented stimulus with frames (time, x, y) inside of the file, or a"
        " CurrentClampSeries among the acquisitions",
        hint="nwbfile.add_stimulus(ImageSeries(name='movie', data=frames, rate=100.0, unit='1'))",
    )


def _stimulus_part(series: Any, axes: tuple[int, ...]) -> xr.Dataset:
    frames = stored_stimulus(
        Path(series.data.file.filename),
        series.data.name,
        str(series.unit),
        axes=axes,
        scale=float(series.conversion),
        offset=float(series.offset),
    )
    return xr.Dataset({v.STIMULUS: frames}, {v.TIME: _time(_times(series, len(frames)))})


def _times(series: Any, size: int) -> NDArray[np.float64]:
    if series.timestamps is not None:
        found = np.asarray(series.timestamps[()], dtype=np.float64)
    else:
        rate = frame_rate(float(series.rate), "rate")
        found = (series.starting_time or 0.0) + np.arange(size) / rate
    if len(found) != size:
        raise InputError(
            came=f"{len(found)} timestamps of {series.name!r} for {size} values",
            expected="one rising time in seconds for each",
        )
    return clock.rising(found, where=repr(series.name))


def _time(values: NDArray[np.float64]) -> xr.Variable:
    return xr.Variable(v.TIME, values, {"units": v.SECONDS, "long_name": "time"})


def _with_units(parts: Parts, units: Any) -> Parts:
    names = [f"unit {i}" for i in units.id[:]]
    spikes = {
        name: np.asarray(units.get_unit_spike_times(i), dtype=np.float64)
        for i, name in enumerate(names)
    }
    report_outside(spikes, [part[v.TIME].values for part in parts.values()])
    coords: dict[str, Any] = {v.CELL: names}
    if "cell_type" in units.colnames:
        coords["cell_type"] = (v.CELL, [str(kind) for kind in units["cell_type"][:]])
    return {name: _counted(part, spikes, coords) for name, part in parts.items()}


def _counted(
    part: xr.Dataset, spikes: Mapping[str, NDArray[np.float64]], coords: Mapping[str, Any]
) -> xr.Dataset:
    time = part[v.TIME].values
    counts = count_spikes(spikes, time)
    widths = clock.frame_ends(time) - time
    rate = labelled(counts / widths[:, None], (v.TIME, v.CELL), name="firing_rate")
    count = labelled(counts[None], (v.REPEAT, v.TIME, v.CELL), name="spike_count")
    width = ((), float(np.median(widths)), {"units": v.SECONDS})
    return part.assign({"firing_rate": rate, "spike_count": count}).assign_coords(
        {**coords, v.REPEAT: [0], "bin_width": width}
    )


def _potential(series: Any) -> xr.DataArray:
    """Membrane potential (time) in mV."""
    stored = np.asarray(series.data[()], dtype=np.float64)
    volts = stored * float(series.conversion) + float(series.offset)
    coords = {v.TIME: _time(_times(series, len(volts))), v.INTERNEURON: series.name}
    return labelled(1e3 * volts, (v.TIME,), coords, name="membrane_potential", units=v.MILLIVOLTS)


def _own_part(trace: xr.DataArray) -> xr.Dataset:
    return trace.expand_dims(v.INTERNEURON, axis=1).to_dataset()


def _beside_frames(parts: Parts, traces: Mapping[str, xr.DataArray]) -> Parts:
    done = {}
    for name, part in parts.items():
        frames = part[v.TIME].values
        covering = {k: x for k, x in traces.items() if _covers(x, frames)}
        values = [_averaged(x, frames) for x in covering.values()]
        if values:
            potential = labelled(
                np.stack(values, axis=1),
                (v.TIME, v.INTERNEURON),
                name="membrane_potential",
                units=v.MILLIVOLTS,
            )
            part = part.assign(membrane_potential=potential)  # noqa: PLW2901
            part = part.assign_coords({v.INTERNEURON: [*covering]})  # noqa: PLW2901
        done[name] = part
    missing = [
        k
        for k, x in traces.items()
        if not any(_covers(x, p[v.TIME].values) for p in parts.values())
    ]
    if missing:
        warn(f"potentials that cover no whole stimulus are left out: {', '.join(missing)}")
    return done


def _averaged(trace: xr.DataArray, frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of a trace over each frame; a gap after a frame is not part of it."""
    own = trace[v.TIME].values
    edges = np.union1d(frames, clock.frame_ends(frames))
    lasting = np.append(own, clock.frame_ends(own)[-1])
    means = area_average(trace.values, lasting, edges, axis=0)
    return np.asarray(means[np.searchsorted(edges, frames)])


def _covers(trace: xr.DataArray, frames: NDArray[np.float64]) -> bool:
    """Whether a trace lasts from the first frame to the end of the last, but for their gaps."""
    own, slack = trace[v.TIME].values, 1e-6 * clock.step_of(frames)
    starts, stops = frames, clock.frame_ends(frames)
    first = np.searchsorted(own, starts + slack, side="right") - 1
    if (first < 0).any():
        return False
    ends = clock.frame_ends(own)
    parts = clock.parts_of(own)
    part = np.searchsorted([a for a, _ in parts], first, side="right") - 1
    return bool((stops - slack <= ends[[parts[k][1] - 1 for k in part]]).all())
