"""How completely contributions explain their target."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v

QUANTILES: Final = (0.5, 0.95, 1.0)
"""Of the relative completeness error: median, 95 % and worst."""


def target_change(node: xr.Dataset | xr.DataTree) -> xr.DataArray:
    """Change of the target from baseline to sample, y(x) - y(x'): what is to be explained.

    Parameters
    ----------
    node
        A layer of the tree that `nc.contributions` returns, with `completeness_error`.

    Returns
    -------
    xarray.DataArray
        `target` (sample), in the units of the target.

    Examples
    --------
    >>> parts = xr.DataArray([[1.0, 2.0]], dims=("time", "channel"))
    >>> error = xr.DataArray([1.0], dims="time")
    >>> target_change(xr.Dataset({"contribution": parts, "completeness_error": error})).item()
    2.0
    """
    parts, error = node[v.CONTRIBUTION], node[v.COMPLETENESS_ERROR]
    total = parts.astype(np.float64).sum([d for d in parts.dims if d not in error.dims])
    change = (total - error).rename(v.TARGET)
    about = "change of the target from the baseline to the sample"
    return change.assign_attrs(units=error.attrs.get("units", ""), long_name=about)


def relative_error(node: xr.Dataset | xr.DataTree) -> NDArray[np.float64]:
    """Relative completeness error of every sample whose target changes.

    |sum of contributions - (y(x) - y(x'))| / |y(x) - y(x')|

    Parameters
    ----------
    node
        A layer of the tree that `nc.contributions` returns, with `completeness_error`.

    Examples
    --------
    >>> parts = xr.DataArray([[1.0, 2.0]], dims=("time", "channel"))
    >>> error = xr.DataArray([1.0], dims="time")
    >>> relative_error(xr.Dataset({"contribution": parts, "completeness_error": error})).tolist()
    [0.5]
    """
    change = np.abs(np.asarray(target_change(node).values, dtype=np.float64))
    changes = change > 0
    error = np.abs(np.asarray(node[v.COMPLETENESS_ERROR].data, dtype=np.float64))
    return np.asarray(error[changes] / change[changes])


def completeness(tree: xr.DataTree) -> xr.DataArray:
    """Relative completeness error of every layer, in three numbers.

    Parameters
    ----------
    tree
        As `nc.contributions` returns it.

    Returns
    -------
    xarray.DataArray
        `relative_completeness_error` (layer, quantile): median, 95 % and worst; NaN where the
        target never changes. Layers without completeness error are left out (`NormGrad`
        promises none).

    Examples
    --------
    >>> parts = xr.DataArray([[1.0, 2.0]], dims=("time", "channel"))
    >>> error = xr.DataArray([1.0], dims="time")
    >>> layer = xr.Dataset({"contribution": parts, "completeness_error": error})
    >>> completeness(xr.DataTree.from_dict({"/layer1": layer})).sel(quantile=1.0).values.tolist()
    [0.5]
    """
    errors = {
        str(layer): relative_error(node)
        for layer, node in tree.children.items()
        if v.COMPLETENESS_ERROR in node
    }
    rows = [np.quantile(e if e.size else [np.nan], QUANTILES) for e in errors.values()]
    result = labels.labelled(
        np.asarray(rows, dtype=np.float64).reshape(len(rows), len(QUANTILES)),
        (v.LAYER, "quantile"),
        {v.LAYER: np.array(list(errors), dtype=str), "quantile": list(QUANTILES)},
        name="relative_completeness_error",
    )
    return labels.stamp(result, "neurocodec.completeness.completeness")
