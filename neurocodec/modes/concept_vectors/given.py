"""Rows and maps as they are given: of `nc.point_vectors`, of a layer, of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows.blocks import Data

POINTS: Final = (v.VECTOR, v.CHANNEL)


@contextmanager
def given(data: Data, layer: str | None = None) -> Iterator[tuple[xr.DataArray, dict[str, Any]]]:
    """The array of a layer's vectors, in memory or in a file, and where it is from."""
    if not isinstance(data, str | PathLike):
        yield _array_of(data, layer)
        return
    found = storage.open(data, lazy=True)
    try:
        yield _array_of(found, layer)
    finally:
        if isinstance(found, xr.DataArray | xr.Dataset | xr.DataTree):
            found.close()


def _array_of(data: Any, layer: str | None) -> tuple[xr.DataArray, dict[str, Any]]:
    array, origin = _found(data, layer)
    if origin.get("reduce") == "channel":
        raise InputError(
            came="activations that are summed over positions",
            expected="those of each position",
            hint="nc.contributions(..., reduce='none')",
        )
    return array, origin


def _found(data: Any, layer: str | None) -> tuple[xr.DataArray, dict[str, Any]]:
    if isinstance(data, xr.DataTree) and v.ACTIVATION not in data.data_vars:
        data = _layer_of(data, layer)
    elif layer is not None and getattr(data, "name", None) != layer:
        known = labels.provenance(data).get("layer") if hasattr(data, "attrs") else None
        if known != layer:
            raise InputError(
                came=f"layer={layer!r} with the vectors of a single layer",
                expected="a tree of layers, or no layer",
                hint="leave out layer=",
            )
    named = {}
    if isinstance(data, xr.DataTree) and data.parent is not None:
        named = {"layer": data.name}
    if isinstance(data, xr.DataTree | xr.Dataset):
        origin = labels.provenance(data.root if isinstance(data, xr.DataTree) else data)
        if v.ACTIVATION not in data.data_vars:
            raise InputError(
                came=f"a {type(data).__name__} with the variables {[*map(str, data.data_vars)]}",
                expected=f"one with the variable {v.ACTIVATION!r}",
                hint="nc.point_vectors(net, images, 'layer3.1')",
            )
        array = data.data_vars[v.ACTIVATION]
        return array, {**origin, **labels.provenance(array), **named}
    if not isinstance(data, xr.DataArray):
        raise InputError(
            came=f"vectors of type {type(data).__name__}",
            expected="an xarray.DataArray with the dim 'channel'",
            hint="xr.DataArray(values, dims=('vector', 'channel'))",
        )
    return data, labels.provenance(data)


def _layer_of(tree: xr.DataTree, layer: str | None) -> xr.DataTree:
    names = [*map(str, tree.children)]
    if layer is None and len(names) == 1:
        return tree.children[names[0]]
    if layer is None:
        raise InputError(
            came=f"a tree of the layers {names}",
            expected="one layer: vectors of two layers have no channels in common",
            hint=f"rows[{names[0]!r}]" if names else "nc.point_vectors(net, images, 'layer')",
        )
    if layer not in names:
        raise unknown_name("layer", layer, names)
    return tree.children[layer]


def require_points(array: xr.DataArray) -> xr.DataArray:
    """Rows (vector, channel) of real numbers; the messages say how to come to them."""
    require_real(array)
    if {*array.dims} != {*POINTS}:
        maps = v.CHANNEL in array.dims and array.ndim > 2
        raise InputError(
            came=f"vectors with dims {tuple(map(str, array.dims))} and shape {array.shape}",
            expected="dims ('vector', 'channel')",
            hint="nc.point_vectors(net, images, 'layer3.1'), which draws them of maps"
            if maps
            else "rows.rename(old_name='vector')",
        )
    return array.transpose(*POINTS)


def require_real(array: xr.DataArray) -> None:
    """Refuse what are no real numbers."""
    if array.dtype.kind not in "biuf":
        raise InputError(
            came=f"vectors of dtype {array.dtype}",
            expected="real numbers",
            hint="abs(rows) or rows.real" if array.dtype.kind == "c" else "rows.astype(float)",
        )


def samples_of(rows: xr.DataArray) -> tuple[Any, bool]:
    """Number of the sample of each vector, its own where they do not say; and if of a movie."""
    for name in v.SAMPLE_DIMS:
        if name in rows.coords and rows[name].dims == (v.VECTOR,):
            return np.unique(rows[name].values, return_inverse=True)[1], name == v.TIME
    return np.arange(len(rows)), False
