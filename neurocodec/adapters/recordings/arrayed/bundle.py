"""What the arrays of a file with spike times mean, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.matlab import Opaque
from neurocodec.adapters.recordings.arrayed.owners import labels, owned, unit_names
from neurocodec.adapters.recordings.spikes.cells import (
    Cells,
    in_seconds,
    is_sampled,
    named,
    require_different,
)
from neurocodec.errors import InputError

SPIKES: Final = "spike_times"
MEANINGS: Final = {
    "stimulus": ("stimulus", "stim", "movie", "frames", "stimuli", "light", "intensity"),
    SPIKES: ("spiketimes", "spikes", "spikets", "spiketrains"),
    "spike_cell": (
        *("spikecell", "spikecells", "spikecluster", "spikeclusters", "spikeunit"),
        *("spikeunits", "spikeneuron", "spikeneurons"),
    ),
    "cell": ("cell", "cells", "cellnames", "cellids", "unitnames", "unitids", "clusterids"),
    "axes": ("stimulusaxes", "stimaxes", "movieaxes", "frameaxes", "axes"),
    "frame_times": ("frametimes", "stimulustimes", "stimtimes", "frameonsets", "time"),
    "triggers": ("triggers", "triggertimes", "ttl", "ttltimes"),
    "trials": ("trials", "trialstarts", "trialtimes"),
    "frame_rate": ("framerate", "fps", "refreshrate"),
    "frames_per_trigger": ("framespertrigger",),
    "shown": ("shown", "frameindex", "frameorder", "shownframes"),
    "sample_rate": ("samplerate", "samplingrate", "samplingfrequency", "fs"),
    "quality": ("quality", "group", "groups", "kslabel"),
    "cell_type": ("celltype", "celltypes"),
}
"""What an array is -> how it may be called, in small letters and without underscores."""
KNOWN: Final = {name: what for what, names in MEANINGS.items() for name in names}
PADDED: Final = (
    "spike_times={{i: row[{}] for i, row in enumerate(matrix)}}, where rows are the times of"
    " cells, padded with {}; in MATLAB cellfun(@(x) x({}), num2cell(spike_times, 2),"
    " 'UniformOutput', false)"
)
"""What to type for a matrix of times, which may be below 0."""
WITH_NAN: Final = ("np.isfinite(row)", "NaN", "~isnan(x)")
WITH_ZEROS: Final = ("row != 0", "0", "x ~= 0")
COLUMNS: Final = (
    "spike_times=matrix[:, 0], spike_cell=matrix[:, 1], where columns are times and cells; in"
    " MATLAB spike_cell = spike_times(:, 2); spike_times = spike_times(:, 1)"
)
"""What to type for two columns."""
RASTER: Final = (
    "spike_times={i: np.flatnonzero(row) / rate for i, row in enumerate(raster)}, where rows are"
    " samples of cells, 1 where one spiked; in MATLAB cellfun(@(x) (find(x) - 1) / rate,"
    " num2cell(spike_times, 2), 'UniformOutput', false)"
)
"""What to type for zeros and ones."""
TIMES: Final = ("times", "time", "timestamps", *MEANINGS[SPIKES])
"""Fields of a struct a cell that may hold its spike times."""
NAMES: Final = ("name", "id", "cell", "unit", "cluster", "label")
"""Fields of a struct a cell that may hold its name."""


def meaning(name: str) -> str | None:
    """What an array is, by its name."""
    return KNOWN.get(re.sub(r"[_ \-]", "", name).lower())


def meant(arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Arrays by what they are; two of one meaning are refused, others left."""
    found: dict[str, Any] = {}
    called: dict[str, str] = {}
    cells = _structs_of_cells(arrays)
    for name, value in arrays.items():
        what = SPIKES if name == cells else meaning(name)
        if what is None:
            continue
        if isinstance(value, Opaque):
            raise InputError(
                came=f"{name!r} of {where}, which is {value.kind}",
                expected="numbers, text, cells or structs",
                hint=f"{name} = cellstr({name}) in MATLAB, where it is text",
            )
        if what in called:
            raise InputError(
                came=f"{where} with {called[what]!r} and {name!r}, both of which mean {what}",
                expected="one of them",
                hint=f"rename the one that is not the {what}",
            )
        found[what], called[what] = value, name
    leave("arrays:", [name for name in arrays if meaning(name) is None and name != cells])
    return found


def _structs_of_cells(arrays: Mapping[str, Any]) -> str | None:
    """Name of the structs, one a cell, that alone have spike times, whatever they are called."""
    if any(meaning(name) == SPIKES for name in arrays):
        return None
    found = [name for name, value in arrays.items() if _are_cells(value)]
    return found[0] if len(found) == 1 else None


def _are_cells(value: Any) -> bool:
    structs = [*value.values()] if isinstance(value, dict) else value
    return (
        isinstance(structs, list)
        and bool(structs)
        and all(isinstance(x, dict) and SPIKES in map(meaning, x) for x in structs)
    )


def cells_in(arrays: Mapping[str, Any], where: str, sample_rate: float | None = None) -> Cells:
    """Spike times among named arrays; samples where a rate of samples is told."""
    found = meant(arrays, where)
    counted = [name for name in arrays if name in ("spike_count", "firing_rate")]
    if SPIKES not in found and counted:
        raise InputError(
            came=f"{where} with {counted[0]!r} and no spike times",
            expected="spike times; counts and rates are read of .npz, netCDF and HDF5, or as"
            " runningbin and frozenbin of MATLAB",
            hint=f"found = scipy.io.loadmat(path); np.savez('recording.npz', {counted[0]}=..., "
            "stimulus=..., frame_rate=...), the axes (time, cell) and (time, y, x)",
        )
    if SPIKES not in found:
        raise InputError(
            came=f"{where} with {[*arrays][:12] or 'nothing in it'}",
            expected="'spike_times': a list of times a cell, or of all spikes beside 'spike_cell'",
            hint="np.savez(path, spike_times=times, spike_cell=cells)",
        )
    times, facts = _times(found, where)
    cells = named(times, f"spike_times of {where}")
    for name in ("quality", "cell_type"):
        if name in found:
            facts[name] = labels(found[name])
    for name, values in facts.items():
        if len(values) != len(cells):
            raise InputError(
                came=f"{len(values)} values of {name!r} for {len(cells)} cells of {where}",
                expected="one a cell",
            )
    rate = sample_rate or _rate(found, cells, where)
    return Cells(cells if rate is None else in_seconds(cells, rate), facts)


def _rate(found: Mapping[str, Any], cells: Mapping[str, Any], where: str) -> float | None:
    """Samples per second, where spike times are whole numbers beside such a rate."""
    if "sample_rate" not in found:
        return None
    stored = np.ravel(found["sample_rate"])
    if stored.size != 1 or stored.dtype.kind not in "fiu":
        raise InputError(
            came=f"a rate of samples of {stored.dtype} and shape {stored.shape} in {where}",
            expected="samples per second, one number",
        )
    if not is_sampled(x[np.isfinite(x)] for x in cells.values()):
        leave("the rate of samples, as spike times are no whole numbers")
        return None
    return arguments.sample_rate(stored[0], f"in {where}, the rate of samples")


def _times(found: Mapping[str, Any], where: str) -> tuple[dict[Any, Any], dict[str, list[Any]]]:
    spikes = found[SPIKES]
    if isinstance(spikes, dict) and _are_cells(spikes):
        spikes = [{"name": name, **fields} for name, fields in spikes.items()]
    if isinstance(spikes, dict):
        spikes = _each(spikes) if any(_field(spikes, TIMES)) else spikes
    if isinstance(spikes, dict):
        return spikes, {}
    if isinstance(spikes, list) and spikes and all(isinstance(x, dict) for x in spikes):
        return _of_structs(spikes, where)
    names = unit_names(found["cell"]) if "cell" in found else None
    if isinstance(spikes, list):
        return dict(zip(_counted(names, len(spikes), where), spikes, strict=True)), {}
    if "spike_cell" in found:
        return owned(spikes, found["spike_cell"], found.get("cell"), where), {}
    if np.squeeze(spikes).ndim <= 1:
        return {_counted(names, 1, where)[0]: spikes}, {}
    raise InputError(
        came=f"'spike_times' of shape {np.shape(spikes)} in {where}",
        expected="a list of times a cell, or all times beside 'spike_cell'",
        hint=_of_matrix(np.asarray(spikes)),
    )


def _of_matrix(matrix: NDArray[Any]) -> str:
    """What to type for a matrix: pairs, samples that are 0 or 1, or padded times."""
    if matrix.shape[-1] == 2:
        return COLUMNS
    if matrix.size and bool(np.isin(matrix, (0, 1)).all()):
        return RASTER
    lost = matrix.dtype.kind == "f" and bool(np.isnan(matrix).any())
    return PADDED.format(*(WITH_NAN if lost else WITH_ZEROS))


def _each(struct: dict[str, Any]) -> list[dict[str, Any]]:
    """Structs a cell, of one struct whose fields are lists of all cells."""
    times = struct[_field(struct, TIMES)]
    if not isinstance(times, list):
        return [struct]
    lists = {k: x for k, x in struct.items() if isinstance(x, list) and len(x) == len(times)}
    leave("fields of the cells:", [k for k in struct if k not in lists])
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _of_structs(
    structs: list[dict[str, Any]], where: str
) -> tuple[dict[Any, Any], dict[str, list[Any]]]:
    key = _field(structs[0], TIMES)
    if not key:
        raise InputError(
            came=f"structs of spikes with the fields {[*structs[0]]} in {where}",
            expected=f"one of {', '.join(TIMES[:4])}",
        )
    name = _field(structs[0], NAMES)
    names = [unit_names(s[name])[0] for s in structs] if name else None
    facts = {}
    for field in structs[0]:
        what = meaning(field)
        if what in ("quality", "cell_type"):
            facts[str(what)] = [labels(s[field])[0] for s in structs]
    used = {key, name, *(f for f in structs[0] if meaning(f) in facts)}
    leave("fields of the cells:", [f for f in structs[0] if f not in used])
    owners = _counted(names, len(structs), where)
    return dict(zip(owners, [s[key] for s in structs], strict=True)), facts


def _field(struct: Mapping[str, Any], names: tuple[str, ...]) -> str:
    plain = {re.sub(r"[_ ]", "", name).lower(): name for name in struct}
    return next((plain[n] for n in names if n in plain), "")


def _counted(names: list[str] | None, size: int, where: str) -> list[str]:
    if names is None:
        return [f"cell{i:02d}" for i in range(size)]
    if len(names) != size:
        raise InputError(
            came=f"{size} lists of spike times and the names {names[:8]} in {where}",
            expected="a name for each cell",
        )
    return require_different(names, where)
