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

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, StorageError


class StoredArray(BackendArray):
    """Dataset of an HDF5 file that is read in parts; the file is open only while it is read.

    Parameters
    ----------
    path
        The file.
    key
        Path of the dataset inside the file.
    axes
        Order of the file's axes in which the array appears; None keeps it.
    scale, offset
        Values are `stored * scale + offset`; where they are 1 and 0 the stored type is kept.
    fill
        Stored value that stands for NaN.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "movie.h5")
    ...     with h5py.File(path, "w") as file:
    ...         file["stimulus"] = np.arange(6).reshape(3, 2)
    ...     stored_variable(path, "stimulus", ("time", "x"))[1:].values.tolist()
    [[2, 3], [4, 5]]
    """

    def __init__(
        self,
        path: Path,
        key: str,
        *,
        axes: Sequence[int] | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
        fill: float | None = None,
    ) -> None:
        self.path, self.key = path.absolute(), key
        self.scale, self.offset, self.fill = scale, offset, fill
        with h5py.File(self.path, "r") as file:
            stored = file[key]
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


def _is_slice(part: object) -> bool:
    return isinstance(part, slice)


def stored_variable(
    path: Path,
    key: str,
    dims: Sequence[str],
    attrs: Mapping[str, Any] | None = None,
    **options: Any,
) -> xr.Variable:
    """Variable whose values stay in an HDF5 file until they are used.

    Parameters
    ----------
    path, key
        The file, and the path of the dataset inside of it.
    dims
        One name per axis, in the order of `axes`.
    attrs
        Attributes.
    **options
        Options of `StoredArray`.

    Returns
    -------
    xarray.Variable
        Slicing it reads nothing; `.values` and `.load()` read what is left.

    Examples
    --------
    See `StoredArray`.
    """
    array = indexing.LazilyIndexedArray(StoredArray(path, key, **options))
    return xr.Variable(tuple(dims), array, dict(attrs or {}))


def stored_stimulus(path: Path, key: str, units: str, **options: Any) -> xr.Variable:
    """Frames (time, y, x) that stay in their file, labelled.

    Parameters
    ----------
    path, key
        The file, and the path of the frames inside of it.
    units
        Units of the values.
    **options
        Options of `StoredArray`.

    Raises
    ------
    InputError
        Where the array in the file has other axes.
    """
    attrs = {"units": units, "long_name": v.VARIABLES[v.STIMULUS].long_name}
    array = StoredArray(path, key, **options)
    if len(array.shape) != 3:
        raise InputError(
            came=f"{key!r} of shape {array.shape}", expected="frames with the axes (time, y, x)"
        )
    return xr.Variable((v.TIME, v.Y, v.X), indexing.LazilyIndexedArray(array), attrs)
