"""Results that are opened as Dask arrays, chunked along the samples."""

from __future__ import annotations

import importlib.util

import xarray as xr

from neurocodec.errors import InputError, StorageError
from neurocodec.storage.encoding import Result
from neurocodec.vocabulary import SAMPLE_DIMS


def chunked(result: Result, rows: int) -> Result:
    """Make Dask arrays of the variables that have a sample dim; coordinates stay as they are.

    Parameters
    ----------
    result
        What was opened lazily.
    rows
        Samples in a chunk.

    Raises
    ------
    InputError
        Where `rows` is no whole number of at least 1.
    StorageError
        Where Dask is not installed.

    Examples
    --------
    >>> whole = xr.Dataset({"target": ("stimulus", [1.0, 2.0, 3.0])})
    >>> chunked(whole, 2).target.chunks
    ((2, 1),)
    """
    if not isinstance(rows, int) or rows < 1:
        raise InputError(came=f"chunks={rows!r}", expected="a whole number, at least 1")
    if importlib.util.find_spec("dask") is None:
        raise StorageError(
            came=f"chunks={rows}, and no Dask",
            expected="the package dask",
            hint='pip install "neurocodec[dask]"',
        )
    if isinstance(result, xr.DataArray):
        return result.copy(data=_variable(result.variable, rows).data)
    if isinstance(result, xr.Dataset):
        return _dataset(result, rows)
    nodes = {node.path: _dataset(node.to_dataset(inherit=False), rows) for node in result.subtree}
    return xr.DataTree.from_dict(nodes, name=result.name)


def _dataset(data: xr.Dataset, rows: int) -> xr.Dataset:
    found = data.assign({name: _variable(v.variable, rows) for name, v in data.data_vars.items()})
    found.set_close(data.close)
    return found


def _variable(variable: xr.Variable, rows: int) -> xr.Variable:
    return variable.chunk({d: rows for d in SAMPLE_DIMS if d in variable.dims})
