"""A part of a recording from named arrays with spike times."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, clock, terms
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.binned import is_binned, read_binned
from neurocodec.adapters.recordings.arrayed.bundle import SPIKES, cells_in, meaning, meant
from neurocodec.adapters.recordings.arrayed.matlab import frames_first, read_matlab
from neurocodec.adapters.recordings.arrayed.stored import read_arrays
from neurocodec.adapters.recordings.arrayed.tree import read_tree, spike_groups
from neurocodec.adapters.recordings.arrays import DATA, WHOLE
from neurocodec.adapters.recordings.frames.axes import scheduled
from neurocodec.adapters.recordings.frames.movies import EXPECTED, movie
from neurocodec.adapters.recordings.frames.schedule import Timing
from neurocodec.adapters.recordings.making import made
from neurocodec.adapters.recordings.spikes.cells import Quality, of_quality
from neurocodec.adapters.recordings.spikes.remedies import (
    OF_STORED,
    Remedies,
    of_matlab,
    of_npz,
)
from neurocodec.errors import InputError

TIMES = ("frame_times", "triggers", "trials", "frame_rate", "frames_per_trigger", "shown")


def spike_parts(path: Path) -> list[str]:
    """Parts of an `.npz` that have spike times, and no counts or rates beside them."""
    return [
        part
        for part, names in _members(path).items()
        if any(meaning(n) == SPIKES for n in names) and not names & {*DATA[2:]}
    ]


def _members(path: Path) -> dict[str, set[str]]:
    """Names of arrays of each part of an `.npz`."""
    with zipfile.ZipFile(path) as archive:
        members = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    parts: dict[str, set[str]] = {}
    for member in members:
        part, _, name = member.rpartition("/")
        parts.setdefault(part, set()).add(name)
    return parts


def read_stored_spikes(path: Path, parts: list[str], quality: Quality) -> dict[str, xr.Dataset]:
    """Parts of an `.npz` with spike times."""
    leave("parts without spike times:", sorted({*_members(path)} - {*parts}))
    found = {}
    for part in parts:
        arrays = read_arrays(path, part)
        names = {str(meaning(n)): n for n in arrays}
        where = f"{path.name}/{part}".rstrip("/")
        found[part or WHOLE] = _part(arrays, where, quality, of_npz(part, names))
    return found


def read_tree_spikes(path: Path, quality: Quality) -> dict[str, xr.Dataset]:
    """Groups of an HDF5 file with spike times and a stimulus."""
    with h5py.File(path, "r") as file:
        groups = spike_groups(file)
        leave("at the root:", [n for n in file if n not in groups and WHOLE not in groups])
        parts = {name: read_tree(group, path) for name, group in groups.items()}
    return {
        name: _part(arrays, f"{path.name}/{name}", quality, OF_STORED)
        for name, arrays in parts.items()
    }


def read_matlab_spikes(path: Path, quality: Quality) -> dict[str, xr.Dataset]:
    """The only part of a MAT file; of structs with a stimulus each, one a struct; of counts two."""
    arrays = read_matlab(path)
    if is_binned(arrays):
        if quality is not None:
            leave("quality=, as counts of spikes have no labels")
        return read_binned(arrays, path.name)
    structs = {
        name: x
        for name, x in arrays.items()
        if isinstance(x, dict) and {"stimulus", SPIKES} <= {meaning(k) for k in x}
    }
    if structs:
        return {
            k: _part(x, f"{path.name}/{k}", quality, of_matlab(k), matlab=True)
            for k, x in structs.items()
        }
    return {WHOLE: _part(arrays, path.name, quality, of_matlab(""), matlab=True)}


def _part(
    arrays: Mapping[str, Any],
    where: str,
    quality: Quality,
    remedies: Remedies,
    *,
    matlab: bool = False,
) -> xr.Dataset:
    found = meant(arrays, where)
    cells = of_quality(cells_in(arrays, where), quality, "not noise")
    if "stimulus" not in found:
        raise InputError(
            came=f"{where} with spike times and without a stimulus",
            expected="'stimulus', and 'frame_times', 'triggers' or 'frame_rate'",
            hint="nc.recording(stimulus, spike_times=path, frame_times=times)",
        )
    timing = _timing(found, where, matlab=matlab)
    stimulus = found["stimulus"]
    if matlab:
        if not isinstance(stimulus, np.ndarray):
            raise InputError(came=f"a stimulus of {where} that is no array", expected=EXPECTED)
        axes = found.get("axes")
        stimulus = frames_first(stimulus, _frames(timing), where, axes)
    if isinstance(stimulus, xr.Variable):
        stimulus = _labelled(stimulus)
    frames = movie(stimulus)
    return made(frames, cells, scheduled(timing, frames), remedies)


def _labelled(stimulus: xr.Variable) -> Any:
    """Frames that stay in their file, where their axes tell themselves; else in memory."""
    dims = {1: (v.TIME,), 3: (v.TIME, v.Y, v.X)}.get(stimulus.ndim)
    return stimulus.values if dims is None else xr.DataArray(_with_dims(stimulus, dims))


def _with_dims(stimulus: xr.Variable, dims: tuple[str, ...]) -> xr.Variable:
    attrs = {"units": "1", "long_name": terms.VARIABLES[v.STIMULUS].long_name}
    return xr.Variable(dims, stimulus._data, attrs)  # noqa: SLF001 - .data would read it


def _timing(found: Mapping[str, Any], where: str, *, matlab: bool) -> Timing:
    given = {
        name: _plain(found[name], name, where, matlab=matlab) for name in TIMES if name in found
    }
    if not {"frame_times", "triggers", "frame_rate"} & {*given}:
        raise InputError(
            came=f"{where} with a stimulus and spike times, and no times of the frames",
            expected="'frame_times' (one a frame), 'triggers' or 'frame_rate'",
            hint="nc.recording(stimulus, spike_times=path, frame_rate=60.0)",
        )
    if matlab and "trials" in given:
        given["trials"] = _matlab_trials(given["trials"], given, where)
    if matlab and "shown" in given and 0 not in given["shown"]:
        given["shown"] = given["shown"] - 1  # MATLAB counts from 1
    if "frame_rate" in given and {"frame_times", "triggers"} & {*given}:
        _leave_rate(given)
    return Timing(**given)


def _leave_rate(given: dict[str, Any]) -> None:
    """Leave a frame rate beside the times, which are more exact; say where they differ."""
    rate, times = given.pop("frame_rate"), given.get("frame_times")
    steps = np.empty(0) if times is None else np.diff(np.asarray(times, np.float64), axis=-1)
    steps = steps[np.isfinite(steps)]
    step = float(np.median(steps)) if steps.size else 0.0
    if step > 0 and abs(step * rate - 1) > clock.RATE_DIFFERS:
        leave(f"frame_rate {rate:g}, as the frame times tell {1 / step:.4g} Hz")


def _matlab_trials(trials: NDArray[Any], given: Mapping[str, Any], where: str) -> Any:
    """Trials as MATLAB has them, where a number and a list are matrices too, as they prove."""
    times = given.get("triggers", given.get("frame_times"))
    if trials.size == 1:
        single = trials.ravel()[0]
        if trials.dtype.kind in "iu" or (times is not None and float(single).is_integer()):
            return int(single)  # so many triggers are counted, or refused
        if not float(single).is_integer():
            return trials.ravel()
    elif trials.shape == (1, 2):
        if times is not None and not (np.asarray(times) >= trials[0, 1]).any():
            return trials  # nothing was shown from there on, so that it is a stop
    else:
        return trials.ravel() if 1 in trials.shape else trials
    raise _may_be_either(trials, given, where)


def _may_be_either(trials: NDArray[Any], given: Mapping[str, Any], where: str) -> InputError:
    told = ", ".join(f"{float(x)!r}" for x in trials.ravel())
    told_by = next(n for n in ("frame_times", "triggers", "frame_rate") if n in given)
    timing = f"{told_by}={given[told_by] if told_by == 'frame_rate' else told_by}"
    single = trials.size == 1
    call = f"nc.recording(stimulus, spike_times=path, {timing}, trials="
    return InputError(
        came=f"trials=[{told}] of {where}, which may be "
        + ("how many there are, or one start" if single else "two starts or (start, stop)"),
        expected="(start, stop) of several trials, or a column of their starts",
        hint=f"{call}[{told}]), where one began then"
        if single
        else f"{call}[[{told}]]), where one lasted so; trials = trials(:) in MATLAB, where two"
        " began then",
    )


def _plain(value: Any, name: str, where: str, *, matlab: bool) -> Any:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise InputError(
            came=f"{name!r} of {where}, which is no array of numbers", expected="times"
        )
    if name in ("frame_rate", "frames_per_trigger"):
        single = float(array.ravel()[0]) if array.size == 1 else np.nan
        if name == "frame_rate":
            return arguments.frame_rate(single)
        return int(single) if single.is_integer() else single
    if name == "shown":
        whole = array.dtype.kind in "iu" or bool((array == np.round(array)).all())
        return array.ravel().astype(int) if whole else array.ravel()
    if name == "trials":
        column = array.ndim == 2 and array.shape[1] == 1 and not matlab
        return array.ravel() if column else array if array.ndim else array.item()
    # One row is a vector of MATLAB; elsewhere it is one trial, as for `nc.recording`.
    vector = array.ndim == 2 and (array.shape[1] == 1 or (matlab and array.shape[0] == 1))
    return array.ravel() if vector else array


def _frames(timing: Timing) -> int | None:
    """Frames that the times speak of, where they tell their number."""
    if timing.shown is not None:
        return None
    if timing.frame_times is not None and np.ndim(timing.frame_times) == 2:
        return int(np.shape(timing.frame_times)[1])
    times = timing.frame_times if timing.frame_times is not None else timing.triggers
    return None if times is None or timing.frames_per_trigger != 1 else len(times)
