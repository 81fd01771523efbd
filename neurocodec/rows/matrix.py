"""Rows of contributions as a matrix, and back: what a decomposition takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name

Contributions: TypeAlias = xr.DataArray | xr.Dataset | xr.DataTree


NET: Final = "net"
BOTH: Final = "both"
PARTS: Final = (NET, *v.SIGNS, BOTH)
"""What is taken of contributions: their sum over signs, one sign, or the two side by side."""


def select_rows(data: Contributions, sign: str, start: int = 0) -> xr.DataArray:
    """Finite rows (samples, channel) of one sign or the net; (samples, sign, channel) of both."""
    array = contribution_of(data)
    dim = labels.sample_dim(array)
    if v.SIGN not in array.dims:
        rows = labels.require_dims(array, (dim, v.CHANNEL), "rows")
    else:
        parts = labels.require_dims(array, (dim, v.SIGN, v.CHANNEL), "contributions")
        rows = of_sign(parts, sign)
    labels.require_finite(rows, "rows", start)  # `start` of the block that the data are
    return rows


def contribution_of(data: Contributions) -> xr.DataArray:
    """Return an array as it is, and of a layer its `contribution`."""
    if isinstance(data, xr.DataArray):
        return data
    if not isinstance(data, xr.Dataset | xr.DataTree):
        raise InputError(
            came=f"rows of type {type(data).__name__}",
            expected="a layer of a contribution tree or an xarray.DataArray",
            hint="xr.DataArray(values, dims=('time', 'channel'))",
        )
    if "contribution" in data.data_vars:
        return data.data_vars["contribution"]
    layers = list(data.children) if isinstance(data, xr.DataTree) else []
    raise InputError(
        came=f"a {type(data).__name__} with variables {[*map(str, data.data_vars)]}",
        expected="one with the variable 'contribution'",
        hint=" or ".join(f"tree[{layer!r}]" for layer in layers) or "data['activation']",
    )


def of_sign(parts: xr.DataArray, sign: str) -> xr.DataArray:
    """Part of contributions, one of `PARTS`; NaN stays, and one sign stays as a coordinate."""
    if sign == NET:
        return parts.sum(v.SIGN, skipna=False, keep_attrs=True)
    if v.SIGN not in parts.coords:
        raise InputError(
            came="contributions whose dim 'sign' has no labels",
            expected=f"a coordinate 'sign' of {v.SIGNS}",
            hint=f"data.assign_coords(sign={list(v.SIGNS)})",
        )
    wanted = list(v.SIGNS) if sign == BOTH else [sign]
    for name in wanted:
        if name not in parts[v.SIGN].values:
            raise unknown_name("sign", name, parts[v.SIGN].values.tolist())
    return parts.sel({v.SIGN: wanted if sign == BOTH else sign})


def polarity(rows: xr.DataArray) -> NDArray[np.float32]:
    """Sign that turns each feature positive, in the order of `matrix`: -1 for inhibitory ones."""
    shape = rows.shape[1:]
    if v.SIGN not in rows.coords:
        return np.ones(int(np.prod(shape)), dtype=np.float32)
    negative = np.atleast_1d(rows[v.SIGN].values == v.INHIBITORY)
    signs = np.where(negative, -1.0, 1.0).astype(np.float32)
    return np.broadcast_to(signs[:, None], (len(signs), rows.sizes[v.CHANNEL])).ravel()


def matrix(rows: xr.DataArray) -> NDArray[Any]:
    """Rows by features, with the inhibitory part turned positive."""
    return np.asarray(rows.values).reshape(rows.shape[0], -1) * polarity(rows)


def coords_along(data: xr.DataArray, dims: tuple[str, ...]) -> Mapping[str, xr.Variable]:
    """Coordinates of `data` that lie along `dims` and no other dims; scalars are kept."""
    return {str(k): c.variable for k, c in data.coords.items() if set(c.dims) <= set(dims)}


def coords_of(data: xr.DataArray, dim: str) -> dict[str, xr.Variable]:
    """Coordinates along one dim and no other; no scalars."""
    return {str(k): c.variable for k, c in data.coords.items() if c.dims == (dim,)}


def require_loadings(loadings: xr.DataArray) -> tuple[NDArray[np.float64], xr.DataArray]:
    """Values of finite loadings (samples, mode), and the loadings with their dims in that order."""
    dim = labels.sample_dim(loadings)
    ordered = labels.require_dims(loadings, (dim, v.MODE), "loadings")
    labels.require_finite(ordered, "loadings")
    return np.asarray(ordered.values, dtype=np.float64), ordered


def require_same_features(rows: xr.DataArray, dictionary: xr.DataArray) -> None:
    """Refuse rows whose features are not those of the dictionary, and name the difference."""
    labels.require_dims(rows, (labels.sample_dim(rows), *map(str, dictionary.dims[1:])), "rows")
    _require_same_sign(rows, dictionary)
    here, there = (
        a[v.CHANNEL].values.tolist() if v.CHANNEL in a.coords else list(range(a.sizes[v.CHANNEL]))
        for a in (rows, dictionary)
    )
    if here == there:
        return
    raise InputError(
        came="rows with other channels than the modes were fitted to: "
        + (_difference(here, there) or "the same in another order"),
        expected="the same 'channel' in the same order",
        hint="data.sel(channel=modes.dictionary.channel)",
    )


def _require_same_sign(rows: xr.DataArray, dictionary: xr.DataArray) -> None:
    """Rows of another sign than the modes', or negative ones that do not say so, are refused."""
    here, there = (
        str(a[v.SIGN].values) if v.SIGN in a.coords and not a[v.SIGN].ndim else "none"
        for a in (rows, dictionary)
    )
    if here != there and (here != "none" or there == v.INHIBITORY):
        raise InputError(
            came=f"rows with the sign {here}, for modes that were fitted to {there}",
            expected="the same coordinate 'sign'",
            hint="modes.transform(tree['layer']), which has both signs",
        )


def _difference(here: list[Any], there: list[Any]) -> str:
    missing = [str(c) for c in there if c not in set(here)]
    extra = [str(c) for c in here if c not in set(there)]
    found = [("missing", missing), ("not fitted", extra)]
    return ", ".join(f"{what} {' '.join(names[:10])}" for what, names in found if names)


def require_channel_order(weights: xr.DataArray, what: str) -> None:
    """Refuse channels in another order than the layer has them, as weights go by place."""
    if v.CHANNEL not in weights.coords:
        return
    known = weights[v.CHANNEL].values
    if not np.array_equal(known, np.arange(known.size)):
        raise InputError(
            came=f"{what}= weights of the channels {known.tolist()[:10]}",
            expected="all channels of the layer in their order, from 0",
            hint="weights.sortby('channel'), or weights.reindex(channel=range(n), fill_value=0)",
        )
