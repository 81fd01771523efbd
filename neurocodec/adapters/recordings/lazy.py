"""Arrays that stay in their file: opened for each read, closed again, only what is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from neurocodec import terms
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, StorageError


class StoredArray(BackendArray):
    """Dataset of an HDF5 file that is read in parts; the file is open only while it is read."""

    def __init__(
        self,
        path: Path,
        key: str,
        *,
        axes: Sequence[int] | None = None,  # order of the file's axes in which it appears
        scale: float = 1.0,  # values are stored * scale + offset;
        offset: float = 0.0,  # the stored type is kept where that changes nothing
        fill: float | None = None,  # stored value that stands for NaN
    ) -> None:
        self.path, self.key = path.absolute(), key
        self.scale, self.offset, self.fill = scale, offset, fill
        with h5py.File(self.path, "r") as file:
            stored = numbers(file[key])
            self.axes = tuple(axes or range(stored.ndim))
            self.shape = tuple(stored.shape[axis] for axis in self.axes)
            self.dtype = np.dtype(np.float32) if self._is_packed else stored.dtype

    @property
    def _is_packed(self) -> bool:
        return (self.scale, self.offset, self.fill) != (1.0, 0.0, None)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        in_file: list[Any] = [slice(None)] * len(self.axes)
        for axis, part in zip(self.axes, key, strict=True):
            in_file[axis] = part
        try:
            with h5py.File(self.path, "r") as file:
                values = np.asarray(file[self.key][tuple(in_file)])
        except (OSError, KeyError) as error:
            raise StorageError(
                came=f"{str(self.path)!r}, of which {self.key!r} can no longer be read: {error}",
                expected="the file that the recording was read from, where it was",
                hint="nc.read_recording(path) again; .load() keeps a stimulus in memory",
            ) from error
        kept = [
            axis
            for axis, part in zip(self.axes, key, strict=True)
            if np.ndim(part) or _is_slice(part)
        ]
        values = values.transpose(np.argsort(np.argsort(kept)))
        if self._is_packed:
            missing = np.zeros((), bool) if self.fill is None else values == self.fill
            unpacked = values * self.scale + self.offset
            values = np.where(missing, np.nan, unpacked).astype(self.dtype)
        return values


def numbers(item: Any) -> h5py.Dataset:
    """Array of numbers of an HDF5 file; refused where it is text, or a group of this name."""
    if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
        return item
    found = f"of {item.dtype}" if isinstance(item, h5py.Dataset) else "which is a group"
    raise InputError(
        came=f"{item.file.filename}{item.name}, {found}", expected="an array of numbers"
    )


def _is_slice(part: object) -> bool:
    return isinstance(part, slice)


def stored_variable(
    path: Path,
    key: str,
    dims: Sequence[str],
    attrs: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Variable:
    """Variable that stays in an HDF5 file until it is used; options of `StoredArray`."""
    array = indexing.LazilyIndexedArray(StoredArray(path, key, **options))
    return xr.Variable(tuple(dims), array, dict(attrs or {}))


def stored_stimulus(path: Path, key: str, units: str, **options: Any) -> xr.Variable:
    """Frames (time, y, x) that stay in their file, labelled; light (time,) is one pixel."""
    attrs = {"units": units, "long_name": terms.VARIABLES[v.STIMULUS].long_name}
    array = StoredArray(path, key, **options)
    lazy = indexing.LazilyIndexedArray(array)
    if len(array.shape) == 1:
        light = np.asarray(xr.Variable((v.TIME,), lazy).values)
        return xr.Variable((v.TIME, v.Y, v.X), light[:, None, None], attrs)
    if len(array.shape) != 3:
        raise InputError(
            came=f"{key!r} of shape {array.shape}",
            expected="frames with the axes (time, y, x), or light (time,)",
        )
    return xr.Variable((v.TIME, v.Y, v.X), lazy, attrs)
