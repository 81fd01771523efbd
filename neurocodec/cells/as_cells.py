"""Channels of a network as a population of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows.matrix import NET, coords_of, of_sign

_MISSING = {"i": -1, "u": -1, "f": np.nan, "U": ""}
"""What a coordinate holds for cells of a layer that has no such coordinate, by kind of dtype."""


def as_cells(
    tree: xr.DataTree,
    variable: str = "activation",
    sign: Literal["excitatory", "inhibitory", "net"] = "net",
    layers: Sequence[str] | None = None,
) -> xr.DataArray:
    """Lay the channels of several layers, and their positions, along one dim `cell`.

    The result has the shape of a recording, so that model cells and recorded ones go through the
    same functions.

    Parameters
    ----------
    tree
        A tree with one node per layer, such as `nc.contributions` returns.
    variable
        "activation", "contribution" or any other variable (samples, channel, ...).
    sign
        Where the variable has a dim `sign`: the part to take, or "net" for the sum.
    layers
        Names of nodes; all that have the variable where None.

    Returns
    -------
    xarray.DataArray
        `variable` (samples, cell). `cell` reads "layer/channel" or "layer/channel/y/x"; coords
        `layer`, `channel`, and `y` and `x` (-1 where a layer has none) or `cell_type` ("" where
        a layer has none) where any layer has them.

    Raises
    ------
    InputError
        Where a layer or the variable does not exist, or layers have other samples.

    Examples
    --------
    >>> layer = xr.Dataset({"activation": (("time", "channel"), [[1.0, 2.0]])})
    >>> cells = as_cells(xr.DataTree.from_dict({"/conv1": layer, "/conv2": layer}))
    >>> cells.cell.values.tolist(), cells.values.tolist()
    (['conv1/0', 'conv1/1', 'conv2/0', 'conv2/1'], [[1.0, 2.0, 1.0, 2.0]])
    """
    arguments.one_of("sign", sign, (*v.SIGNS, NET))
    names = _layers(tree, variable, layers)
    arrays = [_positions_last(tree.children[name].data_vars[variable], sign) for name in names]
    dim = str(arrays[0].dims[0])
    for name, array in zip(names, arrays, strict=True):
        labels.require_same(arrays[0], array, dim, f"layers {names[0]!r} and {name!r}")
    tables = [_table(name, array) for name, array in zip(names, arrays, strict=True)]
    values = np.concatenate([array.values.reshape(len(array), -1) for array in arrays], axis=1)
    coords: dict[str, Any] = {
        v.CELL: np.concatenate([_cell_names(table) for table in tables]),
        **{k: (v.CELL, c) for k, c in _joined(tables).items()},
    }
    of_samples = coords_of(arrays[0], dim)
    labels.require_free_names(of_samples, coords, "the samples")
    coords |= of_samples
    units = str(arrays[0].attrs.get("units", ""))
    cells = labels.labelled(values, (dim, v.CELL), coords, name=variable, units=units)
    return labels.stamp(cells, "nc.as_cells", sign=sign, layers=names, tree=labels.provenance(tree))


def _layers(tree: xr.DataTree, variable: str, layers: Sequence[str] | None) -> list[str]:
    if not isinstance(tree, xr.DataTree):
        raise InputError(
            came=f"layers of type {type(tree).__name__}",
            expected="an xarray.DataTree with one node per layer",
            hint="nc.contributions(...)",
        )
    having = [name for name, node in tree.children.items() if variable in node.data_vars]
    if not having:
        known = {str(k) for node in tree.children.values() for k in node.data_vars}
        raise unknown_name("variable of a layer", variable, sorted(known))
    asked = arguments.several("layers", layers or (), "names", hint=f"layers={having[:1]}")
    for name in asked:
        if name not in having:
            raise unknown_name(f"layer with {variable!r}", name, having)
    return asked or having


def _positions_last(array: xr.DataArray, sign: str) -> xr.DataArray:
    """Samples first, then channels, then positions; one sign, or their sum."""
    array = of_sign(array, sign) if v.SIGN in array.dims else array
    return array.transpose(labels.sample_dim(array), v.CHANNEL, ...)


def _table(layer: str, array: xr.DataArray) -> dict[str, NDArray[Any]]:
    """Coordinates of the cells of a layer, in the order of the flattened array."""
    dims = tuple(map(str, array.dims[1:]))
    grid = np.indices(array.shape[1:]).reshape(len(dims), -1)
    places = {
        dim: array[dim].values[at] if dim in array.coords else at
        for dim, at in zip(dims, grid, strict=True)
    }
    types = {}
    if "cell_type" in array.coords and array["cell_type"].dims == (v.CHANNEL,):
        types = {"cell_type": array["cell_type"].values.astype(str)[grid[0]]}
    return {v.LAYER: np.full(grid.shape[1], layer), **places, **types}


def _cell_names(table: dict[str, NDArray[Any]]) -> NDArray[np.str_]:
    parts = [values for name, values in table.items() if name != "cell_type"]
    return np.array(["/".join(map(str, place)) for place in zip(*parts, strict=True)], dtype=str)


def _joined(tables: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Coordinates of all layers one after the other, with a filler where a layer has none."""
    kinds = {name: values.dtype.kind for table in tables for name, values in table.items()}
    return {
        name: np.concatenate(
            [
                table.get(name, np.full(len(table[v.LAYER]), _MISSING.get(kind, -1)))
                for table in tables
            ]
        )
        for name, kind in kinds.items()
    }
