"""netCDF and Zarr: groups of plain arrays into a new file, and lazily out of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import xarray as xr

from neurocodec.errors import InputError, StorageError
from neurocodec.storage.encoding import AS_STORED, StoredGroup, StoredVariable, Writable, Writables
from neurocodec.storage.netcdf import create_netcdf, read_netcdf, read_whole_netcdf

_OF_ZEROS: Final = {"id": "zlib", "level": 1}
"""How Zarr writes what is mostly zero."""


class Create(Protocol):
    """Makes a new file; see `Format`."""

    def __call__(
        self, path: Path, groups: Sequence[StoredGroup], chunk_rows: int | None = None, /
    ) -> AbstractContextManager[Writables]:
        """Make a new file with empty arrays."""


@dataclass(frozen=True)
class Format:
    """A file format."""

    suffix: str  # what the file's name ends with
    package: str  # that it needs
    create: Create  # context manager: a new file with all groups, attributes and empty arrays
    read: Callable[[Path], dict[str, xr.Dataset]]  # groups by path, as stored, without their data
    read_whole: Callable[[Path], dict[str, xr.Dataset]]  # the same in memory; the file is closed

    def require(self) -> None:
        """Refuse Zarr where it is not installed."""
        if self.package == "zarr" and importlib.util.find_spec("zarr") is None:
            raise StorageError(
                came="a path that ends in .zarr, and no Zarr library",
                expected="the package zarr",
                hint='pip install "neurocodec[zarr]", or a path that ends in .nc',
            )


@contextmanager
def _create_zarr(
    path: Path, groups: Sequence[StoredGroup], chunk_rows: int | None = None
) -> Iterator[Writables]:
    import zarr  # noqa: PLC0415 - an extra

    # Format 2: format 3 has no specification for fixed-width text.
    root = zarr.open_group(path, mode="w-", zarr_format=2)
    arrays: Writables = {}
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
        # sums over positions hold no zeros: 2 % smaller, and slower
        compressors=_OF_ZEROS if variable.mostly_zero else None,
        attributes={**variable.attributes, "_ARRAY_DIMENSIONS": list(variable.dims)},
        config={"write_empty_chunks": True},  # so that a missing chunk is a damaged file
    )
    return array


def _read_zarr(path: Path) -> dict[str, xr.Dataset]:
    import zarr  # noqa: PLC0415 - an extra

    for name, array in zarr.open_group(path, mode="r").members(max_depth=None):
        if isinstance(array, zarr.Array) and array.nchunks_initialized < array.nchunks:
            raise StorageError(
                came=f"{str(path)!r} without {array.nchunks - array.nchunks_initialized} of the "
                f"{array.nchunks} chunks of {name!r}",
                expected="a whole result",
                hint="copy the folder again, or run again what wrote it",
            )
    return dict(xr.open_groups(path, engine="zarr", consolidated=True, **AS_STORED))


def _read_whole_zarr(path: Path) -> dict[str, xr.Dataset]:
    groups = _read_zarr(path)
    with ExitStack() as stack:
        for group in groups.values():
            stack.callback(group.close)
        return {where: group.load() for where, group in groups.items()}


def _chunks(variable: StoredVariable, rows: int | None) -> tuple[int, ...]:
    if not variable.shape:
        return ()
    rows = min(variable.shape[0], rows or variable.rows_at_once)
    return tuple(max(1, n) for n in (rows, *variable.shape[1:]))


FORMATS: Final = {
    f.suffix: f
    for f in (
        Format(".nc", "netCDF4", create_netcdf, read_netcdf, read_whole_netcdf),
        Format(".zarr", "zarr", _create_zarr, _read_zarr, _read_whole_zarr),
    )
}


def format_of(path: Path) -> Format:
    """Format that the name of a file asks for."""
    if path.suffix not in FORMATS:
        raise InputError(
            came=f"the path {str(path)!r}",
            expected="a name that ends in '.nc' (netCDF) or '.zarr' (Zarr)",
            hint=repr(str(path.with_suffix(".nc"))) if path.name else "'result.nc'",
        )
    FORMATS[path.suffix].require()
    return FORMATS[path.suffix]
