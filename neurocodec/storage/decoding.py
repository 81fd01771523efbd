"""The labelled object that a file holds, from its groups of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec.errors import StorageError
from neurocodec.storage.attributes import from_native, loads
from neurocodec.storage.encoding import CONTENT, DTYPE, FORMAT, KIND, NAME, VERSION, Result


def decode(groups: Mapping[str, xr.Dataset]) -> Result:
    """Put together the object that `encode` was given, from the groups of a file by their path.

    Times, fill values and scales of these groups are not decoded.
    """
    marks = groups["/"].attrs
    _require_readable(marks)
    content: dict[str, dict[str, list[str]]] = loads(marks[CONTENT])
    nodes = {path: _decode_node(path, names, groups) for path, names in content.items()}
    name = loads(marks[NAME])
    if marks[KIND] == "Dataset":
        return nodes["/"]
    if marks[KIND] == "DataArray":
        array = nodes["/"][content["/"]["data"][0]].rename(name)
        array.set_close(nodes["/"].close)
        return array
    return tree_of(nodes, name)


def tree_of(nodes: Mapping[str, xr.Dataset], name: str | None) -> xr.DataTree:
    """Tree whose nodes close their files, as xarray's own forgets to."""
    tree: xr.DataTree = xr.DataTree.from_dict(nodes, name=name)
    for path, node in nodes.items():
        tree[path].set_close(node.close)
    return tree


def kind_of(groups: Mapping[str, xr.Dataset]) -> str:
    """Return the name of the class that the file holds."""
    return str(groups["/"].attrs.get(KIND, ""))


def _require_readable(marks: Mapping[str, Any]) -> None:
    if KIND not in marks:
        raise StorageError(
            came="a file without the marks of a neurocodec result",
            expected="a file written by nc.save or by nc.contributions(..., out=...)",
            hint="xr.open_datatree(path)",
        )
    if int(marks[VERSION]) > FORMAT:
        raise StorageError(
            came=f"a file of format {marks[VERSION]}, written by a newer neurocodec",
            expected=f"format {FORMAT} or older",
            hint="pip install --upgrade neurocodec",
        )


def _decode_node(
    path: str, names: Mapping[str, list[str]], groups: Mapping[str, xr.Dataset]
) -> xr.Dataset:
    found = groups.get(path, xr.Dataset())
    missing = [n for n in (*names["coords"], *names["data"]) if n not in found.variables]
    if path not in groups or missing:
        raise StorageError(
            came=f"a file in which {path!r} lacks {missing or 'everything'}",
            expected="a whole neurocodec result",
            hint="copy the file again, or run again what wrote it",
        )
    data, coords = (
        {name: _decode_variable(found.variables[name]) for name in names[part]}
        for part in ("data", "coords")
    )
    node = xr.Dataset(data, coords, from_native(found.attrs))
    node.set_close(found.close)
    return node


def _decode_variable(stored: xr.Variable) -> xr.Variable:
    variable = stored.to_base_variable()
    if DTYPE in stored.attrs:
        dtype = np.dtype(stored.attrs[DTYPE])
        variable = xr.Variable(stored.dims, _restored(np.asarray(stored.values), dtype))
    variable.attrs = from_native(stored.attrs)
    variable.encoding = {}
    return variable


def _restored(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind in "mM":
        return values.view(dtype.newbyteorder("=")).astype(dtype)
    return values.astype(dtype)
