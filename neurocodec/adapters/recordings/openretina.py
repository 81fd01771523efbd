"""Recordings in HDF5 as open-retina reads them: a group a session, calcium traces, triggers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import clock
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.lazy import numbers
from neurocodec.adapters.recordings.spikes.cells import require_different
from neurocodec.errors import InputError
from neurocodec.labels import labelled

SPIKES: Final = re.compile(r"(.+?)_(?:inferred_)?spikes$")
TRACES: Final = re.compile(r"(.+?)_(preprocessed|raw|detrended|smoothed)_traces$")
KIND: Final = ("preprocessed", "raw", "detrended", "smoothed")
"""Traces, the one that is taken first where spikes were not inferred."""
TRIGGERS: Final = "{}_trigger_times"
FACTS: Final = {"group_assignment": "group", "chirp_qi": "chirp_quality", "d_qi": "bar_quality"}


def is_openretina(file: h5py.File) -> bool:
    """Whether groups of the file have traces or inferred spikes beside trigger times."""
    return any(_stimuli(x) for x in file.values() if isinstance(x, h5py.Group))


def _stimuli(session: h5py.Group) -> dict[str, str]:
    """Stimulus -> name of its responses."""
    traces = [
        (KIND.index(m.group(2)), m.group(1), name) for name in session if (m := TRACES.match(name))
    ]
    found = {stimulus: name for _, stimulus, name in sorted(traces, reverse=True)}
    found |= {m.group(1): name for name in session if (m := SPIKES.match(name))}
    return {k: name for k, name in found.items() if TRIGGERS.format(k) in session}


def read_openretina(file: h5py.File, path: Path) -> dict[str, xr.Dataset]:
    """Responses of each session to each stimulus, at the times of the traces."""
    # The frames are in another file (a pickle, which is not read); `trigger` keeps when they came.
    # Inferred spikes are rates of cells in arbitrary units; without them, traces are fluorescence.
    sessions = {n: x for n, x in file.items() if isinstance(x, h5py.Group) and _stimuli(x)}
    leave("groups:", [n for n in file if n not in sessions])
    parts = {}
    for name, session in sessions.items():
        for stimulus, responses in _stimuli(session).items():
            label = f"{name}, {stimulus}" if len(sessions) > 1 else stimulus
            parts[label.replace("/", " ")] = _part(session, stimulus, responses, path)
    return parts


def _part(session: h5py.Group, stimulus: str, name: str, path: Path) -> xr.Dataset:
    where = f"{path.name}{session.name}/{name}"
    values = np.atleast_2d(np.asarray(numbers(session[name])[()]).astype(np.float32))
    if values.ndim != 2:
        raise InputError(came=f"{where} of shape {values.shape}", expected="(cell, time)")
    time = _times(session, stimulus, values.shape, path)
    spikes = bool(SPIKES.match(name))
    dim = v.CELL if spikes else v.INTERNEURON
    kind = "firing_rate" if spikes else "fluorescence"
    data = labelled(values.T, (v.TIME, dim), name=kind, units="1")
    data.attrs["comment"] = name.replace("_", " ") + ", arbitrary units"
    rois = _rois(session, len(values), f"{where}: roi_ids")
    coords: dict[str, Any] = {
        v.TIME: (v.TIME, time, {"units": v.SECONDS, "long_name": "time"}),
        dim: rois,
    }
    for fact, called in FACTS.items():
        if fact in session and np.size(session[fact]) == len(values):
            coords[called] = (dim, np.asarray(numbers(session[fact])[()]).ravel())
    triggers = (
        np.asarray(numbers(session[TRIGGERS.format(stimulus)])[()]).astype(np.float64).ravel()
    )
    coords["trigger"] = ("trigger", triggers, {"units": v.SECONDS})
    leave(
        f"of {session.name.strip('/')}:",
        [n for n in session if n.startswith(f"{stimulus}_") and n not in _used(stimulus, name)],
    )
    return xr.Dataset({kind: data}, coords, {"stimulus": f"{stimulus}: frames are in another file"})


def _used(stimulus: str, name: str) -> set[str]:
    return {name, *(f"{stimulus}_{x}" for x in ("trigger_times", "traces_times"))} | {
        f"{stimulus}_traces_{x}" for x in ("t0", "dt")
    }


def _rois(session: h5py.Group, size: int, what: str) -> list[str]:
    """Names of the regions of interest, by their numbers, or as they are called."""
    if "roi_ids" not in session:
        return [f"roi {i}" for i in range(size)]
    stored = np.ravel(session["roi_ids"].asstr()[()] if _is_text(session) else session["roi_ids"])
    if len(stored) != size:
        raise InputError(came=f"{what}, {len(stored)} of {size} cells", expected="one a cell")
    names = [str(x) if _is_text(session) else f"roi {x:g}" for x in stored]
    return require_different(names, what)


def _is_text(session: h5py.Group) -> bool:
    return session["roi_ids"].dtype.kind in "SO"


def _times(
    session: h5py.Group, stimulus: str, shape: tuple[int, ...], path: Path
) -> NDArray[np.float64]:
    """Times of the samples: the mean over the cells, whose scans begin a little apart."""
    size, where = shape[1], f"{path.name}{session.name}/{stimulus}"
    if f"{stimulus}_traces_times" in session:
        found = np.asarray(numbers(session[f"{stimulus}_traces_times"])[()])
        times = np.atleast_2d(found.astype(np.float64))
        times = times.T if times.shape[-1] != size and times.shape[0] == size else times
        if times.shape[-1] != size:
            raise InputError(
                came=f"{times.shape[-1]} times of {size} samples in {where}",
                expected="one time a sample",
            )
        return clock.rising(times.mean(0), where=where)
    keys = [f"{stimulus}_traces_{x}" for x in ("t0", "dt")]
    if not {*keys} <= {*session}:
        raise InputError(
            came=f"{where} without times",
            expected=f"'{stimulus}_traces_times', or {keys[0]!r} and {keys[1]!r}",
        )
    start, step = (float(np.mean(np.asarray(numbers(session[k])[()]))) for k in keys)
    if not step > 0:
        raise InputError(came=f"{keys[1]!r} of {step:g} in {where}", expected="seconds above 0")
    return np.asarray(start + step * np.arange(size), np.float64)
