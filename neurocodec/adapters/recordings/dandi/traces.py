"""Potentials and imaged cells of an NWB file, at their own rate or beside frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.checks import Parts
from neurocodec.adapters.recordings.dandi.presented import times_of
from neurocodec.adapters.recordings.making import time_of
from neurocodec.adapters.recordings.spikes.cells import require_different
from neurocodec.errors import InputError, warn
from neurocodec.kernels.averaging import area_average
from neurocodec.labels import labelled

POTENTIAL: Final = "membrane_potential"
FLUORESCENCE: Final = "fluorescence"


def traces_of(content: Any) -> dict[str, xr.DataArray]:
    """Traces (time, interneuron) by name of the series."""
    found = {series.name: _potential(series) for series in _clamps(content)}
    for name, series in _imaged(content):
        found[name] = _fluorescence(series)
    return found


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


def _imaged(content: Any) -> Iterator[tuple[str, Any]]:
    """Series of regions of interest, in a container or alone, by names that differ."""
    several = []
    for module in content.processing.values():
        for name, item in module.data_interfaces.items():
            inner = getattr(item, "roi_response_series", None)
            if type(item).__name__ == "RoiResponseSeries":
                several.append((name, name, item))
            elif inner:
                several += [(key, f"{name} {key}", one) for key, one in inner.items()]
    for key, full, one in several:
        alone = sum(k == key for k, _, _ in several) == 1
        yield (key if alone else full), one


def _potential(series: Any) -> xr.DataArray:
    """Membrane potential (time, interneuron) in mV."""
    stored = np.asarray(series.data[()], dtype=np.float64)
    volts = stored * float(series.conversion) + float(series.offset)
    coords = {v.TIME: time_of(times_of(series, len(volts))), v.INTERNEURON: [series.name]}
    return labelled(
        1e3 * volts[:, None], (v.TIME, v.INTERNEURON), coords, name=POTENTIAL, units=v.MILLIVOLTS
    )


def _fluorescence(series: Any) -> xr.DataArray:
    values = np.asarray(series.data[()], dtype=np.float32)
    values = values[:, None] if values.ndim == 1 else values
    rois = [f"roi {series.rois.table.id[int(i)]}" for i in series.rois.data[:]]
    if values.ndim != 2 or len(rois) not in values.shape:
        raise InputError(
            came=f"{series.name!r} of shape {values.shape} for {len(rois)} regions",
            expected="(time, region)",
        )
    if values.shape[1] != len(rois):
        leave(f"the order of axes of {series.name!r}, which is (region, time)")
        values = values.T
    rois = require_different(rois, repr(series.name))
    coords = {v.TIME: time_of(times_of(series, len(values))), v.INTERNEURON: rois}
    values = values * float(series.conversion) + float(series.offset)
    return labelled(
        values, (v.TIME, v.INTERNEURON), coords, name=FLUORESCENCE, units=str(series.unit) or "1"
    )


def beside_frames(parts: Parts, traces: Mapping[str, xr.DataArray]) -> Parts:
    """Traces that cover a part, averaged over its frames; others are left out."""
    done, used = {}, set[str]()
    for name, part in parts.items():
        frames = part[v.TIME].values
        covering = {
            k: x for k, x in traces.items() if "trial_start" not in part and _covers(x, frames)
        }
        kinds = {str(x.name) for x in covering.values()}
        kind = POTENTIAL if POTENTIAL in kinds else FLUORESCENCE
        own = {k: x for k, x in covering.items() if x.name == kind}
        used |= {*own}
        done[name] = _joined(part, own, kind) if own else part
    missing = [k for k in traces if k not in used]
    if missing:
        warn(f"traces that cover no whole stimulus are left out: {', '.join(missing)}")
    return done


def _joined(part: xr.Dataset, own: Mapping[str, xr.DataArray], kind: str) -> xr.Dataset:
    frames = part[v.TIME].values
    first = next(iter(own.values()))
    names = np.concatenate([x[v.INTERNEURON].values for x in own.values()])
    if len({*names}) < len(names):
        names = np.concatenate(
            [[f"{k} {n}" for n in x[v.INTERNEURON].values] for k, x in own.items()]
        )
    values = np.concatenate([_averaged(x, frames) for x in own.values()], axis=1)
    units = str(first.attrs["units"])
    joined = labelled(values, (v.TIME, v.INTERNEURON), name=kind, units=units)
    return part.assign({kind: joined}).assign_coords({v.INTERNEURON: names})


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
