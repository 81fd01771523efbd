"""Spikes of a MAT file that are counted already: running frames, and frozen ones that come again.

Laboratories of the retina show white noise in blocks: frames that are new in every block
(running), then the same frames in every block (frozen).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.owners import unit_names
from neurocodec.adapters.recordings.frames.movies import movie
from neurocodec.adapters.recordings.making import time_of
from neurocodec.adapters.recordings.spikes.cells import require_different
from neurocodec.errors import InputError
from neurocodec.labels import labelled

RUNNING: Final = "runningbin"
FROZEN: Final = "frozenbin"
MEANINGS: Final = {
    RUNNING: ("runningbin", "runningbins", "runningcounts", "runningspikes"),
    FROZEN: ("frozenbin", "frozenbins", "frozencounts", "frozenspikes"),
    "runningstim": ("runningstim", "runningstimulus", "runningmovie", "runningstimuli"),
    "frozenstim": ("frozenstim", "frozenstimulus", "frozenmovie"),
    "frame_rate": ("framerate", "fps", "stimulusrate", "updaterate"),
    "refresh_rate": ("refreshrate", "screenrefreshrate", "monitorrate", "monitorrefreshrate"),
    "bin_width": ("binwidth", "binlength", "binsize", "dt"),
    "nblinks": ("nblinks",),
    "cell": ("cell", "cells", "cellnames", "cellids", "unitnames", "unitids", "clusterids"),
    "seed": ("seed", "seeds", "secondseed", "seedrunning", "seedfrozen"),
}
"""What an array is -> how it may be called, in small letters and without underscores."""
KNOWN: Final = {name: what for what, names in MEANINGS.items() for name in names}
STIMULI: Final = {RUNNING: "runningstim", FROZEN: "frozenstim"}
PARTS: Final = {RUNNING: "train", FROZEN: "test"}
RATES: Final = ("frame_rate", "refresh_rate", "bin_width", "nblinks")
AGREES: Final = 0.01
"""Part of a rate by which another that a file tells may differ."""


def is_binned(arrays: Mapping[str, Any]) -> bool:
    """Whether variables, or fields of structs, are counts of running or frozen frames."""
    return any(_what(name) in PARTS for name, _ in _fields(arrays))


def read_binned(arrays: Mapping[str, Any], where: str) -> dict[str, xr.Dataset]:
    """Running frames as "train", in a segment a block; frozen ones as "test", in repeats."""
    found = _found(arrays, where)
    counts = {what: _counts(found[what], what, where) for what in PARTS if what in found}
    _require_stimuli(found, where)
    rate = _rate(found, where)
    names = _names(found, counts, where)
    blocks = {what: x.shape[1] for what, x in counts.items()}
    made = {}
    for what, part in counts.items():
        frames = _frames(found[STIMULI[what]], part.shape[1:], STIMULI[what], where)
        if what == FROZEN:
            stimulus, spikes = frames, part.transpose(2, 1, 0)
            times, segment = np.arange(part.shape[1]) / rate, None
        else:
            stimulus, spikes = frames, part.transpose(2, 1, 0).reshape(1, -1, len(part))
            segment = np.repeat(np.arange(part.shape[2]), part.shape[1])
            step = sum(blocks.values())  # the frozen frames come in between
            times = (segment * step + np.tile(np.arange(part.shape[1]), part.shape[2])) / rate
        timed = stimulus.assign_coords({v.TIME: time_of(times)})
        made[PARTS[what]] = _dataset(timed, spikes, names, rate, segment)
    return made


def _what(name: str) -> str | None:
    return KNOWN.get(re.sub(r"[_ \-]", "", name).lower())


def _fields(arrays: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Variables, and those in structs, by their last name."""
    for name, value in arrays.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{before}{name}.")
        else:
            yield name, value


def _found(arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    left = []
    for name, value in _fields(arrays):
        what = _what(name)
        if what is None:
            left.append(name)
        elif what in found and what != "seed":
            raise InputError(
                came=f"{where} with more than one {what!r}",
                expected="the arrays of one experiment",
                hint="save(path, '-struct', 'expdata') in MATLAB, of one of them",
            )
        else:
            found[what] = value
    leave("arrays:", left)
    return found


def _counts(values: Any, what: str, where: str) -> NDArray[np.float64]:
    """(cell, frame, block); MATLAB leaves the last axis out, where there is one block."""
    array = np.asarray(values) if isinstance(values, np.ndarray) else np.empty(())
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.dtype.kind not in "fiub" or not array.size:
        raise InputError(
            came=f"{what!r} of {where}, which is {_told(values)}",
            expected="numbers of spikes (cell, frame, block)",
            hint=f"{what} = cat(3, {what}{{:}}) in MATLAB, where it is a cell array of blocks",
        )
    whole = np.asarray(array, np.float64)
    wrong = int((~np.isfinite(whole)).sum())
    if wrong or bool((whole < 0).any()) or bool((whole != np.round(whole)).any()):
        raise InputError(
            came=f"{what!r} of {where} with {wrong} NaN or infinite values"
            if wrong
            else f"{what!r} of {where} with numbers from {whole.min():g} to {whole.max():g} that"
            " are no counts",
            expected="numbers of spikes (cell, frame, block)",
            hint=f"{what} = {what}(:, :, ~any(any(isnan({what}), 1), 2)) in MATLAB leaves those"
            " blocks"
            if wrong
            else f"{what} = round({what} * bin_width) in MATLAB, where they are rates",
        )
    return whole


def _require_stimuli(found: Mapping[str, Any], where: str) -> None:
    missing = [STIMULI[what] for what in PARTS if what in found and STIMULI[what] not in found]
    if not missing:
        return
    seeds = " and the seed of the stimulus" if "seed" in found else ""
    raise InputError(
        came=f"{where} with {' and '.join(w for w in PARTS if w in found)}{seeds}, without"
        f" {' and '.join(missing)}",
        expected="the frames themselves, as nothing here runs the generator of another laboratory:"
        " runningstim (y, x, frame, block), frozenstim (y, x, frame)",
        hint=f"save(path, {', '.join(repr(m) for m in missing)}, '-append') in MATLAB, frames as"
        " they were drawn from the seed",
    )


def _rate(found: Mapping[str, Any], where: str) -> float:
    """Frames per second: as told, of bins, or of a monitor that shows each frame some times."""
    told = {name: _one(found[name], name, where) for name in RATES if name in found}
    rates = {}
    if "frame_rate" in told:
        rates["frame_rate"] = told["frame_rate"]
    if "bin_width" in told:
        rates["bin_width"] = 1 / told["bin_width"]
    if "refresh_rate" in told:
        rates["refresh_rate and Nblinks"] = told["refresh_rate"] / told.get("nblinks", 1.0)
    if not rates:
        raise InputError(
            came=f"{where} with counts of spikes, and no time that a frame lasts",
            expected="'frame_rate' (frames per second), 'bin_width' (s), or 'refresh_rate' of the"
            " monitor beside 'Nblinks'",
            hint="frame_rate = 30; save(path, 'frame_rate', '-append') in MATLAB",
        )
    first = next(iter(rates.values()))
    if any(abs(rate / first - 1) > AGREES for rate in rates.values()):
        raise InputError(
            came=f"{where} with "
            + ", ".join(f"{rate:.5g} Hz by {name}" for name, rate in rates.items()),
            expected="one rate of the bins",
            hint="frame_rate = 30 and no other in MATLAB, bins of 1/30 s",
        )
    return arguments.frame_rate(first)


def _one(value: Any, name: str, where: str) -> float:
    array = np.asarray(value) if isinstance(value, np.ndarray) else np.empty(0)
    if array.size != 1 or array.dtype.kind not in "fiu" or not float(array.ravel()[0]) > 0:
        raise InputError(came=f"{name!r} of {where}, {value!r:.60}", expected="one number above 0")
    return float(array.ravel()[0])


def _told(value: Any) -> str:
    """What came in place of numbers, in words."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} of {value.dtype}"
    return f"a cell array of {len(value)}" if isinstance(value, list) else type(value).__name__


def _names(found: Mapping[str, Any], counts: Mapping[str, NDArray[Any]], where: str) -> list[str]:
    sizes = {what: len(x) for what, x in counts.items()}
    if len({*sizes.values()}) > 1:
        raise InputError(
            came=f"{where} with {sizes[RUNNING]} cells in {RUNNING}, {sizes[FROZEN]} in {FROZEN}",
            expected="the same cells in both, (cell, frame, block)",
            hint=f"{FROZEN} = permute({FROZEN}, [3 1 2]) in MATLAB, of (frame, block, cell)",
        )
    size = next(iter(sizes.values()))
    names = unit_names(found["cell"]) if "cell" in found else [f"cell{i:02d}" for i in range(size)]
    if len(names) != size:
        raise InputError(
            came=f"{size} cells of {where} and the names {names[:8]}",
            expected="a name for each cell",
        )
    return require_different(names, where)


def _frames(stimulus: Any, size: tuple[int, int], name: str, where: str) -> xr.DataArray:
    """Frames (time, y, x) of MATLAB's (y, x, frame[, block]), or light (frame[, block])."""
    frozen = name == STIMULI[FROZEN]
    known = [size[:1]] if frozen else [size, (size[0] * size[1],)]
    array = np.asarray(stimulus) if isinstance(stimulus, np.ndarray) else np.empty(0)
    light = array.ndim == 2 and (1 in array.shape or array.shape in known)
    space: tuple[int, ...] = () if light else array.shape[:2]
    along = array.shape[len(space) :]
    if light and array.shape not in known:
        along = (array.size,)  # a row or a column
    elif along == known[-1] + (1,):
        along = known[-1]
    if along not in known or not (light or array.ndim > 2):
        blocks = "" if frozen or size[1] == 1 else f" in {size[1]} blocks"
        raise InputError(
            came=f"{name!r} of {where} which is {_told(stimulus)}, for {size[0]} frames{blocks}",
            expected=f"(y, x, frame{'' if frozen else ', block'}), a frame for each bin",
        )
    return movie(np.moveaxis(array.reshape(*space, -1, order="F"), -1, 0))


def _dataset(
    stimulus: xr.DataArray,
    spikes: NDArray[np.float64],  # (repeat, time, cell)
    names: list[str],
    rate: float,
    segment: NDArray[np.intp] | None = None,
) -> xr.Dataset:
    coords: dict[str, Any] = {
        v.CELL: names,
        v.TIME: stimulus[v.TIME],
        v.REPEAT: np.arange(len(spikes)),
        "bin_width": ((), 1 / rate, {"units": v.SECONDS}),
    }
    if segment is not None:
        coords[v.SEGMENT] = (v.TIME, segment)
    mean = spikes.mean(0) * rate
    data = {
        v.STIMULUS: stimulus,
        "firing_rate": labelled(mean, (v.TIME, v.CELL), name="firing_rate"),
        "spike_count": labelled(
            spikes.astype(np.int32), (v.REPEAT, v.TIME, v.CELL), name="spike_count"
        ),
    }
    return xr.Dataset(data, coords)
