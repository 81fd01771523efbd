"""How much of a field's change over time the active modes explain."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.field_regression import (
    explained_variances,
    normalised_gram,
    separable_gram,
)
from neurocodec.rows.matrix import require_loadings

Matrix = NDArray[np.float64]
Regressor = Literal["active", "loading"]

_MARGIN: Final = 0.05
"""Shifts of less than this part of the times leave loadings nearly where they were."""


def field_variance(
    fields: xr.Dataset | xr.DataArray,
    loadings: xr.DataArray,
    *,
    regressor: Regressor = "active",
    threshold: float = 0.0,
    normalise: bool = False,
    ridge: float = 1.0,
    folds: int = 5,
    shuffles: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Explain how a cell's field changes over time by the modes that are active.

    Ridge regression of the field on the modes, cross-validated over blocks of time:
    `neurocodec.kernels.field_regression.explained_variance`. Only inner products of fields are
    needed, which come from the separable components; no field is built. The control shifts the
    loadings in a circle over the times of the fields, by 5 % to 95 % of them, which keeps how
    modes go together and how long they last, and breaks what they have to do with the field. No
    shift is taken twice: of few times there are fewer shifts, and no small p-value.

    Parameters
    ----------
    fields
        Of `nc.receptive_fields` with a rank: `temporal` (time, cell, component, lag) and
        `spatial` (time, cell, component, y, x); or `irf` (time, cell, lag, y, x). Maps may be in
        colours (color, y, x).
    loadings
        (time, mode) at the times of the fields, at least.
    regressor
        "active": 1 where a mode is active, else 0; "loading": the loading.
    threshold
        A mode is active where its loading is above.
    normalise
        Whether to scale every field to norm 1, so that only its shape counts and not how
        excitable the cell is.
    ridge
        Penalty in units of the mean sum of squares of a regressor; for a few hundred times, where
        modes overlap, a tenth of the default lets the regression follow noise.
    folds
        Blocks of time that are held out one after another.
    shuffles
        Circular shifts, at most; about nine for ten times of the fields exist.
    seed
        Of the shifts.

    Returns
    -------
    xarray.Dataset
        `explained` (cell), cross-validated R2, about or below 0 where modes say nothing;
        `shuffled` (cell, shuffle), the same of shifted loadings; `p_value` (cell) = (1 + shifts
        that explain at least as much) / (1 + shifts). NaN where the field never changes.

    Raises
    ------
    InputError
        Where a time of the fields has no loading, there are fewer than 4 times per fold, or an
        option is out of its range.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> on = (random.random((60, 2)) < 0.5).astype(float)
    >>> field = np.einsum("tm,mly->tly", on, random.normal(size=(2, 3, 4)))
    >>> fields = xr.DataArray(field[:, None, :, :, None], dims=("time", "cell", "lag", "y", "x"))
    >>> found = field_variance(fields, xr.DataArray(on, dims=("time", "mode")), ridge=0.0)
    >>> round(float(found.explained[0]), 6), bool(found.p_value[0] < 0.05)
    (1.0, True)
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    _require_options(regressor, ridge, folds, shuffles)
    temporal, spatial = _components(fields)
    regressors = _regressors(loadings, spatial, regressor, threshold)
    _require_times(len(regressors), folds)
    shifts = _shifts(len(regressors), shuffles, seed)
    grams = np.stack([_gram(temporal, spatial, i) for i in range(spatial.sizes[v.CELL])])
    if normalise:
        grams = np.stack([normalised_gram(gram) for gram in grams])
    moved = np.stack([np.roll(regressors, shift, axis=0) for shift in (0, *shifts)])
    rows = explained_variances(grams, moved, ridge, folds)
    result = _labelled(rows, spatial)
    facts = {"regressor": regressor, "threshold": threshold, "normalise": normalise}
    facts |= {"ridge": ridge, "folds": folds, "shuffles": len(shifts), "seed": seed}
    return labels.stamp(result, "nc.field_variance", **facts)


def _in_order(part: xr.DataArray) -> xr.DataArray:
    """Sorted by time: blocks of neighbours are held out together."""
    return part.sortby(v.TIME) if v.TIME in part.coords else part


def _labelled(r2: Matrix, spatial: xr.DataArray) -> xr.Dataset:
    """First column: the fields as they are; others: shifted."""
    coords = {str(k): c.variable for k, c in spatial.coords.items() if c.dims == (v.CELL,)}
    labels.require_free_names(coords, ("explained", "shuffled", "p_value", "shuffle"), "the cells")
    observed, shifted = r2[:, 0], r2[:, 1:]
    above = (shifted >= observed[:, None]).sum(axis=1)
    p_value = np.where(np.isnan(observed), np.nan, (1 + above) / (1 + shifted.shape[1]))
    cell = (v.CELL,)
    return xr.Dataset(
        {
            "explained": labels.labelled(observed, cell, coords, name="explained"),
            "shuffled": labels.labelled(shifted, (*cell, "shuffle"), name="shuffled"),
            "p_value": labels.labelled(p_value, cell, name="p_value"),
        }
    )


def _components(
    fields: xr.Dataset | xr.DataArray,
) -> tuple[xr.DataArray | None, xr.DataArray]:
    """Temporal and spatial parts; of whole fields none, and the fields as one component."""
    if isinstance(fields, xr.Dataset) and {"temporal", "spatial"} <= set(fields.data_vars):
        parts = (v.TIME, v.CELL, v.COMPONENT)
        temporal = labels.require_dims(fields["temporal"], (*parts, v.LAG), "temporal components")
        maps = (*parts, *_space(fields["spatial"]))
        spatial = labels.require_dims(fields["spatial"], maps, "spatial components")
        labels.require_finite(temporal, "temporal components")
        labels.require_finite(spatial, "spatial components")
        return _in_order(temporal), _in_order(spatial)
    whole = fields.get("irf") if isinstance(fields, xr.Dataset) else fields
    if whole is None:
        raise InputError(
            came=f"fields with the variables {[*map(str, fields)]}",
            expected="'temporal' and 'spatial', or 'irf'",
            hint="nc.receptive_fields(net, movie, times=..., rank=2)",
        )
    whole = labels.require_dims(whole, (v.TIME, v.CELL, v.LAG, *_space(whole)), "fields")
    labels.require_finite(whole, "fields")
    return None, _in_order(whole)


def _space(fields: xr.DataArray) -> tuple[str, ...]:
    """Dims of a map, with colours where the fields have some."""
    return (v.COLOR, v.Y, v.X) if v.COLOR in getattr(fields, "dims", ()) else (v.Y, v.X)


def _gram(temporal: xr.DataArray | None, spatial: xr.DataArray, cell: int) -> Matrix:
    space = np.asarray(spatial.isel({v.CELL: cell}).values, dtype=np.float64)
    if temporal is None:
        rows = space.reshape(len(space), -1)
        return np.asarray(rows @ rows.T)
    course = np.asarray(temporal.isel({v.CELL: cell}).values, dtype=np.float64)
    return separable_gram(course, space.reshape(*space.shape[:2], -1))


def _regressors(
    loadings: xr.DataArray, fields: xr.DataArray, regressor: Regressor, threshold: float
) -> Matrix:
    values, loadings = require_loadings(loadings)
    rows = _rows_at(loadings, fields)
    chosen = values[rows]
    return chosen if regressor == "loading" else (chosen > threshold).astype(np.float64)


def _rows_at(loadings: xr.DataArray, fields: xr.DataArray) -> NDArray[np.intp]:
    """Rows of the loadings at the times of the fields, all of which must be there."""
    if v.TIME not in loadings.coords or v.TIME not in fields.coords:
        labels.require_same(loadings, fields, v.TIME, "loadings and fields")
        return np.arange(fields.sizes[v.TIME])
    rows = loadings.get_index(v.TIME).get_indexer(fields.get_index(v.TIME))
    if (rows < 0).any():
        missing = fields[v.TIME].values[rows < 0]
        raise InputError(
            came=f"fields at {len(missing)} times without loadings, the first at {missing[0]:g} s",
            expected="loadings at all times of the fields",
            hint="nc.receptive_fields(..., times=loadings.time)",
        )
    return np.asarray(rows)


def _shifts(size: int, shuffles: int, seed: int) -> list[int]:
    """Different shifts: the same one drawn again would be no further draw of chance."""
    margin = max(1, round(_MARGIN * size))
    random = np.random.default_rng(seed)
    drawn: list[int] = random.permutation(np.arange(margin, size - margin + 1))[:shuffles].tolist()
    return drawn


def _require_options(regressor: str, ridge: float, folds: int, shuffles: int) -> None:
    if regressor not in ("active", "loading"):
        raise InputError(came=f"regressor={regressor!r}", expected="'active' or 'loading'")
    if not ridge >= 0 or folds < 2 or shuffles < 0:
        raise InputError(
            came=f"ridge={ridge}, folds={folds}, shuffles={shuffles}",
            expected="a ridge of at least 0, at least 2 folds, and shuffles of at least 0",
        )


def _require_times(size: int, folds: int) -> None:
    if size < 4 * folds:
        raise InputError(
            came=f"fields at {size} times for {folds} folds",
            expected=f"at least {4 * folds} times",
            hint="nc.receptive_fields(net, movie, times=None, rank=2)",
        )
