"""Arrays of an `.npz` by name; nothing is unpickled, the stimulus stays in the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from neurocodec.adapters.recordings.arrayed.bundle import meaning
from neurocodec.adapters.recordings.npz import NpzArray


def read_arrays(path: Path, part: str = "") -> dict[str, Any]:
    """Name -> array of a part (a prefix before the last "/"); a stimulus is read when used."""
    prefix = f"{part}/" if part else ""
    with zipfile.ZipFile(path) as archive:
        members = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    found: dict[str, Any] = {}
    for member in members:
        head, _, name = member.rpartition("/")
        if head == part:
            array = indexing.LazilyIndexedArray(NpzArray(path, f"{prefix}{name}"))
            dims = [f"axis{i}" for i in range(len(array.shape))]
            lazy = xr.Variable(dims, array)
            found[name] = lazy if meaning(name) == "stimulus" else np.asarray(lazy.values)
    return found
