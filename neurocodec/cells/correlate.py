"""Cells, recorded or modelled: how they go with modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurocodec import labels
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels import correlation
from neurocodec.kernels.correlation import Comoments
from neurocodec.rows.lazy import dask_array, is_lazy, join, later

Transform = Literal["sqrt", "rank"]

_TRANSFORMS: Final[
    Mapping[Transform | None, Callable[[NDArray[np.float64]], NDArray[np.float64]]]
] = {
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

    Where one of the arrays is a Dask array, the result is one as well: nothing is computed yet,
    and then chunk after chunk of samples (ranks need all samples of a column at once).

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
    if is_lazy(left) or is_lazy(right):
        values = _planned(left, right, transform)
    else:
        change = _TRANSFORMS[transform]
        values = correlation.correlate(change(_columns(left)), change(_columns(right)))
    dims = (*map(str, left.dims[1:]), *map(str, right.dims[1:]))
    mine, coords = _other_coords(left, dim), _other_coords(right, dim)
    for own, others, array in ((mine, [*coords, *right.dims], "a"), (coords, left.dims, "b")):
        labels.require_free_names(own, {*map(str, others)} - {dim}, f"the array {array}")
    coords |= mine
    result = labels.labelled(
        values.reshape(left.shape[1:] + right.shape[1:]), dims, coords, name="correlation"
    )
    facts = {"dim": dim, "transform": transform, "samples": a.sizes[dim]}
    return labels.stamp(result, "nc.correlate", **facts)


def _planned(left: xr.DataArray, right: xr.DataArray, transform: Transform | None) -> Any:
    """Correlation as a plan, from sums over chunks of samples."""
    da = dask_array()
    first, second = (_chunked(da, array, whole=transform == "rank") for array in (left, right))
    second = second.rechunk({0: first.chunks[0]})
    pairs = zip(first.to_delayed().ravel(), second.to_delayed().ravel(), strict=True)
    states = [later(_comoments, transform, *pair) for pair in pairs]
    shape = first.shape[1], second.shape[1]
    return da.from_delayed(later(_pearson, join(states, Comoments.merge)), shape, float)


def _chunked(da: Any, array: xr.DataArray, *, whole: bool) -> Any:
    """Dask array (samples, columns) with all columns in each chunk, and perhaps all samples."""
    data = array.data if is_lazy(array) else da.from_array(array.values)
    chunks = dict.fromkeys(range(0 if whole else 1, data.ndim), -1)
    return data.rechunk(chunks).reshape(len(data), -1)


def _comoments(
    transform: Transform | None, a: NDArray[np.float64], b: NDArray[np.float64]
) -> Comoments:
    change = _TRANSFORMS[transform]
    return Comoments.of(change(a.astype(np.float64)), change(b.astype(np.float64)))


def _pearson(state: Comoments) -> NDArray[np.float64]:
    if state.count < 2:
        raise InputError(came=f"{state.count} samples", expected="at least 2")
    return state.correlation


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
