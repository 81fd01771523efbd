"""Which modes are active together, and when they drive a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import unknown_name
from neurocodec.rows.matrix import coords_of, require_loadings

MAX_ACTIVE = 5
"""Most modes of a combination that is looked at (CODEC fig. 8D)."""
EXAMPLE = "example"


def mode_combinations(
    loadings: xr.DataArray,
    rates: xr.DataArray | None = None,
    *,
    min_rate: float = 1.0,
    max_active: int = MAX_ACTIVE,
    threshold: float = 0.0,
) -> xr.Dataset:
    """Count which sets of modes are active together, and see which cells fire then.

    Parameters
    ----------
    loadings
        (time, mode) or (stimulus, mode), such as those of `nc.SparseModes` or `nc.merge_modes`.
    rates
        Firing rates (time, cell) at the same times, in Hz.
    min_rate
        In Hz; a cell that fires more is driven.
    max_active
        Largest set that is looked at; times with more active modes are counted in `share` only.
    threshold
        A mode is active where its loading is above.

    Returns
    -------
    xarray.Dataset
        Over `combination` (the names of the modes joined by "+"), the most frequent first:
        `active` (combination, mode), `count` of the times, `share` of all times; with rates
        `mean_rate` (combination, cell) in Hz, and `driven_share` (combination, cell), the part of
        the combination's times at which the cell fires above `min_rate`.

    Raises
    ------
    InputError
        Where the times differ (nothing is joined), a number is not finite, or an option is out
        of its range.

    Examples
    --------
    >>> loadings = xr.DataArray([[1.0, 0.0], [2.0, 1.0], [1.0, 0.0], [0.0, 0.0]],
    ...                         dims=("time", "mode"))
    >>> rates = xr.DataArray([[5.0], [0.5], [0.0], [0.0]], dims=("time", "cell"))
    >>> found = mode_combinations(loadings, rates)
    >>> found.combination.values.tolist(), found["count"].values.tolist()
    (['0', '0+1'], [2, 1])
    >>> found.mean_rate.values.tolist(), found.driven_share.values.tolist()
    ([[2.5], [0.5]], [[0.5], [0.0]])
    """
    _require_options(max_active, threshold, min_rate)
    values, loadings = require_loadings(loadings)
    active = values > threshold
    few = _few(active, max_active)
    sets, which, counts = np.unique(active[few], axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = _names(loadings)
    coords = {
        v.COMBINATION: np.array([_joined(names, s) for s in sets[order]], dtype=str),
        v.MODE: names,
    }
    along = (v.COMBINATION,)
    found = {
        "active": labels.labelled(sets[order], (*along, v.MODE), coords, name="active"),
        "count": labels.labelled(counts[order], along, name="count"),
        "share": labels.labelled(counts[order] / len(active), along, name="share"),
    }
    if rates is not None:
        rates = _rates(rates, loadings)
        own = {*found, *coords, "mean_rate", "driven_share"}
        labels.require_free_names(coords_of(rates, v.CELL), own, "the cells")
        place = np.argsort(order)[which.ravel()]
        found |= _mean_rates(rates.isel({rates.dims[0]: few}), place, counts[order], min_rate)
    result = xr.Dataset(found)
    facts = {"min_rate": min_rate, "max_active": max_active, "threshold": threshold}
    return labels.stamp(result, "nc.mode_combinations", samples=len(active), **facts)


def _mean_rates(
    rates: xr.DataArray, place: NDArray[np.intp], counts: NDArray[np.intp], min_rate: float
) -> dict[str, xr.DataArray]:
    """Means over the times of each combination; `place` is the combination of each time."""
    dims, coords = (v.COMBINATION, v.CELL), coords_of(rates, v.CELL)
    values = np.asarray(rates.values, dtype=np.float64)
    found = {}
    for name, rows in (("mean_rate", values), ("driven_share", values > min_rate)):
        sums = np.zeros((len(counts), values.shape[1]))
        np.add.at(sums, place, rows)
        found[name] = labels.labelled(sums / counts[:, None], dims, coords, name=name)
    return found


def combination_times(
    loadings: xr.DataArray,
    rates: xr.DataArray,
    *,
    modes: int | Sequence[int] | None = None,
    cell: str | None = None,
    alone: bool = True,
    min_rate: float = 1.0,
    max_active: int | None = None,
    count: int = 4,
    apart: float = 0.5,
    threshold: float = 0.0,
) -> xr.Dataset:
    """Find times at which a mode alone, or a combination of modes, drives a cell.

    Of a cell's times the one with the highest rate comes first, then the highest that is at least
    `apart` seconds away from those taken, so that no two examples are of one event. Where the
    modes are not given, each example of a cell has another combination.

    Parameters
    ----------
    loadings
        (time, mode).
    rates
        (time, cell) at the same times, in Hz.
    modes
        A mode, or several that have to be active together; None takes any combination.
    cell
        Its name; None looks at every cell by itself.
    alone
        Whether no other mode may be active.
    min_rate
        In Hz; the cell fires more.
    max_active
        Most active modes; None is 5 where `modes` is None, and no limit otherwise.
    count
        Examples per cell, at most.
    apart
        In seconds (in samples where there are no times).
    threshold
        A mode is active where its loading is above.

    Returns
    -------
    xarray.Dataset
        Over `example`, cell by cell in the order of the rates: coords `time`, `cell` and
        `combination`; `firing_rate` (example) in Hz, `loading` (example, mode), `active`
        (example, mode). No example where there is no such time.

    Raises
    ------
    UnknownNameError
        Where there is no such mode or cell.
    InputError
        Where the times differ, or an option is out of its range.

    Examples
    --------
    >>> time = {"time": np.arange(4) / 2}
    >>> loadings = xr.DataArray([[1.0, 0.0], [2.0, 1.0], [1.0, 0.0], [0.0, 0.0]],
    ...                         time, ("time", "mode"))
    >>> rates = xr.DataArray([[5.0], [7.0], [9.0], [0.0]], {**time, "cell": ["a"]},
    ...                      ("time", "cell"))
    >>> combination_times(loadings, rates, modes=0).time.values.tolist()
    [1.0, 0.0]
    >>> combination_times(loadings, rates).combination.values.tolist()
    ['0', '0+1']
    """
    most = MAX_ACTIVE if max_active is None else max_active
    _require_options(most, threshold, min_rate, count)
    values, loadings = require_loadings(loadings)
    rates = _rates(rates, loadings)
    active = values > threshold
    wanted = _wanted(modes, _names(loadings))
    fits = _fitting(active, wanted, alone=alone, max_active=max_active)
    sets, which = np.unique(active, axis=0, return_inverse=True)
    combos = np.array([_joined(_names(loadings), s) for s in sets], dtype=str)[which.ravel()]
    times = rates[v.TIME].values if v.TIME in rates.coords else np.arange(float(len(rates)))
    driven = np.where(fits[:, None] & (rates.values > min_rate), rates.values, np.nan)
    other = combos if wanted is None else None
    taken = [
        (row, j)
        for j in _cells(rates, cell)
        for row in _strongest(driven[:, j], times, other, count=count, apart=apart)
    ]
    moments, cells = np.array(taken, dtype=np.intp).reshape(-1, 2).T
    found = _examples_of(loadings, rates, active, moments, cells)
    found = found.assign_coords({v.COMBINATION: (EXAMPLE, combos[moments])})
    facts = {"modes": modes, "cell": cell, "alone": alone, "min_rate": min_rate, "apart": apart}
    facts |= {"max_active": max_active, "count": count, "threshold": threshold}
    return labels.stamp(found, "nc.combination_times", **facts)


def _wanted(
    modes: int | Sequence[int] | None, names: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    if modes is None:
        return None
    chosen = np.atleast_1d(np.asarray(modes))
    for mode in chosen:
        if mode not in names:
            raise unknown_name("mode", mode, names)
    return np.isin(names, chosen)


def _fitting(
    active: NDArray[np.bool_],
    wanted: NDArray[np.bool_] | None,
    *,
    alone: bool,
    max_active: int | None,
) -> NDArray[np.bool_]:
    """Times with the modes that are wanted."""
    if wanted is None:
        return _few(active, max_active or MAX_ACTIVE)
    has = active[:, wanted].all(axis=1)
    if alone:
        has &= ~active[:, ~wanted].any(axis=1)
    return np.asarray(has if max_active is None else has & _few(active, max_active))


def _few(active: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    number = active.sum(axis=1)
    return np.asarray((number > 0) & (number <= most))


def _strongest(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    combos: NDArray[np.str_] | None,
    *,
    count: int,
    apart: float,
) -> list[int]:
    """Rows with the largest values (those not wanted are NaN), no two of one event."""
    taken = list[int]()
    open_ = ~np.isnan(values)
    while open_.any() and len(taken) < count:
        best = int(np.argmax(np.where(open_, values, -np.inf)))
        taken.append(best)
        open_ &= np.abs(times - times[best]) >= apart
        if combos is not None:
            open_ &= combos != combos[best]
        open_[best] = False
    return taken


def _cells(rates: xr.DataArray, cell: str | None) -> Sequence[int]:
    if cell is None:
        return range(rates.sizes[v.CELL])
    names = [str(name) for name in rates[v.CELL].values.tolist()]
    if str(cell) not in names:
        raise unknown_name("cell", cell, names)
    return [names.index(str(cell))]


def _examples_of(
    loadings: xr.DataArray,
    rates: xr.DataArray,
    active: NDArray[np.bool_],
    moments: NDArray[np.intp],
    cells: NDArray[np.intp],
) -> xr.Dataset:
    names = _names(loadings)
    coords: dict[str, Any] = {v.CELL: (EXAMPLE, rates[v.CELL].values[cells])}
    if v.TIME in rates.coords:
        coords[v.TIME] = (EXAMPLE, rates[v.TIME].values[moments], {"units": v.SECONDS})
    along, on_modes = (EXAMPLE,), (EXAMPLE, v.MODE)
    mode = {v.MODE: names}
    return xr.Dataset(
        {
            "firing_rate": labels.labelled(
                rates.values[moments, cells], along, coords, name="firing_rate"
            ),
            "loading": labels.labelled(loadings.values[moments], on_modes, mode, name="loading"),
            "active": labels.labelled(active[moments], on_modes, mode, name="active"),
        }
    )


def _rates(rates: xr.DataArray, loadings: xr.DataArray) -> xr.DataArray:
    dim = labels.sample_dim(loadings)
    labels.require_same(loadings, rates, dim, "loadings and firing rates")
    rates = labels.require_dims(rates, (dim, v.CELL), "firing rates")
    labels.require_finite(rates, "firing rates")
    named = v.CELL in rates.coords
    names = [str(i) for i in range(rates.sizes[v.CELL])]
    return rates if named else rates.assign_coords({v.CELL: names})


def _require_options(max_active: int, threshold: float, min_rate: float, count: int = 1) -> None:
    arguments.whole("max_active", max_active)
    arguments.whole("count", count)
    arguments.at_least("threshold", threshold, 0.0)
    arguments.at_least("min_rate", min_rate, 0.0)


def _names(loadings: xr.DataArray) -> NDArray[np.int64]:
    return np.asarray(loadings[v.MODE].values)


def _joined(names: NDArray[np.int64], active: NDArray[np.bool_]) -> str:
    return "+".join(map(str, names[active]))
