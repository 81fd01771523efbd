"""How far features are identified with stimuli of their own (Tense Images eq. 6)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.intervals import jackknife_interval
from neurocodec.labels import provenance, stamp
from neurocodec.rows.tables import layer_dataset

MEASURES: Final = ("uniqueness", "chance_uniqueness")


def uniqueness(
    ranked: xr.DataArray, *, stimuli: int | None = None, confidence: float = 0.95
) -> xr.Dataset:
    """Uniqueness of the stimuli that features are identified with, beside its chance level.

    U is the number of different stimuli over that of all choices (Tense Images eq. 6). Features
    that choose m of N stimuli at random share some of them, so that U of n features is not 1 but
    N (1 - (1 - m/N)^n) / (n m): .83 for 20 features and 8 of 400.

    Parameters
    ----------
    ranked
        (feature, rank), as `nc.rank_stimuli` returns it; further dims, such as the layers or rules
        of several that were concatenated, stay.
    stimuli
        How many there were to choose from; None where `nc.rank_stimuli` has written it down.
    confidence
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        `uniqueness` with an interval from leaving out one feature at a time, `chance_uniqueness`
        with the interval that random choices stay in (from their exact mean and variance).

    Raises
    ------
    InputError
        Where there are fewer than two features, or the number of stimuli is not known.

    Examples
    --------
    >>> ranked = xr.DataArray([[0, 1], [1, 2]], dims=("feature", "rank"))
    >>> found = uniqueness(ranked, stimuli=4)
    >>> float(found.uniqueness), float(found.chance_uniqueness)
    (0.75, 0.75)
    """
    confidence = arguments.between("confidence", confidence, hint="confidence=0.95")
    size, places = _checked(ranked, stimuli)
    values = np.array(
        [_of(one, size, confidence) for one in places.reshape(-1, *places.shape[-2:])]
    )
    dims = [str(d) for d in ranked.dims if d not in (v.FEATURE, v.RANK)]
    coords: dict[str, Any] = {d: ranked[d].values for d in dims if d in ranked.coords}
    shape = tuple(ranked.sizes[d] for d in dims)
    made = dict[str, tuple[tuple[str, ...], Any]]()
    for name, rows in zip(MEASURES, np.moveaxis(values, 1, 0), strict=True):
        whole = rows.reshape(*shape, 3)
        made[name] = (*dims,), whole[..., 0]
        made[f"{name}_interval"] = (*dims, v.BOUND), whole[..., 1:]
    facts = {"stimuli": size, "confidence": confidence, "ranked": provenance(ranked)}
    return stamp(layer_dataset(made, coords), "nc.statistics.uniqueness", **facts)


def _checked(ranked: Any, stimuli: int | None) -> tuple[int, NDArray[np.int64]]:
    """The number of stimuli, and what was chosen: (..., feature, rank), -1 for none."""
    dims = getattr(ranked, "dims", ())
    whole = np.issubdtype(getattr(ranked, "dtype", float), np.integer)
    if not isinstance(ranked, xr.DataArray) or not {v.FEATURE, v.RANK} <= {*dims} or not whole:
        raise InputError(
            came=f"a {type(ranked).__name__} with dims {tuple(dims)}",
            expected="places of stimuli (feature, rank)",
            hint="nc.rank_stimuli(found, 'tension')",
        )
    if ranked.sizes[v.FEATURE] < 2:
        raise InputError(came="one feature", expected="two or more, which may share stimuli")
    known = provenance(ranked).get("stimuli") if stimuli is None else stimuli
    if known is None:
        raise InputError(
            came="an unknown number of stimuli",
            expected="how many there were to choose from",
            hint="stimuli=found.sizes['stimulus']",
        )
    size = arguments.whole("stimuli", known)
    places = np.asarray(ranked.transpose(..., v.FEATURE, v.RANK).values)
    if places.max() >= size or places.min() < -1:
        raise InputError(
            came=f"places from {places.min()} to {places.max()} of {size} stimuli",
            expected=f"places from 0 to {size - 1}, or -1 for none",
            hint="stimuli=found.sizes['stimulus']",
        )
    return size, places


def _of(places: NDArray[np.int64], size: int, confidence: float) -> NDArray[np.float64]:
    """Of choices (feature, rank): value and ends, chance and ends (2, 3)."""
    chosen = np.zeros((len(places), size), bool)
    for row, own in zip(chosen, places, strict=True):
        row[own[own >= 0]] = True
    number = chosen.sum(1)
    if not number.any():
        return np.full((2, 3), np.nan)
    without = [_share(np.delete(chosen, i, 0)) for i in range(len(chosen))]
    value = _share(chosen)
    ends = jackknife_interval(value, without, confidence)
    mean, deviation = chance(number, size)
    reach = ndtri((1 + confidence) / 2) * deviation
    return np.array([[value, *ends], [mean, mean - reach, mean + reach]])


def _share(chosen: NDArray[np.bool_]) -> float:
    total = chosen.sum()
    return float(chosen.any(0).sum() / total) if total else np.nan


def chance(number: NDArray[np.int64], size: int) -> tuple[float, float]:
    """Mean and standard deviation of U, where features choose so many of `size` at random."""
    m, total = number.astype(np.float64), float(number.sum())
    one = float(np.prod(1 - m / size))  # that a stimulus is chosen by none; that two are
    pairs = float(np.prod((size - m) * (size - m - 1) / (size * max(size - 1, 1))))
    variance = size * one * (1 - one) + size * (size - 1) * (pairs - one**2)
    return size * (1 - one) / total, max(variance, 0.0) ** 0.5 / total
