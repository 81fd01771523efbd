"""netCDF files by netCDF4, whose C library bears one thread at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK as LOCK

from neurocodec.storage.encoding import AS_STORED, KIND, StoredGroup, StoredVariable, Writables


def read_netcdf(path: Path) -> dict[str, xr.Dataset]:
    """Path of each group of a file -> its Dataset, whose values are read when they are used."""
    # h5netcdf, as netCDF4 ends the process where text is read of a file that is open twice (HDF5's
    # issue 5359), and as xarray reads names and attributes with netCDF4 without its lock.
    groups = xr.open_groups(path, engine="h5netcdf", phony_dims="access", **AS_STORED)
    return dict(groups)


def read_whole_netcdf(path: Path) -> dict[str, xr.Dataset]:
    """Path of each group of a file -> its Dataset as it is stored, in memory; none of others'."""
    # h5py sees whose file it is, as others may have types at which the library of netCDF crashes,
    # and reads text, for the same reason as above.
    with LOCK, h5py.File(path, "r") as hdf5:
        if KIND not in hdf5.attrs:
            return {"/": xr.Dataset()}
        with netCDF4.Dataset(path, auto_complex=True) as file:
            file.set_auto_maskandscale(False)
            file.set_auto_chartostring(False)
            return {group.path: _in_memory(group, hdf5[group.path]) for group in _subtree(file)}


def _subtree(group: Any) -> Iterator[Any]:
    yield group
    for child in group.groups.values():
        yield from _subtree(child)


def _in_memory(group: Any, hdf5: h5py.Group) -> xr.Dataset:
    variables = {name: _variable(array, hdf5[name]) for name, array in group.variables.items()}
    return xr.Dataset(variables, attrs=_attributes(group))


def _variable(array: Any, hdf5: h5py.Dataset) -> xr.Variable:
    attributes = _attributes(array)
    if array.dtype is str:
        values = np.asarray(hdf5.asstr()[...]).astype(str)
    else:
        values = np.asarray(array[...])
    if attributes.get("dtype") == "bool":  # which xarray turns into bool as well
        values = values.astype(bool)
    return xr.Variable(array.dimensions, values, attributes)


def _attributes(owner: Any) -> dict[str, Any]:
    return {name: owner.getncattr(name) for name in owner.ncattrs()}


@contextmanager
def create_netcdf(
    path: Path,
    groups: Sequence[StoredGroup],
    _chunk_rows: int | None = None,  # arrays are in one piece
) -> Iterator[Writables]:
    """Make a file with all groups, attributes and empty arrays, closed in the end."""
    with LOCK:
        file = netCDF4.Dataset(path, "w")
    try:
        with LOCK:
            arrays = _new_arrays(file, groups)
        yield arrays
    finally:
        with LOCK:
            file.close()


def _new_arrays(file: netCDF4.Dataset, groups: Sequence[StoredGroup]) -> Writables:
    file.set_fill_off()  # every value is written once, without a fill value before it
    arrays: Writables = {}
    for group in groups:
        node = file if group.path == "/" else file.createGroup(group.path)
        node.setncatts(group.attributes)
        for dim, size in group.sizes.items():
            node.createDimension(dim, size)
        for name, variable in group.variables.items():
            kind, how = _type_in(file, variable.dtype), _pieces(variable)
            array = node.createVariable(name, kind, variable.dims, **how)
            array.setncatts(variable.attributes)
            array.set_auto_maskandscale(False)
            array.set_auto_chartostring(False)
            arrays[group.key(name)] = _Array(array, variable.dtype)
    return arrays


def _pieces(variable: StoredVariable) -> dict[str, Any]:
    """How an array is written: in one piece, or compressed where it is mostly zero."""
    if not variable.mostly_zero or 0 in variable.shape:
        return {}
    pieces = (variable.rows_at_once, variable.shape[1])
    return {"compression": "zlib", "complevel": 1, "shuffle": False, "chunksizes": pieces}


_COMPLEX: Final = {
    "F": ("_PFNC_FLOAT_COMPLEX_TYPE", [("r", "f4"), ("i", "f4")]),
    "D": ("_PFNC_DOUBLE_COMPLEX_TYPE", [("r", "f8"), ("i", "f8")]),
}
"""Complex numbers as netCDF4 and h5netcdf know them: name and fields of a compound type."""


def _type_in(file: netCDF4.Dataset, dtype: np.dtype[Any]) -> Any:
    """Type of an array; netCDF4's own complex types take single for double in some trees."""
    if dtype.kind != "c":
        return str if dtype.kind == "U" else dtype
    name, fields = _COMPLEX[dtype.char]
    return file.cmptypes.get(name) or file.createCompoundType(np.dtype(fields), name)


class _Array:
    """Array of a netCDF file, which takes values under the lock, in the type of the file."""

    def __init__(self, array: Any, dtype: np.dtype[Any]) -> None:
        self._array, self._kind = array, dtype.kind

    def __setitem__(self, key: Any, value: NDArray[Any], /) -> None:
        if self._kind == "U":
            value = value.astype(object)
        elif self._kind == "c":
            value = np.asarray(value, order="C").view(self._array.dtype)
        with LOCK:
            self._array[key] = value
