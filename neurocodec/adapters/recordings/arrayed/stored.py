"""Arrays of an `.npz` by name; nothing is unpickled, the stimulus stays in the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from xarray.core import indexing

from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.bundle import meaning
from neurocodec.adapters.recordings.npz import NpzArray

PYNAPPLE: Final = ("t", "start", "end", "type")
"""Arrays of every `.npz` that pynapple saves."""
METADATA: Final = "_metadata"


def of_pynapple(arrays: dict[str, Any]) -> dict[str, Any]:
    """Spike times of a `Ts` or `TsGroup` that was saved, by the names that they have here."""
    kind = str(np.ravel(arrays["type"])[0]) if {*PYNAPPLE} <= {*arrays} else ""
    if kind == "Ts":
        return {"spike_times": arrays["t"]}
    if kind == "TsGroup" and {"index", "keys"} <= {*arrays}:
        names = {"spike_times": "t", "spike_cell": "index", "cell": "keys"}
        return {name: arrays[key] for name, key in names.items()}
    return arrays


def read_arrays(path: Path, part: str = "") -> dict[str, Any]:
    """Name -> array of a part (a prefix before the last "/"); a stimulus is read when used."""
    prefix = f"{part}/" if part else ""
    with zipfile.ZipFile(path) as archive:
        members = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    found: dict[str, Any] = {}
    if part == "" and {*PYNAPPLE} <= {*members} and METADATA in members:
        members.remove(METADATA)  # pickled, and never opened
        leave("metadata of the cells, which pynapple pickles")
    for member in members:
        head, _, name = member.rpartition("/")
        if head == part:
            array = indexing.LazilyIndexedArray(NpzArray(path, f"{prefix}{name}"))
            dims = [f"axis{i}" for i in range(len(array.shape))]
            lazy = xr.Variable(dims, array)
            found[name] = lazy if meaning(name) == "stimulus" else np.asarray(lazy.values)
    return found
