"""Save and open labelled objects: whole files or none."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable
from zipfile import BadZipFile

import xarray as xr

from neurocodec.arguments import path as checked_path
from neurocodec.arguments import whole_or_none
from neurocodec.errors import InputError, NeurocodecError, StorageError
from neurocodec.storage.decoding import decode, kind_of, tree_of
from neurocodec.storage.encoding import Result, StoredGroup, Writables, encode
from neurocodec.storage.formats import format_of
from neurocodec.vocabulary import SAMPLE_DIMS

PathLike: TypeAlias = str | os.PathLike[str]

PARTS: Final = ".parts"
"""Ending of the folder, beside its result, of a run that is not finished."""

PAUSES: Final = (0.05, 0.2, 1.0)
"""Seconds in which a folder is not to come back after a failure."""

_FITTED: Final = {
    "SparseModes": "neurocodec.modes.sparse:SparseModes",
    "BaselineModes": "neurocodec.modes.baselines:BaselineModes",
    "ConceptVectors": "neurocodec.modes.concept_vectors.vectors:ConceptVectors",
}
"""Class with `to_tree()` and `from_tree(tree)` -> where it is; imported when it is needed."""


@runtime_checkable
class Savable(Protocol):
    """An object with fitted state, which a DataTree holds whole."""

    def to_tree(self) -> xr.DataTree:
        """Tree from which `from_tree` of the same class makes an equal object."""


def save(obj: Result | Savable, path: PathLike, *, overwrite: bool = True) -> None:
    """Write a labelled object to a file, from which `nc.open` gives back an identical one.

    Everything comes back: values, dims, coordinates, dtypes, attributes with their types, trees.
    Text of any kind comes back as fixed-width text, empty where it is missing.
    The file appears whole or not at all: it is written beside the target and then renamed, so
    that a full disk or an interrupt leaves what was there before.

    Parameters
    ----------
    obj
        A DataArray, Dataset or DataTree, or a fitted object such as `nc.SparseModes`.
    path
        Ends in ".nc" (netCDF 4, one file, readable wherever HDF5 is) or ".zarr" (a folder).
    overwrite
        Whether an earlier neurocodec result at `path` is replaced. What is not a neurocodec
        result is never replaced.

    Raises
    ------
    InputError
        Where `path` has another ending or the object holds something that would not come back
        as it is: Python objects, a MultiIndex, names that are not text. Nothing is written then.
    StorageError
        Where `path` is taken, the folder does not exist or the disk is full.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "rate.nc")
    >>> rate = xr.DataArray([1.0, 2.0], {"time": [0.0, 0.01]}, dims="time", name="firing_rate")
    >>> save(rate, path)
    >>> open(path).identical(rate)
    True
    >>> folder.cleanup()
    """
    target = checked_path("path", path, hint="'result.nc'")
    form = format_of(target)
    groups = encode(*_labelled(obj))
    require_free(target, overwrite=overwrite)
    with whole_file(target) as scratch, form.create(scratch, groups) as arrays:
        fill(groups, arrays)


def open(  # noqa: A001 - reads as nc.open
    path: PathLike, *, lazy: bool = False, chunks: int | None = None
) -> Any:
    """Read what `nc.save` wrote, or a finished run.

    Parameters
    ----------
    path
        A file that ends in ".nc" or a folder that ends in ".zarr".
    lazy
        False: everything is read into memory and the file is closed. True: values are read when
        they are used, and the file stays open as long as the object lives or until its `close()`;
        for runs that are larger than memory. Text, dates and half precision are read at once in
        either case.
    chunks
        Samples in a chunk: what is lazy are Dask arrays, which statistics go through chunk by
        chunk. None: no Dask.

    Returns
    -------
    xarray.DataArray, xarray.Dataset, xarray.DataTree or fitted object
        Of the kind that was saved, identical to it.

    Raises
    ------
    StorageError
        Where there is no such file, it is damaged, unfinished or not a neurocodec result.

    Examples
    --------
    >>> open("missing.nc")
    Traceback (most recent call last):
    ...
    neurocodec.errors.StorageError: 'missing.nc', which does not exist
      expected: a file written by nc.save
    """
    source = checked_path("path", path, hint="'result.nc'")
    form = format_of(source)
    chunks = whole_or_none("chunks", chunks)
    _require_present(source)
    with damage_reported(source):
        groups = form.read(source) if lazy or chunks else form.read_whole(source)
        result = decode(groups)
        name = kind_of(groups)
        if name in _FITTED:
            return _class(name).from_tree(result)
        return chunked(result, chunks) if chunks else result


def fill(
    groups: Sequence[StoredGroup], arrays: Writables, except_for: Collection[str] = ()
) -> None:
    """Write all values but those of some paths into the arrays of a new file."""
    for group in groups:
        for name, variable in group.variables.items():
            key = group.key(name)
            if key not in except_for and 0 not in variable.shape:
                arrays[key][...] = variable.values()


@contextmanager
def whole_file(target: Path, scratch_folder: Path | None = None) -> Iterator[Path]:
    """Path to write to, which becomes `target` where all goes well and vanishes where not.

    It grows beside the target, or in another folder on the same disk.
    """
    where = scratch_folder or target.parent
    with writing_reported(target), _vanishing(where, f".{target.name}.") as folder:
        scratch = Path(folder, target.name)
        yield scratch
        _put(scratch, target, Path(folder, "replaced"))


@contextmanager
def _vanishing(where: Path, prefix: str) -> Iterator[str]:
    """A folder for the length of a ``with`` block, whoever still writes to it at its end."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=where)
    try:
        yield folder
    except BaseException:
        # of several threads of Zarr's one has failed; the others go on, and make the folder anew
        for pause in PAUSES:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(pause)
            if not os.path.lexists(folder):
                break
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing_reported(target: Path) -> Iterator[None]:
    """Say of a file or folder that cannot be written what to do, whatever its writer raises."""
    try:
        yield
    except NeurocodecError:
        raise
    except (OSError, RuntimeError) as error:  # HDF5 reports a failed flush as RuntimeError
        raise StorageError(
            came=f"{str(target)!r}, which could not be written: {error}",
            expected="a folder that can be written to, with space left",
            hint="free some space or choose another path; what was there before is unchanged",
        ) from error


def _put(scratch: Path, target: Path, replaced: Path) -> None:
    if not target.is_dir():
        scratch.replace(target)
        return
    target.rename(replaced)  # a folder cannot be renamed over another one
    try:
        scratch.rename(target)
    except BaseException:
        replaced.rename(target)
        raise


def require_free(target: Path, *, overwrite: bool) -> None:
    """Refuse a path whose folder does not exist, or that holds what must not be replaced."""
    if not target.parent.is_dir():
        raise StorageError(
            came=f"the folder {str(target.parent)!r}, which does not exist",
            expected=f"a folder to write {target.name!r} into",
            hint=f"mkdir -p {str(target.parent)!r}",
        )
    if target.exists() and not (overwrite and _is_result(target)):
        raise StorageError(
            came=f"{str(target)!r}, which exists already",
            expected="a free path" + (", or an earlier neurocodec result" if overwrite else ""),
            hint="another path, or delete what is there"
            + ("" if overwrite else ", or overwrite=True"),
        )


def _is_result(path: Path) -> bool:
    try:
        with damage_reported(path):
            groups = format_of(path).read(path)
    except StorageError:
        return False
    for group in groups.values():
        group.close()
    return bool(kind_of(groups))


@contextmanager
def damage_reported(
    path: Path,
    expected: str = "a whole file written by nc.save",
    hint: str = "copy the file again, or run again what wrote it",
) -> Iterator[None]:
    """Say of a file that cannot be read that it is damaged, whatever its reader raises."""
    try:
        yield
    except NeurocodecError:
        raise
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile) as error:
        raise StorageError(
            came=f"{str(path)!r}, which cannot be read: {error}", expected=expected, hint=hint
        ) from error


def _require_present(path: Path) -> None:
    if path.exists():
        return
    if path.with_name(path.name + PARTS).is_dir():
        raise StorageError(
            came=f"{str(path)!r}, a run that is not finished",
            expected="a finished run",
            hint=f"the same call with out={str(path)!r} again; it continues where it stopped",
        )
    raise StorageError(
        came=f"{str(path)!r}, which does not exist", expected="a file written by nc.save"
    )


def _labelled(obj: object) -> tuple[Result, str]:
    for kind in (xr.DataArray, xr.Dataset, xr.DataTree):
        if isinstance(obj, kind):
            return obj, kind.__name__
    name = type(obj).__name__
    if name in _FITTED and isinstance(obj, Savable):
        return obj.to_tree(), name
    raise InputError(
        came=f"an object of type {name}",
        expected=f"a DataArray, Dataset, DataTree or {' or '.join(_FITTED)}",
        hint="nc.labels.labelled(values, dims, name=...) for an array",
    )


def _class(name: str) -> Any:
    module, _, attribute = _FITTED[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def chunked(result: Result, rows: int) -> Result:
    """Make Dask arrays of the variables that have a sample dim; coordinates stay as they are."""
    if importlib.util.find_spec("dask") is None:
        raise StorageError(
            came=f"chunks={rows}, and no Dask",
            expected="the package dask",
            hint='pip install "neurocodec[dask]"',
        )
    if isinstance(result, xr.DataArray):
        array = result.copy(data=_variable(result.variable, rows).data)
        array.set_close(result.close)
        return array
    if isinstance(result, xr.Dataset):
        return _dataset(result, rows)
    nodes = {node.path: _dataset(node.to_dataset(inherit=False), rows) for node in result.subtree}
    for node in nodes.values():
        node.set_close(result.close)
    return tree_of(nodes, result.name)


def _dataset(data: xr.Dataset, rows: int) -> xr.Dataset:
    found = data.assign({name: _variable(v.variable, rows) for name, v in data.data_vars.items()})
    found.set_close(data.close)
    return found


def _variable(variable: xr.Variable, rows: int) -> xr.Variable:
    return variable.chunk({d: rows for d in SAMPLE_DIMS if d in variable.dims})


def existing_folder(path: str | Path) -> Path:
    """Make a folder, and its parents, where there is none."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            came=f"the folder {str(folder)!r}, which cannot be made: {error.strerror}",
            expected="a folder that can be written to",
            hint="another folder",
        ) from error
    return folder
