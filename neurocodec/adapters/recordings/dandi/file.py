"""Recordings in NWB files, read through pynwb."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.checks import Parts
from neurocodec.adapters.recordings.dandi.presented import Presented, presented
from neurocodec.adapters.recordings.dandi.tables import arranged
from neurocodec.adapters.recordings.dandi.traces import beside_frames, traces_of
from neurocodec.adapters.recordings.dandi.units import Units, units_of, watched
from neurocodec.adapters.recordings.making import responses, shown
from neurocodec.adapters.recordings.spike_times import report_outside
from neurocodec.adapters.recordings.spikes.cells import Quality
from neurocodec.adapters.recordings.spikes.remedies import OF_STORED
from neurocodec.arguments import one_of
from neurocodec.errors import InputError, StorageError

AXES: Final = ("xy", "yx")
"""Order of the axes of frames in a file."""


def read_nwb(
    path: Path,
    image_axes: str = "xy",
    *,
    to_frames: bool = False,
    quality: Quality = None,
) -> Parts:
    """Stimuli with the units' spikes, potentials (mV) and imaged cells of an NWB file."""
    # Each presented stimulus becomes a part, with the units' spikes counted while each frame was
    # shown; epochs cut it into parts, trials that show the same become repeats. Traces become parts
    # of their own at their own rate, unless `to_frames` averages them over the frames of the
    # stimuli that they cover. Currents of voltage clamp are not read.
    one_of("order of image axes", image_axes, AXES)
    if importlib.util.find_spec("pynwb") is None:
        raise InputError(
            came=f"{str(path)!r}, an NWB file, and no pynwb to read it with",
            expected="the package pynwb",
            hint='pip install "neurocodec[nwb]"',
        )
    import pynwb  # noqa: PLC0415 - an extra
    from hdmf.build import ConstructError  # noqa: PLC0415 - comes with pynwb

    with pynwb.NWBHDF5IO(str(path), "r") as file:
        try:
            content = file.read()
        except ConstructError as error:
            reason = str(error).rpartition("due to: ")[2][:300]
            raise StorageError(
                came=f"{str(path)!r}, which pynwb cannot read: {reason}",
                expected="a file that is valid NWB",
                hint=f"python -m pynwb.validate {path}",
            ) from error
        movies, external = presented(content, image_axes)
        traces = traces_of(content)
        _require_content(movies, traces, external, content, path)
        units = units_of(content, quality) if movies else None
        parts = _with_units(movies, units, content)
        if to_frames and parts:
            return beside_frames(parts, traces)
        return {**parts, **_own_parts(traces, parts)}


def _with_units(
    movies: Mapping[str, Presented], units: Units | None, content: Any
) -> dict[str, xr.Dataset]:
    """Every stimulus as its trials and epochs arrange it, with the spikes of the units."""
    found = arranged(movies, content)
    if units is not None:
        onsets = [row for part in found for row in part.plan.onsets]
        report_outside(units.cells.times, onsets, session=True, remedies=OF_STORED)
    parts = {}
    for part in found:
        plan, cells = watched(part.plan, units, content, part.name)
        data = xr.Dataset({v.STIMULUS: shown(part.movie.frames, plan)})
        if cells is not None:
            data = data.assign(responses(cells, plan))
        if part.segments is not None:
            own = np.isin(part.plan.onsets[0], plan.onsets[0])
            data = data.assign_coords({v.SEGMENT: (v.TIME, part.segments[own])})
        parts[part.name] = data
    return parts


def _own_parts(traces: Mapping[str, xr.DataArray], parts: Parts) -> Parts:
    return {
        f"{name} trace" if name in parts else name: trace.to_dataset()
        for name, trace in traces.items()
    }


def _require_content(
    movies: Mapping[str, Any],
    traces: Mapping[str, Any],
    external: Mapping[str, str],
    content: Any,
    path: Path,
) -> None:
    if movies or traces:
        for name, file in external.items():
            leave(f"the frames of {name!r}, which are in the file {file!r}")
        return
    if external:
        name, file = next(iter(external.items()))
        raise InputError(
            came=f"{str(path)!r}, in which the frames of {name!r} are in the video {file!r}",
            expected="frames inside of the file",
            hint="nc.recording(frames, spike_times={cell: times}, frame_times=times), frames of"
            " the video (time, y, x)",
        )
    units = 0 if content.units is None else len(content.units)
    shown = _shown_by_a_table(content)
    if shown is not None:
        template, table = shown
        raise InputError(
            came=f"{str(path)!r} with the template {template!r} and the table {table!r} of when its"
            " frames were on",
            expected="a presented stimulus (IndexSeries) of the template",
            hint=f"table = nwbfile.intervals[{table!r}].to_dataframe(); nc.recording("
            f"nwbfile.stimulus_template[{template!r}].data[:],"
            " nwbfile.units.to_dataframe()['spike_times'].to_dict(),"
            " frame_times=table.start_time, shown=table.frame)",
        )
    raise InputError(
        came=f"{str(path)!r} with the stimuli {[*content.stimulus] or 'none'}, the acquisitions"
        f" {[*content.acquisition] or 'none'} and {units} units",
        expected="a presented stimulus with frames (time, x, y) inside of the file, or a"
        " CurrentClampSeries or RoiResponseSeries",
        hint="nwbfile.add_stimulus(ImageSeries(name='movie', data=frames, rate=100.0, unit='1'))",
    )


def _shown_by_a_table(content: Any) -> tuple[str, str] | None:
    """Names of a template and of a table of presentations with a column "frame"."""
    tables = [n for n, table in content.intervals.items() if "frame" in table.colnames]
    for name in content.stimulus_template:
        own = next((table for table in tables if name in table), None)
        if own is not None and getattr(content.stimulus_template[name], "data", None) is not None:
            return name, own
    return None
