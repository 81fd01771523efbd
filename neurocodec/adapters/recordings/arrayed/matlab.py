"""MAT files of version 5 (scipy) and 7.3 (HDF5): arrays, cells as lists, structs as dicts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import io, sparse

from neurocodec import vocabulary as v
from neurocodec.adapters.recordings.frames.movies import COLOURS
from neurocodec.errors import InputError, StorageError

START: Final = (b"MATLAB 5.0", b"MATLAB 7.3")
DAMAGED: Final = (
    *(ValueError, TypeError, LookupError, NotImplementedError, OSError, zlib.error),
    *(OverflowError, MemoryError, io.matlab.MatReadError),
)
"""What scipy raises on a file that is cut off or garbled."""
CLASS: Final = "MATLAB_class"
EMPTY: Final = "MATLAB_empty"
AXES: Final = ((v.TIME,), (v.TIME, v.Y, v.X), (v.TIME, v.COLOR, v.Y, v.X))
"""Those of a stimulus, in the order in which it is kept."""
DECODED: Final = "MATLAB_object_decode"
"""Attribute of an object, such as a string or a table, which is stored as numbers of no meaning."""


@dataclass(frozen=True)
class Opaque:
    """Something of a MAT file that is neither numbers, text, a cell array nor a struct."""

    kind: str


def is_matlab(path: Path) -> bool:
    """Whether a file begins as MATLAB's do, or is called so (version 4 has no beginning)."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(10) in START or path.suffix.lower() == ".mat"


def read_matlab(path: Path) -> dict[str, Any]:
    """Variables by name, with axes in MATLAB's order; functions and objects are left out."""
    with path.open("rb") as file:
        new = file.read(10) == START[1]
    if new or h5py.is_hdf5(path):
        with h5py.File(path, "r") as content:
            return {
                name: _new(item, content)
                for name, item in content.items()
                if not name.startswith("#")
            }
    try:
        found = io.loadmat(path)
    except DAMAGED as error:
        raise StorageError(
            came=f"{str(path)!r}, which cannot be read: {error}",
            expected="a MAT file of version 5 or 7.3",
            hint="save(path, '-v7.3') in MATLAB",
        ) from error
    return {name: _old(x) for name, x in found.items() if not name.startswith("__")}


def _old(value: Any) -> Any:
    """Value of scipy: object arrays are MATLAB's cells, records its structs."""
    if sparse.issparse(value):
        return value.toarray()
    if isinstance(value, io.matlab.MatlabOpaque | io.matlab.MatlabFunction):
        return Opaque("an object or a function")
    array = np.asarray(value)
    if array.dtype.names:
        structs = [{n: _old(record[n]) for n in array.dtype.names} for record in array.ravel()]
        return structs[0] if len(structs) == 1 else structs
    if array.dtype.kind == "O":
        return _rows([_old(x) for x in array.ravel()], array.shape)
    if array.dtype.kind in "SU":
        return str(array.ravel()[0]) if array.size == 1 else [str(x).strip() for x in array.ravel()]
    return array


def _new(item: Any, file: h5py.File) -> Any:
    """Value of HDF5, whose axes are the other way round there."""
    kind = _text(item.attrs.get(CLASS, ""))
    if isinstance(item, h5py.Group):
        fields = {name: _new(x, file) for name, x in item.items()}
        lengths = {len(x) for x in fields.values() if isinstance(x, list)}
        arrays = all(_is_reference(x) and CLASS not in x.attrs for x in item.values())
        if fields and arrays and len(lengths) == 1:
            return [
                dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)
            ]
        return fields
    return _stored(item, kind, file)


def _stored(item: h5py.Dataset, kind: str, file: h5py.File) -> Any:
    """Value of a dataset: cells, text or numbers."""
    if item.attrs.get(EMPTY, 0):
        return [] if kind == "cell" else np.empty(0)
    if _is_reference(item):
        stored = np.transpose(item[()])
        return _rows([_new(file[x], file) for x in stored.ravel()], stored.shape)
    if DECODED in item.attrs or item.dtype.kind not in "biuf":
        return Opaque(kind if DECODED in item.attrs else str(item.dtype))
    values = np.asarray(item[()]).transpose()
    if kind == "char":
        rows = ["".join(map(chr, row)).strip() for row in np.atleast_2d(values)]
        return rows[0] if len(rows) == 1 else rows
    return values


def _rows(items: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Elements of a cell array: a list; of a table of cells, a list of rows."""
    if len(shape) != 2 or 1 in shape or not items:
        return items
    return [items[k : k + shape[1]] for k in range(0, len(items), shape[1])]


def _is_reference(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def frames_first(
    stimulus: NDArray[Any], frames: int | None, where: str, axes: Any = None
) -> NDArray[Any]:
    """Frames (time, [color,] y, x) of MATLAB's (y, x, [color,] time), or as `axes` tell."""
    if axes is not None:
        return _as_told(stimulus, axes, where)
    plain = np.squeeze(stimulus) if stimulus.ndim == 2 and 1 in stimulus.shape else stimulus
    if plain.ndim not in (1, 3, 4):
        raise InputError(
            came=f"a stimulus of shape {stimulus.shape} in {where}",
            expected="(y, x, time), (y, x, color, time) or (time,)",
        )
    last, first = plain.shape[-1] == frames, plain.shape[0] == frames
    if plain.ndim == 1:
        return plain
    if frames is not None and last and first:
        raise InputError(
            came=f"a stimulus of shape {stimulus.shape} with {frames} frames in {where}, of which"
            " the first or the last axis may be time",
            expected="frames of another size than their number",
            hint="nc.recording(frames, spike_times=path, frame_times=times), frames (time, y, x)",
        )
    if frames is None and not _is_time_last(plain.shape):
        raise InputError(
            came=f"a stimulus of shape {stimulus.shape} in {where}, of which nothing tells the"
            " axis of time",
            expected="its axes in words, or times of all frames",
            hint="stimulus_axes = 'y x time' in MATLAB, or frame_times = (0:n-1)/rate, n frames",
        )
    if frames is not None and not last and first:
        return plain
    if plain.ndim == 4:
        return plain.transpose(3, 2, 0, 1)
    return plain.transpose(2, 0, 1)


def _is_time_last(shape: tuple[int, ...]) -> bool:
    """Whether frames that are square, or the axis of the colours, tell that time is last."""
    if len(shape) == 4:
        return shape[2] <= COLOURS < min(shape[:2])
    return shape[0] == shape[1] != shape[2]


def _as_told(stimulus: NDArray[Any], axes: Any, where: str) -> NDArray[Any]:
    """Frames whose axes a text of the file names."""
    names = tuple(axes.replace(",", " ").strip(" ()").split()) if isinstance(axes, str) else ()
    found = stimulus.squeeze() if len(names) == 1 else stimulus
    known = [own for own in AXES if {*own} == {*names}]
    if not known or len(names) != found.ndim:
        raise InputError(
            came=f"stimulus_axes={axes!r:.60} of a stimulus of shape {stimulus.shape} in {where}",
            expected="the name of each axis: time, y and x, and color where there are colours",
            hint="stimulus_axes = 'y x time' in MATLAB",
        )
    return found.transpose([names.index(axis) for axis in known[0]])
