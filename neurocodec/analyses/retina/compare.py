"""`nc.compare_models`: several models of one recording, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.analyse import analyse_retina
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.cells.clustering import cluster_agreement
from neurocodec.cells.recording import Movie, stimulus_of
from neurocodec.errors import InputError
from neurocodec.kernels.correlation import correlate
from neurocodec.kernels.lagged import circular_shifts
from neurocodec.labels import labelled, stamp
from neurocodec.network import Network

MODEL, OTHER = "model", "other_model"
LEVEL: Final = 0.05
"""A mode comes back where its p-value is at most this: as many do by chance."""
FEWEST: Final = 19
"""Shifts with which a p-value can reach the level."""
ROUNDING: Final = 1e-6
"""Seconds by which times of the same frames may differ."""
SECONDS: Final = 1.0
"""Smallest shift of one model's loadings against another's."""


def compare_models(
    models: Mapping[str, Network | RetinaAnalysis] | Sequence[Network],
    movie: Movie | None = None,
    *,
    layers: Mapping[str, str] | None = None,
    shifts: int = 200,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Compare models of one recording: responses, interneurons, clusters, modes.

    Models may have other architectures, and other cells of other animals, as long as they are
    shown the same movie. Modes are compared by what they do: a mode of one model comes back in
    another where the largest Pearson correlation of its loading over time with those of the other
    is beyond those with the other's loadings shifted in a circle, all by as much; of modes that
    have nothing to do with each other 5 % do.

    Parameters
    ----------
    models
        Name -> network, or what `nc.analyse_retina` has found of it; or networks, each with a name
        of its own.
    movie
        As `nc.analyse_retina` takes it; needed for networks.
    layers
        Name -> layer whose modes and clusters are compared; a model's last layer where it is not
        named.
    shifts
        Of the loadings, at least 19, by a second and more; fewer where the movie has no more.
    seed
        Of the shifts and the analyses.
    progress
        Whether to show bars.
    **options
        Of `nc.analyse_retina`, for networks. Fields and the stability of modes are left out where
        `moments` and `mode_seeds` are not given.

    Returns
    -------
    xarray.Dataset
        By `model`: `layer`; `correlation` with the recorded rates and `ceiling`, medians over the
        `n_cells` that were recorded; `n_interneurons`, `n_exceed_all` the three nulls; `n_modes`
        that are in use; `n_clusters` and `p_value` of more than one. By `model` and `other_model`:
        `adjusted_rand_index` of the clusters where both have the same cells; `n_returning` modes of
        `model` that `other_model` has, and the median of their `mode_correlation`. NaN where there
        is nothing to compare.

    Raises
    ------
    InputError
        Where there are fewer than two models, two have one name, the movie is missing, or
        analyses are of different times.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
    >>> from neurocodec.zoo import retina_network
    >>> small = RetinaConfig(cells=4, history=4, size=(9, 9), channels=(1, 1), kernels=(3, 3))
    >>> net = retina_network(RetinaCNN(small).eval(), name="untrained")
    >>> frames = np.random.default_rng(0).normal(size=(250, 9, 9)).astype("float32")
    >>> movie = xr.DataArray(frames, {"time": np.arange(250) / 100}, ("time", "y", "x"))
    >>> quick = {"expansion": 1, "method": nc.methods.ActGrad(), "progress": False}
    >>> quick |= {"moments": 0, "mode_seeds": 0}
    >>> table = nc.compare_models({"a": net, "b": net}, movie, **quick)
    >>> table.mode_correlation.values.round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    draws = arguments.whole("shifts", shifts, FEWEST, hint="shifts=200")
    start = arguments.whole("seed", seed, 0, hint="seed=0")
    named = _named(models)
    if movie is None and any(isinstance(model, Network) for model in named.values()):
        raise InputError(
            came="networks without a movie",
            expected="the movie that all of them are shown",
            hint="nc.compare_models(models, recording['test'])",
        )
    if layers is not None and not isinstance(layers, Mapping):
        raise InputError(
            came=f"layers={layers!r}",
            expected="the layer of each model by the model's name",
            hint=f"layers={{{next(iter(named))!r}: 'layer2'}}",
        )
    unknown = {*(layers or {})} - {*named}
    if unknown:
        raise InputError(
            came=f"a layer of {min(unknown)!r}", expected=f"layers of the models {[*named]}"
        )
    if movie is not None:
        frames = stimulus_of(movie)
        rate = next((m.frame_rate for m in named.values() if isinstance(m, Network)), None)
        _shifts(frames.sizes[v.TIME], round(SECONDS * (rate or 1)), draws, start)
    asked = {"moments": 0, "mode_seeds": 0, **options, "seed": start, "progress": progress}
    found = {
        name: analyse_retina(model, movie, **asked)
        if isinstance(model, Network) and movie is not None
        else model
        for name, model in named.items()
    }
    analyses = {name: one for name, one in found.items() if isinstance(one, RetinaAnalysis)}
    _require_same_times(analyses)
    chosen = {n: _layer_of(n, one, (layers or {}).get(n)) for n, one in analyses.items()}
    made = {**_alone(analyses, chosen), **_pairs(analyses, chosen, draws, start)}
    names = np.array([*analyses])
    table = xr.Dataset(made).assign_coords(
        {MODEL: names, OTHER: names, v.LAYER: (MODEL, [*chosen.values()])}
    )
    return stamp(table, "nc.compare_models", shifts=draws, seed=start)


def _named(models: Any) -> dict[str, Network | RetinaAnalysis]:
    """Models by name, at least two."""
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    else:
        given = list(models) if isinstance(models, Sequence) else [models]
        named = {str(getattr(m, "name", i)): m for i, m in enumerate(given)}
        if len(named) < len(given):
            raise InputError(
                came=f"{len(given)} models with the names {[*named]}",
                expected="a name for each",
                hint='nc.compare_models({"first": one, "second": other}, movie)',
            )
    wrong = [
        type(m).__name__ for m in named.values() if not isinstance(m, Network | RetinaAnalysis)
    ]
    if wrong or len(named) < 2:
        raise InputError(
            came=f"a {wrong[0]}" if wrong else f"{len(named)} model",
            expected="at least two networks, or results of nc.analyse_retina",
            hint='nc.compare_models({"first": one, "second": other}, movie)',
        )
    return named


def _require_same_times(analyses: Mapping[str, RetinaAnalysis]) -> None:
    """Refuse analyses of which no two share their movie's times."""
    first, *others = analyses
    times = analyses[first].stimulus[v.TIME].values
    for name in others:
        mine = analyses[name].stimulus[v.TIME].values
        if mine.shape != times.shape or not np.allclose(mine, times, rtol=0, atol=ROUNDING):
            raise InputError(
                came=f"{first!r} with {len(times)} frames and {name!r} with {len(mine)} others",
                expected="models that were shown the same movie",
                hint="nc.compare_models({'first': one, 'second': other}, movie)",
            )


def _layer_of(name: str, found: RetinaAnalysis, wanted: str | None) -> str:
    layers = list(found.modes)
    return str(arguments.one_of(f"layer of {name!r}", wanted or layers[-1], layers))


def _alone(
    analyses: Mapping[str, RetinaAnalysis], chosen: Mapping[str, str]
) -> dict[str, xr.DataArray]:
    rows = [_row(one, chosen[name]) for name, one in analyses.items()]
    return {
        key: labelled(np.array([row[key] for row in rows]), (MODEL,), name=key) for key in rows[0]
    }


def _row(found: RetinaAnalysis, layer: str) -> dict[str, float]:
    """Figures of one model."""
    responses, cells, others = found.responses(), found.clusters.get(layer), found.interneurons
    row = dict.fromkeys(
        ("correlation", "ceiling", "n_clusters", "p_value", "n_interneurons", "n_exceed_all"),
        np.nan,
    )
    for name in ("correlation", "ceiling"):
        if name in responses:
            row[name] = float(responses[name].median(skipna=True))
    row["n_cells"] = 0 if found.recorded is None else found.recorded.sizes[v.CELL]
    row["n_modes"] = int((_loadings(found, layer) > 0).any(axis=0).sum())
    if cells is not None:
        row["n_clusters"] = int(cells["n_clusters"])
        row["p_value"] = float(cells["p_value"]) if "p_value" in cells else np.nan
    if others is not None:
        row["n_interneurons"] = others.sizes[v.INTERNEURON]
        row["n_exceed_all"] = float(others["n_exceed_all"]) if "n_exceed_all" in others else np.nan
    return row


def _loadings(found: RetinaAnalysis, layer: str) -> NDArray[np.float64]:
    return np.asarray(found.modes[layer].loadings.transpose(v.TIME, v.MODE), np.float64)


def _frames(found: RetinaAnalysis, layer: str) -> NDArray[np.intp]:
    """Frame of the movie that each loading is of: times of two analyses may differ by rounding."""
    frames = np.asarray(found.stimulus[v.TIME].values, np.float64)
    times = np.asarray(found.modes[layer].loadings[v.TIME].values, np.float64)
    return np.searchsorted(frames, times - ROUNDING)


def _pairs(
    analyses: Mapping[str, RetinaAnalysis], chosen: Mapping[str, str], draws: int, seed: int
) -> dict[str, xr.DataArray]:
    """What two models have in common, of all pairs."""
    names = [*analyses]
    tables = {k: np.full((len(names),) * 2, np.nan) for k in _COMMON}
    loadings = {name: _loadings(analyses[name], chosen[name]) for name in names}
    times = {name: _frames(analyses[name], chosen[name]) for name in names}
    frames = np.asarray(analyses[names[0]].stimulus[v.TIME].values, np.float64)
    margin = round(SECONDS / float(np.median(np.diff(frames))))
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            cells = [analyses[n].clusters.get(chosen[n]) for n in (one, other)]
            tables["adjusted_rand_index"][i, j] = _agreement(*cells)
            # models with other histories answer from other times on
            shared = np.intersect1d(times[one], times[other])
            mine, theirs = (loadings[n][np.isin(times[n], shared)] for n in (one, other))
            moved = _shifts(len(shared), margin, draws, seed)
            number, typical = returning(mine, theirs, moved)
            tables["n_returning"][i, j], tables["mode_correlation"][i, j] = number, typical
    return {name: labelled(values, (MODEL, OTHER), name=name) for name, values in tables.items()}


_COMMON: Final = ("adjusted_rand_index", "n_returning", "mode_correlation")


def _agreement(one: xr.Dataset | None, other: xr.Dataset | None) -> float:
    """Adjusted Rand index, NaN where the cells are not the same."""
    if one is None or other is None:
        return np.nan
    try:
        return float(cluster_agreement(one, other))
    except InputError:
        return np.nan


def returning(
    mine: NDArray[np.float64],  # (time, mode)
    theirs: NDArray[np.float64],  # (time, mode)
    shifts: NDArray[np.intp],
) -> tuple[int, float]:
    """Number of my modes that are among theirs, beyond shifts, and the median correlation."""
    used = [x[:, x.std(axis=0) > 0] for x in (mine, theirs)]
    if not all(x.shape[1] for x in used):
        return 0, np.nan
    own, others = used
    best = correlate(own, others).max(axis=1)
    as_good = np.ones(len(best))
    for shift in shifts:
        as_good += correlate(own, np.roll(others, shift, axis=0)).max(axis=1) >= best
    return int((as_good / (len(shifts) + 1) <= LEVEL).sum()), float(np.median(best))


def _shifts(frames: int, margin: int, draws: int, seed: int) -> NDArray[np.intp]:
    """As many circular shifts as are wanted, or as there are."""
    span = frames - 2 * margin
    if span < FEWEST:
        raise InputError(
            came=f"a movie of {frames} frames",
            expected=f"at least {FEWEST + 2 * margin}: {FEWEST} shifts by a second and more",
            hint="a longer movie",
        )
    return circular_shifts(frames, min(draws, span), margin, seed)
