"""Recordings in `.npz` archives, read row by row and never unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.account import leave
from neurocodec.adapters.recordings.arrayed.bundle import SPIKES, meaning
from neurocodec.adapters.recordings.arrays import (
    DATA,
    DIMS,
    REPEATED,
    WHOLE,
    assemble,
    positional_dims,
    require_data,
    scalar,
    texts,
)
from neurocodec.errors import InputError, StorageError

LISTS: Final = (
    "np.savez(path, spike_times=np.concatenate(lists),"
    " spike_cell=np.repeat(np.arange(len(lists)), [len(x) for x in lists]))"
)
"""What to type for spike times that are lists of several lengths."""


def read_npz(path: Path) -> dict[str, xr.Dataset]:
    """Part -> named arrays (`DIMS`) of an `.npz`; the stimulus stays in the file."""
    # A name such as "train/stimulus" puts an array into the part "train". Pickled objects are
    # refused.
    parts: dict[str, dict[str, xr.Variable]] = {}
    with zipfile.ZipFile(path) as archive:
        members = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    for member in members:
        part, _, name = member.rpartition("/")
        if name in DIMS:
            parts.setdefault(part or WHOLE, {})[name] = _variable(name, NpzArray(path, member))
    require_data(parts, path, members)
    leave("arrays:", [name for name in members if name.rpartition("/")[2] not in DIMS])
    found = {name: assemble(x, f"{path.name}/{name}") for name, x in parts.items()}
    for name, variables in parts.items():
        _require_told(variables, f"{path.name}/{name}")
    return found


def _require_told(variables: Mapping[str, xr.Variable], where: str) -> None:
    """Refuse responses of which nothing but their place tells the axes."""
    for name in (*REPEATED, "firing_rate", "spike_count"):
        response = variables.get(name)
        if response is None or response.ndim < 2:
            continue
        others = [x for k, x in variables.items() if k not in DATA[2:]]
        if {v.TIME, str(response.dims[-1])} & {d for x in others for d in x.dims}:
            continue
        raise InputError(
            came=f"{name!r} of {where} with shape {response.shape}, of which nothing tells the"
            " axis of time",
            expected=f"a stimulus, 'time' (one value a frame), or {str(response.dims[-1])!r}"
            " (names), beside it",
            hint=f"np.savez(path, {name}=..., time=np.arange(n) / rate), n frames",
        )


def _variable(name: str, array: NpzArray) -> xr.Variable:
    lazy = indexing.LazilyIndexedArray(array)
    if not DIMS[name]:
        return scalar(name, np.asarray(lazy), array.path)
    variable = xr.Variable(positional_dims(name, array.shape), lazy)
    if variable.dtype.kind == "S":
        return variable.copy(data=texts(variable.values))
    return variable if name == v.STIMULUS else variable.load()


class NpzArray(BackendArray):
    """Array of an `.npz`, of which only the rows that are asked for are kept in memory."""

    def __init__(self, path: Path, member: str) -> None:
        self.path, self.member = path.absolute(), member
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{member}.npy") as file:
            self.shape, self._fortran, self.dtype = _header(file)
            self._start = file.tell()
        if self.dtype.hasobject:
            raise InputError(
                came=f"the array {member!r} of {str(path)!r}, which holds Python objects",
                expected="numbers or text: unpickling objects of a file can run any code",
                hint=LISTS
                if meaning(member.rpartition("/")[2]) == SPIKES
                else "names.astype(str) or values.astype(float) before np.savez",
            )

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        rows = key[0] if key and isinstance(key[0], slice) else slice(None)
        start, stop, step = rows.indices(self.shape[0]) if self.shape else (0, 1, 1)
        if not key or self._fortran or step < 0 or not isinstance(key[0], slice):
            return np.asarray(self._rows(0, self.shape[0] if self.shape else 1)[key])
        return np.asarray(self._rows(start, max(start, stop))[(slice(None, None, step), *key[1:])])

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.member}.npy") as file:
                file.seek(self._start + start * row)
                values = np.frombuffer(file.read((stop - start) * row), self.dtype)
        except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StorageError(
                came=f"{str(self.path)!r}, of which {self.member!r} can no longer be read: {error}",
                expected="the file that the recording was read from, where it was",
            ) from error
        if self._fortran:
            return values.reshape(self.shape, order="F")
        return values.reshape((stop - start, *self.shape[1:])) if self.shape else values.reshape(())


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)
