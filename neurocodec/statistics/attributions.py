"""How well summed attributions of a layer explain their target (Tense Images fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import (
    draw_counts,
    interval,
    jackknife_interval,
    mean_intervals,
    without_stretches,
)
from neurocodec.labels import provenance, sample_dim, stamp
from neurocodec.rows.tables import layer_dataset

Columns = NDArray[np.float64]

MEASURES: Final = ("pearson", "spearman", "distance")
FEWEST: Final = 3
"""Samples that a correlation is of."""


def attribution_correlation(
    found: xr.Dataset | xr.DataTree,
    *,
    bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation over samples of E = E+ - E- with the target (Tense Images fig. 3 and 13).

    Where it is near 1, excitation and inhibition by the layer explain the target. Activation times
    gradient gets there without batch norm; with it, a layer a block earlier may say nothing.

    Parameters
    ----------
    found
        As `nc.tension` returns it, of one layer or several.
    bootstrap
        Times that samples are drawn again; 0 for no intervals. Of a movie, stretches are left out.
    confidence, seed
        Of the intervals and of the draws.

    Returns
    -------
    xarray.Dataset
        By layer, where there are several, and feature: `pearson`, `spearman` (of ranks among all
        samples) and `distance`, the mean of abs(E - target), each with its interval (bound); NaN
        where E or the target never changes.

    Raises
    ------
    InputError
        Where there is no excitation, or fewer than three samples.

    Examples
    --------
    >>> plus, minus = [[3.0], [5.0], [4.0]], [[1.0], [0.0], [1.0]]
    >>> dims = ("stimulus", "feature")
    >>> found = xr.Dataset({"excitation": (dims, plus), "inhibition": (dims, minus),
    ...                     "target": (dims, [[2.0], [6.0], [3.0]])})
    >>> attribution_correlation(found).spearman.values.round(6).tolist()
    [1.0]
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    bootstrap, confidence = arguments.interval(bootstrap, confidence)
    target, layers = _layers_of(found)
    dim = sample_dim(target)
    series, y = dim == v.TIME, _columns(target, dim)
    if len(y) < FEWEST:
        raise InputError(came=f"{len(y)} samples", expected=f"at least {FEWEST}")
    made = []
    for one in layers.values():
        e = _columns(one[v.EXCITATION] - one[v.INHIBITION], dim)
        parts = [
            _correlated(a, b, bootstrap, confidence, seed, series=series)
            for a, b in ((e, y), (rankdata(e, axis=0), rankdata(y, axis=0)))
        ]
        means = mean_intervals(abs(e - y), bootstrap, confidence, seed, series=series)
        made.append(np.stack([*parts, means[:3]]))
    result = _labelled(np.stack(made), [*layers], target)
    facts = {"bootstrap": bootstrap, "confidence": confidence, "seed": seed}
    tension = provenance(found)
    return stamp(result, "nc.statistics.attribution_correlation", **facts, tension=tension)


def _layers_of(found: Any) -> tuple[xr.DataArray, dict[str, xr.Dataset]]:
    """The target, and each layer's Dataset by name; one alone has none."""
    layers = dict[str, xr.Dataset]()
    if isinstance(found, xr.Dataset):
        layers[""] = found
    elif isinstance(found, xr.DataTree):
        nodes = {"": found, **found.children}
        layers |= {str(n): node.to_dataset() for n, node in nodes.items() if v.EXCITATION in node}
    missing = not layers or any(
        name not in one for one in layers.values() for name in (v.EXCITATION, v.INHIBITION)
    )
    if missing or v.TARGET not in found:
        raise InputError(
            came=f"a {type(found).__name__} without excitation, inhibition and target",
            expected="what nc.tension returns",
            hint="nc.tension(net, images, ['layer1', 'layer2'], target=features)",
        )
    return found[v.TARGET], layers


def _columns(array: xr.DataArray, dim: str) -> Columns:
    """(sample, feature) in double precision."""
    if v.FEATURE not in array.dims:
        array = array.expand_dims(v.FEATURE)
    values = np.asarray(array.transpose(dim, v.FEATURE).data, np.float64)
    if not np.isfinite(values).all():
        raise InputError(came="excitation, inhibition or a target with NaN", expected="numbers")
    return values


def _correlated(
    x: Columns, y: Columns, draws: int, confidence: float, seed: int, *, series: bool
) -> Columns:
    """Pearson correlation of each column with its ends: (3, column)."""
    value = _weighted(x, y, np.ones((1, len(x))))[0]
    if not draws:
        return np.stack([value, *np.full((2, len(value)), np.nan)])
    again = np.concatenate([_weighted(x, y, w) for w in _weights(len(x), draws, seed, series)])
    if series:
        return np.stack([value, *jackknife_interval(value, again, confidence)])
    return np.stack([value, *interval(again, confidence, len(x), value=value)])


def _weights(size: int, draws: int, seed: int, series: bool) -> Iterable[Columns]:
    return [without_stretches(size)] if series else draw_counts(size, draws, seed)


def _weighted(x: Columns, y: Columns, weights: Columns) -> Columns:
    """Correlations (weighting, column) of columns, rows counted by weights."""
    x, y = x - x.mean(0), y - y.mean(0)
    total = weights.sum(1, keepdims=True)
    mx, my = weights @ x / total, weights @ y / total
    xx, yy, xy = (
        weights @ (a * b) / total - m * n
        for a, b, m, n in ((x, x, mx, mx), (y, y, my, my), (x, y, mx, my))
    )
    scale = np.sqrt(np.clip(xx, 0, None) * np.clip(yy, 0, None))
    tiny = 1e-12 * np.sqrt((x * x).mean(0) * (y * y).mean(0))
    found: Columns = np.full_like(xy, np.nan)
    np.divide(xy, scale, out=found, where=scale > tiny)
    return found


def _labelled(values: NDArray[np.float64], layers: list[str], target: xr.DataArray) -> xr.Dataset:
    """A Dataset of numbers (layer, measure, value and ends, feature)."""
    coords: dict[str, Any] = {v.LAYER: np.array(layers, str)}
    if v.FEATURE in target.coords:
        coords[v.FEATURE] = target[v.FEATURE].values
    rows = dict[str, tuple[tuple[str, ...], Any]]()
    for place, name in enumerate(MEASURES):
        value, *ends = np.moveaxis(values[:, place], 1, 0)
        rows[name] = (v.LAYER, v.FEATURE), value
        rows[f"{name}_interval"] = (v.BOUND, v.LAYER, v.FEATURE), np.stack(ends)
    result = layer_dataset(rows, coords)
    for name in ("distance", "distance_interval"):
        result[name].attrs["units"] = target.attrs.get("units", "")
    single = {v.LAYER: 0} if layers == [""] else {}
    single |= {} if v.FEATURE in target.dims else {v.FEATURE: 0}
    return result.isel(single, drop=True)
