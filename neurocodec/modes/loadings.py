"""Loadings, dictionary and history of a fit as labelled arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.rows import matrix as row


def loadings(
    values: NDArray[Any], dim: str, coords: Mapping[str, xr.Variable] | None = None
) -> xr.DataArray:
    """Label loadings.

    Parameters
    ----------
    values
        (samples, modes).
    dim
        Dim of the samples.
    coords
        Of the samples.

    Returns
    -------
    xarray.DataArray
        `loading` (samples, mode).

    Examples
    --------
    >>> loadings(np.zeros((4, 3)), "time").sizes["mode"]
    3
    """
    along = {v.MODE: np.arange(values.shape[1]), **(coords or {})}
    return labels.labelled(values, (dim, v.MODE), along, name="loading")


def dictionary(atoms: NDArray[Any], like: xr.DataArray, scale: float) -> xr.DataArray:
    """Label modes by channels, in the units and with the sign of the data.

    Parameters
    ----------
    atoms
        (modes, features), of rows divided by `scale` with the inhibitory part turned positive.
    like
        Rows that give labels, units and sign.
    scale
        What the rows were divided by.

    Returns
    -------
    xarray.DataArray
        `dictionary` (mode, channel), or (mode, sign, channel); attribute `variable` names what
        was decomposed, "" where that is no variable of the vocabulary.

    Examples
    --------
    >>> like = xr.DataArray([[1.0, 0.0]], dims=("time", "channel"))
    >>> dictionary(np.eye(2), like, 3.0).values.tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """
    return _features(atoms, like, scale, name="dictionary")


def offset(values: NDArray[Any], like: xr.DataArray, scale: float) -> xr.DataArray:
    """Label what is added to loadings times dictionary.

    Parameters
    ----------
    values
        (features,), of scaled rows as in `dictionary`.
    like, scale
        As in `dictionary`.

    Returns
    -------
    xarray.DataArray
        `offset` (channel), or (sign, channel).

    Examples
    --------
    >>> offset(np.ones(2), xr.DataArray([[1.0, 0.0]], dims=("time", "channel")), 3.0).values
    array([3., 3.], dtype=float32)
    """
    return _features(values[None], like, scale, name="offset").isel({v.MODE: 0}, drop=True)


def _features(values: NDArray[Any], like: xr.DataArray, scale: float, *, name: str) -> xr.DataArray:
    made = values.astype(np.float32) * np.float32(scale) * row.polarity(like)
    made = made + np.float32(0.0)  # -0.0 of the inhibitory part becomes 0.0
    features = tuple(map(str, like.dims[1:]))
    return labels.labelled(
        made.reshape(len(made), *like.shape[1:]),
        (v.MODE, *features),
        {v.MODE: np.arange(len(made)), **row.coords_along(like, features)},
        name=name,
        units=str(like.attrs.get("units", "")),
        variable=like.name if like.name in v.VARIABLES else "",
    )


def history(epochs: Sequence[Any]) -> xr.Dataset:
    """Label how a fit went, over `epoch`.

    Parameters
    ----------
    epochs
        One `neurocodec.nn.sparse.loop.Epoch` per epoch.

    Examples
    --------
    >>> from neurocodec.nn.sparse.loop import Epoch
    >>> history([Epoch(1.0, 1.1, 0.5, 0.4, 3.0, 1.0)]).r2.values.tolist()
    [0.4]
    """
    coords = {"epoch": np.arange(1, len(epochs) + 1)}
    names = [f.name for f in dataclasses.fields(epochs[0])] if epochs else []
    return xr.Dataset(
        {
            name: labels.labelled([getattr(e, name) for e in epochs], ("epoch",), coords, name=name)
            for name in names
        }
    )
