"""Cells, recorded or modelled: how they go with modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurocodec import labels
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels import correlation

Transform = Literal["sqrt", "rank"]
Columns = NDArray[np.float64]

_TRANSFORMS: Final[Mapping[Transform | None, Callable[[Columns], Columns]]] = {
    None: lambda values: values,
    "sqrt": lambda values: np.sign(values) * np.sqrt(np.abs(values)),
    "rank": lambda values: rankdata(values, axis=0, nan_policy="propagate"),
}


def correlate(
    a: xr.DataArray,
    b: xr.DataArray,
    dim: str | None = None,
    *,
    transform: Transform | None = None,
) -> xr.DataArray:
    """Pearson correlation of every column of `a` with every column of `b`.

    Loadings (time, mode) with firing rates (time, cell) give (mode, cell); loadings (stimulus,
    mode) with class masks (stimulus, category) give (mode, category).

    Loadings and rates are zero most of the time and large for moments, so that a few events make
    most of a Pearson correlation. The square root (of the size, keeping the sign), which evens
    out the variance of counts, or ranks (Spearman's correlation) let all events have a say.

    Parameters
    ----------
    a, b
        Labelled arrays with the same samples; their other dims must differ.
    dim
        Dimension of the samples; `time` or `stimulus`, whichever there is, where None.
    transform
        None, "sqrt" or "rank", of both before they are correlated.

    Returns
    -------
    xarray.DataArray
        `correlation` with the other dims of `a`, then of `b`, and their coordinates; NaN where a
        column is constant or holds a NaN.

    Raises
    ------
    InputError
        Where the samples differ (nothing is joined), another dim is in both, or there is no such
        transform.

    Examples
    --------
    >>> loadings = xr.DataArray([[0.0], [1.0], [2.0]], dims=("time", "mode"))
    >>> rates = xr.DataArray([[5.0, 1.0], [6.0, 0.0], [7.0, -1.0]], dims=("time", "cell"))
    >>> correlate(loadings, rates).round(3).values.tolist()
    [[1.0, -1.0]]
    """
    if transform not in _TRANSFORMS:
        raise unknown_name("transform", transform, [k for k in _TRANSFORMS if k])
    dim = dim or labels.sample_dim(a)
    labels.require_same(a, b, dim, "the arrays to correlate")
    _require_disjoint(a, b, dim)
    left, right = (array.transpose(dim, ...) for array in (a, b))
    change = _TRANSFORMS[transform]
    values = correlation.correlate(change(_columns(left)), change(_columns(right)))
    dims = (*map(str, left.dims[1:]), *map(str, right.dims[1:]))
    coords = {**_other_coords(left, dim), **_other_coords(right, dim)}
    result = labels.labelled(
        values.reshape(left.shape[1:] + right.shape[1:]), dims, coords, name="correlation"
    )
    facts = {"dim": dim, "transform": transform, "samples": a.sizes[dim]}
    return labels.stamp(result, "nc.correlate", **facts)


def _require_disjoint(a: xr.DataArray, b: xr.DataArray, dim: str) -> None:
    shared = (set(a.dims) & set(b.dims)) - {dim}
    if shared:
        name = min(map(str, shared))
        raise InputError(
            came=f"two arrays that both have the dim {name!r}",
            expected=f"no shared dim but {dim!r}, because the result has all the others",
            hint=f"b.rename({name}='other_{name}')",
        )


def _columns(array: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(array.values, dtype=np.float64).reshape(array.shape[0], -1)


def _other_coords(array: xr.DataArray, dim: str) -> dict[str, xr.Variable]:
    return {str(k): c.variable for k, c in array.coords.items() if c.dims and dim not in c.dims}
