"""netCDF and Zarr: groups of plain arrays into a new file, and lazily out of it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec.errors import InputError, StorageError
from neurocodec.storage.encoding import StoredGroup, StoredVariable

CHUNK_BYTES: Final = 4 * 2**20


class Writable(Protocol):
    """An array in a file."""

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """Write values into a part of the array."""


Arrays = dict[str, Writable]
"""Path of a variable ("layer1/contribution") -> its array in the file."""


class Create(Protocol):
    """Makes a new file; see `Format`."""

    def __call__(
        self, path: Path, groups: Sequence[StoredGroup], chunk_rows: int | None = None, /
    ) -> AbstractContextManager[Arrays]:
        """Make a new file with empty arrays."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    suffix
        What the file's name ends with.
    engine
        Xarray's name of the reader.
    create
        Context manager that makes a new file with all groups, attributes and empty arrays; it
        may be told how many rows of an array make one chunk.
    check
        Raises StorageError where parts of the file are missing, which readers would not notice.
    options
        Further options of the reader.
    """

    suffix: str
    engine: str
    create: Create
    check: Callable[[Path], None]
    options: Mapping[str, Any]

    def read(self, path: Path) -> dict[str, xr.Dataset]:
        """Read the groups of a file as they are stored, without loading their data."""
        self.check(path)
        groups = xr.open_groups(
            path,
            engine=self.engine,
            decode_times=False,
            decode_timedelta=False,
            mask_and_scale=False,
            concat_characters=False,
            **self.options,
        )
        return dict(groups)

    def require(self) -> None:
        """Refuse Zarr where it is not installed."""
        if self.engine == "zarr" and importlib.util.find_spec("zarr") is None:
            raise StorageError(
                came="a path that ends in .zarr, and no Zarr library",
                expected="the package zarr",
                hint='pip install "neurocodec[zarr]", or a path that ends in .nc',
            )


@contextmanager
def _create_netcdf(
    path: Path,
    groups: Sequence[StoredGroup],
    _chunk_rows: int | None = None,  # arrays are in one piece
) -> Iterator[Arrays]:
    # h5py closes the file: h5netcdf would try again at exit what failed on a full disk, and crash.
    with h5py.File(path, "w", track_order=True) as hdf5, h5netcdf.File(hdf5, "r+") as file:
        arrays: Arrays = {}
        for group in groups:
            node = file if group.path == "/" else file.create_group(group.path)
            node.attrs.update(group.attributes)
            node.dimensions.update(group.sizes)
            for name, variable in group.variables.items():
                arrays[group.key(name)] = _create_netcdf_variable(node, name, variable)
        yield arrays


def _create_netcdf_variable(node: Any, name: str, variable: StoredVariable) -> Writable:
    is_text = variable.dtype.kind == "U"
    dtype = h5py.string_dtype() if is_text else variable.dtype
    array = node.create_variable(name, variable.dims, dtype)
    array.attrs.update(variable.attributes)
    return _Text(array) if is_text else array


class _Text:
    """Text array of a netCDF file, which takes Python strings only."""

    def __init__(self, array: Writable) -> None:
        self._array = array

    def __setitem__(self, key: Any, value: NDArray[np.str_], /) -> None:
        self._array[key] = value.astype(object)


@contextmanager
def _create_zarr(
    path: Path, groups: Sequence[StoredGroup], chunk_rows: int | None = None
) -> Iterator[Arrays]:
    import zarr  # noqa: PLC0415 - an extra

    # Format 2: format 3 has no specification for fixed-width text.
    root = zarr.open_group(path, mode="w-", zarr_format=2)
    arrays: Arrays = {}
    for group in groups:
        node = root if group.path == "/" else root.create_group(group.path.strip("/"))
        node.attrs.update(group.attributes)
        for name, variable in group.variables.items():
            arrays[group.key(name)] = _create_zarr_array(node, name, variable, chunk_rows)
    yield arrays
    zarr.consolidate_metadata(root.store, zarr_format=2)


def _create_zarr_array(
    node: Any, name: str, variable: StoredVariable, chunk_rows: int | None
) -> Writable:
    array: Writable = node.create_array(
        name,
        shape=variable.shape,
        chunks=_chunks(variable, chunk_rows),
        dtype=variable.dtype,
        fill_value=None,
        compressors=None,  # sums over positions hold no zeros: 2 % smaller, and slower
        attributes={**variable.attributes, "_ARRAY_DIMENSIONS": list(variable.dims)},
        config={"write_empty_chunks": True},  # so that a missing chunk is a damaged file
    )
    return array


def _check_zarr(path: Path) -> None:
    import zarr  # noqa: PLC0415 - an extra

    for name, array in zarr.open_group(path, mode="r").members(max_depth=None):
        if isinstance(array, zarr.Array) and array.nchunks_initialized < array.nchunks:
            raise StorageError(
                came=f"{str(path)!r} without {array.nchunks - array.nchunks_initialized} of the "
                f"{array.nchunks} chunks of {name!r}",
                expected="a whole result",
                hint="copy the folder again, or run again what wrote it",
            )


def _check_netcdf(path: Path) -> None:
    """HDF5 notices a file that is cut short by itself."""


def _chunks(variable: StoredVariable, rows: int | None) -> tuple[int, ...]:
    if not variable.shape:
        return ()
    row = variable.dtype.itemsize * math.prod(variable.shape[1:])
    rows = min(variable.shape[0], rows or max(1, CHUNK_BYTES // max(1, row)))
    return tuple(max(1, n) for n in (rows, *variable.shape[1:]))


FORMATS: Final = {
    f.suffix: f
    for f in (
        Format(".nc", "h5netcdf", _create_netcdf, _check_netcdf, {}),
        Format(".zarr", "zarr", _create_zarr, _check_zarr, {"consolidated": True}),
    )
}


def format_of(path: Path) -> Format:
    """Format that the name of a file asks for.

    Parameters
    ----------
    path
        A path that ends in ".nc" or ".zarr".

    Raises
    ------
    InputError
        Where it ends in something else.
    StorageError
        Where it ends in ".zarr" and Zarr is not installed.

    Examples
    --------
    >>> format_of(Path("run.nc")).engine
    'h5netcdf'
    """
    if path.suffix not in FORMATS:
        raise InputError(
            came=f"the path {str(path)!r}",
            expected="a name that ends in '.nc' (netCDF) or '.zarr' (Zarr)",
            hint=repr(str(path.with_suffix(".nc"))) if path.name else "'result.nc'",
        )
    FORMATS[path.suffix].require()
    return FORMATS[path.suffix]
