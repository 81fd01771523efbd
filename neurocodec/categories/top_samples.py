"""`nc.top_samples`: the samples that a mode is strongest on, beside ordinary ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.modes.decomposition import Decomposition
from neurocodec.rows.matrix import require_loadings

TOP: Final = "top"
MEDIAN: Final = "median"
RANDOM: Final = "random"
KINDS: Final = (TOP, MEDIAN, RANDOM)
HELD_OUT: Final = "held_out"
NOWHERE: Final = -1
"""Place of a sample that there is none of."""


def top_samples(
    modes: Decomposition | xr.DataArray, k: int = 6, *, held_out: bool = False, seed: int = 0
) -> xr.Dataset:
    """Which samples each mode is strongest on, with ordinary and random ones to set beside.

    What the strongest samples of a mode have in common says little where ordinary ones have it as
    well: a row of median and one of random samples are the controls.

    Parameters
    ----------
    modes
        Fitted modes, or loadings (samples, mode), as ``modes.transform(rows)`` gives them.
    k
        Samples of each kind.
    held_out
        Whether only samples with `held_out` count, which the modes were not fitted to.
    seed
        Of the random samples, which are the same for all modes.

    Returns
    -------
    xarray.Dataset
        Over mode, kind and rank: `loading`, `held_out` where the loadings say so, and
        `ranked_position`, the place of the sample among those that came, with the labels of the
        samples. Kind "top": the largest loadings above 0, the largest first; "median": those next
        to the median of the loadings above 0; "random": any samples. Where a mode is active on
        fewer than `k`, the place is -1 and the loading NaN.

    Raises
    ------
    InputError
        Where there are no loadings, or none of the samples was held out.

    Examples
    --------
    >>> loadings = xr.DataArray([[0.0], [3.0], [1.0], [2.0]], dims=("stimulus", "mode"))
    >>> found = top_samples(loadings, 2)
    >>> found.ranked_position.sel(kind=["top", "median"]).values.tolist()
    [[[1, 3], [3, 1]]]
    """
    k, seed = arguments.whole("k", k), arguments.whole("seed", seed, 0, hint="seed=0")
    only = arguments.flag("held_out", held_out)
    if not isinstance(modes, Decomposition | xr.DataArray):
        raise InputError(
            came=f"modes of type {type(modes).__name__}",
            expected="fitted modes, or loadings with dims (samples, 'mode')",
            hint="nc.top_samples(modes), or nc.top_samples(modes.transform(rows))",
        )
    values, loadings = require_loadings(
        modes.loadings if isinstance(modes, Decomposition) else modes
    )
    allowed = _allowed(loadings, only=only)
    drawn = np.random.default_rng(seed).permutation(allowed)[:k]
    columns = [_chosen(column, allowed, drawn, k) for column in values.T]
    places = np.array(columns, dtype=np.int64).reshape(values.shape[1], len(KINDS), k)
    found = _labelled(values, loadings, places)
    return labels.stamp(found, "nc.top_samples", k=k, held_out=only, seed=seed)


def _allowed(loadings: xr.DataArray, *, only: bool) -> NDArray[np.intp]:
    """Places of the samples that may be shown."""
    count = loadings.sizes[labels.sample_dim(loadings)]
    if not only:
        return np.arange(count)
    known = loadings.coords.get(HELD_OUT)
    places = np.flatnonzero(known.values) if known is not None else np.arange(0)
    if not len(places):
        raise InputError(
            came="loadings without a coordinate 'held_out'" if known is None else "no held-out row",
            expected="samples that the modes were not fitted to",
            hint="loadings.assign_coords(held_out=('stimulus', held)), or held_out=False",
        )
    return places


def _chosen(
    column: NDArray[np.float64], allowed: NDArray[np.intp], drawn: NDArray[np.intp], k: int
) -> list[NDArray[np.int64]]:
    """Places of the samples of each kind for one mode, those first that come first."""
    own = column[allowed]
    active, strength = allowed[own > 0], own[own > 0]
    strongest = np.argsort(-strength, kind="stable")
    middle = np.median(strength) if len(strength) else 0.0
    nearest = np.argsort(np.abs(strength - middle), kind="stable")
    return [_filled(places, k) for places in (active[strongest], active[nearest], drawn)]


def _filled(places: NDArray[np.intp], k: int) -> NDArray[np.int64]:
    filled = np.full(k, NOWHERE, dtype=np.int64)
    filled[: min(k, len(places))] = places[:k]
    return filled


def _labelled(
    values: NDArray[np.float64], loadings: xr.DataArray, places: NDArray[np.int64]
) -> xr.Dataset:
    dims = (v.MODE, v.KIND, v.RANK)
    there, safe = places >= 0, np.maximum(places, 0)
    rows = np.arange(len(places))[:, None, None]
    known = v.MODE in loadings.coords
    coords: dict[str, Any] = {
        v.MODE: loadings[v.MODE].values if known else rows.ravel(),
        v.KIND: list(KINDS),
        v.RANK: np.arange(places.shape[2]),
    }
    dim = labels.sample_dim(loadings)
    of_samples = {str(n): c.values for n, c in loadings.coords.items() if c.dims == (dim,)}
    held = of_samples.pop(HELD_OUT, None)
    for name, labelled in of_samples.items():
        taken = labelled[safe]
        coords[name] = (dims, np.where(there, taken, _nothing(taken)))
    found = {
        "loading": labels.labelled(
            np.where(there, values[safe, rows], np.nan), dims, name="loading"
        ),
        v.RANKED_POSITION: labels.labelled(places, dims, name=v.RANKED_POSITION),
    }
    if held is not None:
        told = held.astype(bool)[safe] & there
        found[HELD_OUT] = labels.labelled(told, dims, name=HELD_OUT)
    return xr.Dataset(found).assign_coords(coords)


def _nothing(taken: NDArray[Any]) -> Any:
    """What stands where there is no sample: no text, no number."""
    if taken.dtype.kind in "iu":
        return np.array(NOWHERE, dtype=np.int64)
    return np.array("" if taken.dtype.kind in "UO" else np.nan, dtype=taken.dtype)
