"""HDF5 files with spike times: a dataset a cell, of all spikes, or lists of several lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xarray as xr

from neurocodec import clock
from neurocodec.adapters.recordings.arrayed.bundle import SPIKES, meaning
from neurocodec.adapters.recordings.arrayed.matlab import Opaque
from neurocodec.adapters.recordings.arrays import DATA, WHOLE
from neurocodec.adapters.recordings.lazy import stored_variable

RESPONSES: Final = {*DATA[2:], "response", "repeats"}
"""Names beside which spike times are read by other readers, or are not."""
TIMED: Final = (SPIKES, "frame_times", "triggers", "trials")
"""Arrays of times, in the units that their attributes tell."""
NO_UNITS: Final = ("", "sample", "samples")
"""Units of what has to be told by `sample_rate`."""


def spike_groups(file: h5py.File) -> dict[str, h5py.Group]:
    """Part -> the group with its spike times; the root, or groups of it."""
    inner = {name: x for name, x in file.items() if isinstance(x, h5py.Group)}
    if _holds_spikes(file):
        return {WHOLE: file}
    return {name: x for name, x in inner.items() if _holds_spikes(x)}


def read_tree(group: h5py.Group, path: Path) -> dict[str, Any]:
    """Datasets by name, groups as dictionaries; a stimulus stays in the file."""
    return {name: _value(item, name, path) for name, item in group.items()}


def _holds_spikes(group: h5py.Group) -> bool:
    if RESPONSES & {*group}:
        return False
    deep = group.name != "/" and {"stimulus", "time"} <= {*group}  # as of torch-deep-retina
    if any(meaning(name) == SPIKES and not (deep and name == "spikes") for name in group):
        return True
    return any(map(_is_of_cells, group.values()))


def _is_of_cells(item: Any) -> bool:
    """Whether it is a group of a group a cell, each with spike times."""
    cells = [*item.values()] if isinstance(item, h5py.Group) else []
    return bool(cells) and all(
        isinstance(cell, h5py.Group) and SPIKES in map(meaning, cell) for cell in cells
    )


def _value(item: Any, name: str, path: Path) -> Any:
    if isinstance(item, h5py.Group):
        return {key: _times(x, name, _value(x, key, path)) for key, x in item.items()}
    if h5py.check_string_dtype(item.dtype) is not None:
        text = np.asarray(item.asstr()[()])
        return str(text) if text.ndim == 0 else [*map(str, text.ravel())]
    if h5py.check_vlen_dtype(item.dtype) is not None:
        return [_times(item, name, np.asarray(row)) for row in item[()].ravel()]
    if item.dtype.kind not in "biuf":
        return Opaque(str(item.dtype))
    if meaning(name) == "stimulus" and item.ndim and item.size and item.dtype.kind in "biuf":
        dims = tuple(f"axis{i}" for i in range(item.ndim))
        return stored_variable(path, item.name, dims, {})
    return _times(item, name, np.asarray(item[()]))


def _times(item: Any, name: str, values: Any) -> Any:
    """Times in seconds, where an attribute tells other units."""
    units = item.attrs.get("units", item.attrs.get("unit", b""))
    told = units.decode() if isinstance(units, bytes) else str(units)
    plain = isinstance(values, np.ndarray) and values.ndim > 0 and values.dtype.kind in "fiu"
    if meaning(name) not in TIMED or told.lower() in NO_UNITS or not plain:
        return values
    dims = tuple(f"axis{i}" for i in range(values.ndim))
    return np.asarray(clock.seconds(xr.Variable(dims, values, {"units": told})).values)
