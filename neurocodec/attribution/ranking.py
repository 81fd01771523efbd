"""`nc.rank_stimuli`: the exciting, inhibiting, silent and tense stimuli of every feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.between_layers import MAPS
from neurocodec.errors import InputError, warn
from neurocodec.labels import labelled, provenance, sample_dim, stamp

By: TypeAlias = Literal[
    "exciting",
    "inhibiting",
    "silent",
    "tension",
    "paper",
    "apart",
    "together",
    "specific",
]
Rows: TypeAlias = Mapping[str, NDArray[np.float64]]

BAND: Final = 0.5
"""Standard deviations of the target below 0 that the paper's rule takes."""
LARGE: Final = 0.99
"""Quantile, over stimuli and positions, above which a number in a map is large."""


def rank_stimuli(found: xr.Dataset, by: By = "tension", *, count: int = 10) -> xr.DataArray:
    """Rank the stimuli of every feature by excitation, inhibition, or both at once.

    Parameters
    ----------
    found
        Of one layer, as `nc.tension` returns it.
    by
        - ``"exciting"``: largest target; ``"inhibiting"``: smallest target.
        - ``"silent"``: smallest E+ + E-.
        - ``"tension"``: largest min(E+, E-), which is large where both are.
        - ``"paper"``: of those with a target between -0.5 standard deviations (over all stimuli)
          and 0, the largest E+ + E- (Tense Images, sec. 4; printed there without the minus, which
          no stimulus can meet). It picks other stimuli than ``"tension"``.
        - ``"specific"``: largest tension over the stimulus's mean tension of all features. Without
          it features share what is large for all of them (`nc.statistics.uniqueness`).
        - ``"apart"``: the tensest of those whose map E+ - E- has values below its 1 % and above
          its 99 % quantile (fig. 4E); ``"together"``: of those whose maps E+ and E- are both above
          their 99 % quantiles at one position (fig. 4F). Quantiles are over all stimuli and
          positions of a feature; both ask for ``nc.tension(maps=True)``.
    count
        How many of each feature.

    Returns
    -------
    xarray.DataArray
        `ranked_position` (feature, rank): places of the stimuli from 0, the best first, -1 where
        fewer meet the rule; with `rank_score` and the labels of the stimuli as coordinates.

    Warns
    -----
    NeurocodecWarning
        Where fewer stimuli than `count` meet the rule.

    Raises
    ------
    InputError
        Where the rule does not exist, asks for what is not there, or for more than there are.

    Examples
    --------
    >>> plus, minus = [[1.0], [4.0], [3.0]], [[5.0], [0.5], [2.0]]
    >>> found = xr.Dataset({"excitation": (("stimulus", "feature"), plus),
    ...                     "inhibition": (("stimulus", "feature"), minus)})
    >>> rank_stimuli(found, "tension", count=2).values.tolist()
    [[2, 0]]
    """
    ranked = ranked_by(found, by, count)
    count = ranked.sizes[v.RANK]
    fewest = int((ranked >= 0).sum(v.RANK).min())
    if fewest < count:
        warn(f"by={by!r}: of some features {fewest} of {count} stimuli meet the rule; -1 is none")
    return ranked


def ranked_by(found: xr.Dataset, by: By, count: int) -> xr.DataArray:
    """`rank_stimuli` without its warning."""
    arguments.one_of("by", by, get_args(By))
    count = arguments.whole("count", count, hint="count=10")
    dim, rows = _checked(found, by)
    if count > found.sizes[dim]:
        raise InputError(
            came=f"count={count} of {found.sizes[dim]} stimuli",
            expected=f"at most {found.sizes[dim]}",
            hint=f"count={found.sizes[dim]}",
        )
    scores = _RULES[by](rows)
    places = np.argsort(-scores, axis=0, kind="stable")[:count]
    best = np.take_along_axis(scores, places, 0)
    places[np.isneginf(best)] = -1
    return _labelled(found, dim, by, places.T, best.T)


def _checked(found: xr.Dataset, by: By) -> tuple[str, Rows]:
    """The sample dim, and what the rule needs as (sample, feature, positions...)."""
    if not isinstance(found, xr.Dataset):
        raise InputError(
            came=f"a {type(found).__name__}",
            expected="a Dataset of one layer, as nc.tension returns it",
            hint="tree['layer1'].to_dataset()",
        )
    missing = [name for name in _NEEDED[by] if name not in found]
    if missing:
        raise InputError(
            came=f"no {missing[0]!r} (there are {sorted(map(str, found.data_vars))})",
            expected=f"what by={by!r} needs, as nc.tension returns it",
            hint="nc.tension(..., maps=True)" if missing[0] in MAPS else "nc.tension(...)",
        )
    dim = sample_dim(found)
    if by == "specific" and found.sizes.get(v.FEATURE, 1) < 2:
        raise InputError(
            came="one feature",
            expected="two or more, whose mean a stimulus is compared with",
            hint="by='tension'",
        )
    rows = {name: _values(found[name], dim) for name in _NEEDED[by]}
    constant = by == "paper" and np.ptp(rows[v.TARGET], axis=0) == 0
    if np.any(constant):
        raise InputError(
            came=f"features that never change: {np.flatnonzero(constant)[:5].tolist()}",
            expected="a target with a standard deviation",
            hint="by='tension'",
        )
    return dim, rows


def _values(array: xr.DataArray, dim: str) -> NDArray[np.float64]:
    if v.FEATURE not in array.dims:
        array = array.expand_dims(v.FEATURE)
    values = np.asarray(array.transpose(dim, v.FEATURE, ...).data, np.float64)
    if not np.isfinite(values).all():
        raise InputError(came=f"{array.name!r} with NaN or infinity", expected="finite numbers")
    return values


def _tension(rows: Rows) -> NDArray[np.float64]:
    return np.minimum(rows[v.EXCITATION], rows[v.INHIBITION])


def _size(rows: Rows) -> NDArray[np.float64]:
    return rows[v.EXCITATION] + rows[v.INHIBITION]


def _paper(rows: Rows) -> NDArray[np.float64]:
    target = rows[v.TARGET]
    return np.where((-BAND * target.std(0) < target) & (target < 0), _size(rows), -np.inf)


def _specific(rows: Rows) -> NDArray[np.float64]:
    tension = _tension(rows)
    mean = tension.mean(1, keepdims=True)
    found = np.zeros_like(tension)
    np.divide(tension, mean, out=found, where=mean > 0)
    return found


def _flat_maps(rows: Rows) -> list[NDArray[np.float64]]:
    """Maps E+ and E-: (sample, feature, position)."""
    return [rows[name].reshape(*rows[name].shape[:2], -1) for name in MAPS]


def _quantile(maps: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Over stimuli and positions: (feature, 1)."""
    return np.asarray(np.quantile(maps, share, axis=(0, 2)))[:, None]


def _apart(rows: Rows) -> NDArray[np.float64]:
    plus, minus = _flat_maps(rows)
    net = plus - minus
    low, high = _quantile(net, 1 - LARGE), _quantile(net, LARGE)
    meets = (net < low).any(2) & (net > high).any(2)
    return np.where(meets, _tension(rows), -np.inf)


def _together(rows: Rows) -> NDArray[np.float64]:
    plus, minus = ((maps > _quantile(maps, LARGE)) for maps in _flat_maps(rows))
    return np.where((plus & minus).any(2), _tension(rows), -np.inf)


_RULES: Final[Mapping[By, Callable[[Rows], NDArray[np.float64]]]] = {
    "exciting": lambda rows: rows[v.TARGET],
    "inhibiting": lambda rows: -rows[v.TARGET],
    "silent": lambda rows: -_size(rows),
    "tension": _tension,
    "paper": _paper,
    "specific": _specific,
    "apart": _apart,
    "together": _together,
}
_SIZES: Final = (v.EXCITATION, v.INHIBITION)
_NEEDED: Final[Mapping[By, tuple[str, ...]]] = {
    "exciting": (v.TARGET,),
    "inhibiting": (v.TARGET,),
    "silent": _SIZES,
    "tension": _SIZES,
    "paper": (v.TARGET, *_SIZES),
    "specific": _SIZES,
    "apart": (*_SIZES, *MAPS),
    "together": (*_SIZES, *MAPS),
}

RULES_OF_MAPS: Final = {by: MAPS[0] in needed for by, needed in _NEEDED.items()}
"""Rule -> whether it compares the maps of all stimuli."""


def _labelled(
    found: xr.Dataset, dim: str, by: By, places: NDArray[np.intp], scores: NDArray[np.float64]
) -> xr.DataArray:
    dims = (v.FEATURE, v.RANK) if v.FEATURE in found.dims else (v.RANK,)
    if len(dims) == 1:
        places, scores = places[0], scores[0]
    coords: dict[str, Any] = {v.RANK: np.arange(places.shape[-1])}
    if v.FEATURE in dims and v.FEATURE in found.coords:
        coords[v.FEATURE] = found[v.FEATURE].values
    for name, labels in found.coords.items():
        if labels.dims == (dim,):
            coords[str(name)] = (dims, _none_of(np.asarray(labels.values)[places], places < 0))
    coords[v.RANK_SCORE] = labelled(scores, dims, name=v.RANK_SCORE).variable
    ranked = labelled(places, dims, coords, name=v.RANKED_POSITION)
    facts = {"by": by, "count": places.shape[-1], "stimuli": found.sizes[dim]}
    return stamp(ranked, "nc.rank_stimuli", **facts, tension=provenance(found))


def _none_of(labels: NDArray[Any], none: NDArray[np.bool_]) -> NDArray[Any]:
    """Labels, empty where there is no stimulus."""
    if not none.any():
        return labels
    if labels.dtype.kind in "US":
        return np.where(none, "", labels)
    if labels.dtype.kind in "iub":
        return np.where(none, -1, labels.astype(np.int64))
    kind = labels.dtype if labels.dtype.kind in "fmM" else np.dtype(object)
    empty = np.array("NaT", kind) if labels.dtype.kind in "mM" else np.array(np.nan, kind)
    return np.where(none, empty, labels)
