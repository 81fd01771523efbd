"""Loadings, dictionary, scores and history of a fitted autoencoder as labelled arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import labels
from neurocodec import rows as row
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels import scores
from neurocodec.nn.sae import SparseAutoencoder
from neurocodec.nn.sae_training import Epoch

_CHUNK: Final = 8192
"""Rows that are encoded at a time."""


def global_scale(matrix: NDArray[Any]) -> float:
    """One standard deviation over all entries, by which every row is divided.

    Parameters
    ----------
    matrix
        Rows by features.

    Raises
    ------
    InputError
        Where there are fewer than two rows, or all entries are the same.

    Examples
    --------
    >>> global_scale(np.array([[0.0], [2.0]]))
    1.0
    """
    if len(matrix) < 2 or not matrix.size:
        raise InputError(
            came=f"{len(matrix)} rows of {matrix.shape[1]} channels to fit",
            expected="at least 2 rows and 1 channel, besides the rows held out",
        )
    scale = float(np.std(matrix, dtype=np.float64))
    if scale == 0 or np.ptp(matrix) == 0:
        raise InputError(
            came=f"rows that are all {matrix.flat[0]:.3g}",
            expected="rows that vary",
            hint="another layer, sign or target; contributions of a silent network are all zero",
        )
    return scale


def scaled_tensor(matrix: NDArray[Any], scale: float) -> Tensor:
    """Divide rows by the scale, as a float32 tensor on the CPU.

    Parameters
    ----------
    matrix
        Rows by features.
    scale
        As `global_scale` returns it.

    Examples
    --------
    >>> scaled_tensor(np.array([[2.0, 4.0]]), 2.0).tolist()
    [[1.0, 2.0]]
    """
    return torch.from_numpy(np.ascontiguousarray(matrix / scale, dtype=np.float32))


@torch.no_grad()
def encode(model: SparseAutoencoder, rows: xr.DataArray, scale: float) -> xr.DataArray:
    """Loadings of rows.

    Parameters
    ----------
    model
        On the CPU.
    rows
        As `neurocodec.rows.select_rows` returns them.
    scale
        What the rows are divided by.

    Returns
    -------
    xarray.DataArray
        `loading` (samples, mode), with the coordinates of the samples.

    Examples
    --------
    >>> from neurocodec.nn.sae import SparseConfig
    >>> model = SparseAutoencoder(2, 3, SparseConfig(), torch.Generator().manual_seed(0))
    >>> encode(model, xr.DataArray([[1.0, 0.0]], dims=("time", "channel")), 1.0).sizes["mode"]
    3
    """
    dim = str(rows.dims[0])
    tensor = scaled_tensor(row.matrix(rows), scale)
    values = torch.cat([model.encode(part) for part in torch.split(tensor, _CHUNK)]).numpy()
    coords = {v.MODE: np.arange(values.shape[1]), **row.coords_along(rows, (dim,))}
    return labels.labelled(values, (dim, v.MODE), coords, name="loading")


def dictionary(model: SparseAutoencoder, rows: xr.DataArray, scale: float) -> xr.DataArray:
    """Modes by channels, in the units and with the sign of the data.

    Parameters
    ----------
    model
        On the CPU.
    rows
        The rows fitted, which give labels, units and sign.
    scale
        What the rows were divided by.

    Returns
    -------
    xarray.DataArray
        `dictionary` (mode, channel), or (mode, sign, channel); attribute `variable` names what
        was decomposed.

    Examples
    --------
    >>> from neurocodec.nn.sae import SparseConfig
    >>> model = SparseAutoencoder(2, 3, SparseConfig(), torch.Generator().manual_seed(0))
    >>> dictionary(model, xr.DataArray([[1.0, 0.0]], dims=("time", "channel")), 1.0).dims
    ('mode', 'channel')
    """
    atoms = model.dictionary.detach().numpy() * np.float32(scale) * row.polarity(rows)
    atoms = atoms + np.float32(0.0)  # -0.0 of the inhibitory part becomes 0.0
    features = tuple(map(str, rows.dims[1:]))
    coords = {v.MODE: np.arange(len(atoms)), **row.coords_along(rows, features)}
    return labels.labelled(
        atoms.reshape(len(atoms), *rows.shape[1:]),
        (v.MODE, *features),
        coords,
        name="dictionary",
        units=str(rows.attrs.get("units", "")),
        variable=rows.name if rows.name in v.VARIABLES else "contribution",
    )


def fit_result(
    model: SparseAutoencoder, rows: xr.DataArray, scale: float, held: NDArray[np.bool_]
) -> xr.Dataset:
    """Dictionary, loadings and scores of a fit.

    Parameters
    ----------
    model
        On the CPU.
    rows
        The rows fitted and held out.
    scale
        What the rows were divided by.
    held
        True where a row was held out.

    Returns
    -------
    xarray.Dataset
        `dictionary`, `loading` (with coord `held_out`), and the scalars `r2` and `r2_pooled` on
        held-out rows (NaN where there are none), `r2_train`, `l0`, `alive`.

    Examples
    --------
    >>> from neurocodec.nn.sae import SparseConfig
    >>> model = SparseAutoencoder(2, 3, SparseConfig(), torch.Generator().manual_seed(0))
    >>> rows = xr.DataArray([[1.0, 0.0], [0.0, 1.0]], dims=("time", "channel"))
    >>> float(fit_result(model, rows, 1.0, np.array([False, True])).alive)
    0.0
    """
    loadings = encode(model, rows, scale)
    modes = dictionary(model, rows, scale)
    x = np.asarray(rows.values).reshape(len(rows), -1)
    made = loadings.values @ modes.values.reshape(len(modes), -1)
    active = loadings.values > 0
    nothing = not held.any()
    found = {
        "r2": float("nan") if nothing else scores.r2(x[held], made[held]),
        "r2_pooled": float("nan") if nothing else scores.r2_pooled(x[held], made[held]),
        "r2_train": scores.r2(x[~held], made[~held]),
        "l0": float(active.sum(axis=1).mean()),
        "alive": float(active.any(axis=0).mean()),
    }
    scalars = {name: labels.labelled(value, (), name=name) for name, value in found.items()}
    marked = loadings.assign_coords(held_out=(rows.dims[0], held))
    return xr.Dataset({"dictionary": modes, "loading": marked, **scalars})


def history(epochs: Sequence[Epoch]) -> xr.Dataset:
    """How a fit went, over `epoch`, with the coordinate `phase`.

    Parameters
    ----------
    epochs
        One entry per epoch.

    Examples
    --------
    >>> history([Epoch("dictionary", 1.0, 0.5, 0.4, 3.0, 1.0)]).r2.values.tolist()
    [0.4]
    """
    names = [f.name for f in dataclasses.fields(Epoch) if f.name != "phase"]
    coords = {
        "epoch": np.arange(1, len(epochs) + 1),
        "phase": ("epoch", np.array([e.phase for e in epochs], dtype=str)),
    }
    return xr.Dataset(
        {
            name: labels.labelled([getattr(e, name) for e in epochs], ("epoch",), coords, name=name)
            for name in names
        }
    )
