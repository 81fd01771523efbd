"""The whole analysis of a retina model in one call: from a movie to modes and clusters of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.analyses.options import MODE_SEEDS, MOMENTS, RETINA_EXPANSION, RETINA_STEPS
from neurocodec.analyses.retina.dynamics import follow_fields
from neurocodec.analyses.retina.findings import CONTRIBUTIONS, RetinaAnalysis
from neurocodec.analyses.retina.maps import map_movie
from neurocodec.analyses.retina.pictures import picture_movies
from neurocodec.analyses.retina.tension import cell_tension
from neurocodec.arguments import whole
from neurocodec.attribution.contributions import contributions
from neurocodec.attribution.plan import require_one
from neurocodec.cells.cluster_stability import cluster_stability
from neurocodec.cells.clustering import cluster_agreement, cluster_cells
from neurocodec.cells.correlate import correlate
from neurocodec.cells.explained import explained
from neurocodec.cells.recording import (
    Movie,
    is_simulated,
    recorded_rates,
    recorded_repeats,
    simulated_parts,
    stimulus_of,
    timed,
    what_was_shown,
    with_types,
)
from neurocodec.engine.respond import respond
from neurocodec.errors import InputError, unknown_name
from neurocodec.interneurons.compare import compare_interneurons
from neurocodec.interneurons.recordings import RecordedInterneurons
from neurocodec.kernels.ceiling import ceiling_interval, repeat_ceiling
from neurocodec.modes.sparse import SparseModes
from neurocodec.modes.stability import stability_by_layer
from neurocodec.network import Network
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.targets import Mahalanobis, Output, Sum, Surprisal
from neurocodec.nn.beside import beside
from neurocodec.nn.standardisation import Standardisation
from neurocodec.storage.files import existing_folder

logger = logging.getLogger(__name__)

SHIFTS: Final = 20
"""Circular shifts for the chance level of the interneurons: the smallest p-value is 1/21."""

PERMUTATIONS: Final = 199
"""Random relabellings with which agreements are compared: the smallest p-value is 0.005."""
REFERENCES: Final = 20
"""Sets of cells of one type with which the clusters are compared: the smallest p-value is 1/21."""

RESAMPLES: Final = 20
"""Times that the cells are clustered again, on resampled time."""
BLOCK: Final = 2.0
"""Seconds of time that are drawn together."""

FITTED_TARGETS: Final[Mapping[str, type[Mahalanobis]]] = {
    "surprisal": Surprisal,
    "mahalanobis": Mahalanobis,
}
"""Targets that are fitted to the model's firing rates, by name."""


def analyse_retina(
    net: Network,
    movie: Movie,
    *,
    layers: Iterable[str] | None = None,
    target: str | Target = "surprisal",
    method: Method | None = None,
    expansion: float | Literal["auto"] = RETINA_EXPANSION,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    interneurons: xr.Dataset | xr.DataTree | None = None,
    moments: int = MOMENTS,
    mode_seeds: int = MODE_SEEDS,
    pictures: bool = False,
    scores: xr.Dataset | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> RetinaAnalysis:
    """Analyse a retina model: everything of CODEC's section 7 and figure 8, in one call.

    Responses, contributions of hidden channels, their modes, clusters of cells by the modes that
    drive them, receptive fields from moment to moment and the combinations of modes that go with
    them, which part of the movie acts through some modes, and recorded interneurons against
    channels and modes.

    Parameters
    ----------
    net
        A network that sees a movie.
    movie
        The movie (time, y, x), or a Dataset with it as `stimulus`; where it has no times, its
        frames follow at the network's frame rate from 0. `firing_rate` (time, cell) or
        `spike_count` (repeat, time, cell) in the Dataset are compared with the model's rates
        where the cells' names are the model's.
    layers
        Aliases; all of the network's where None.
    target
        "surprisal" or "mahalanobis" of the population response, "sum", the name of a cell, or
        one of `nc.targets`.
    method
        One of `nc.methods`; ``IntegratedGradients(steps=20)`` where None. Paths start at a grey
        screen: zeros, or the mean frame for a network that standardises raw frames itself.
    expansion
        Modes per channel, or "auto", as `nc.SparseModes` takes it.
    seed
        Of the modes and the clusters.
    batch_size
        Samples computed together; None chooses.
    device
        Where to compute; None stays where the network is.
    interneurons
        Recorded interneurons with the stimulus that they saw, as `nc.compare_interneurons` takes
        them; those that came with the movie where None.
    moments
        Times at which the receptive fields of all cells are kept; 0 leaves the fields out.
    mode_seeds
        Fits of the modes, with further seeds, that say which modes come back and are above chance
        (`nc.mode_stability`); 0 leaves that out.
    pictures
        Whether to make the movies that channels of the first layer and some cells answer most to
        (`nc.visualise`).
    scores
        `RetinaFit.scores` of the model, to stand beside its responses: what it and an LN model
        reach on held-out responses.
    out
        Folder for the results. Contributions are written as they come: an interrupted analysis
        goes on there when the same call is made again.
    progress
        Whether to show bars.

    Returns
    -------
    RetinaAnalysis
        All results, labelled.

    Raises
    ------
    InputError
        Where movie, layers or target do not fit the network.
    StorageError
        Where `out` holds another run, or cannot be written.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
    >>> from neurocodec.zoo import retina_network
    >>> small = RetinaConfig(cells=4, history=4, size=(9, 9), channels=(2, 2), kernels=(3, 3))
    >>> net = retina_network(RetinaCNN(small).eval(), name="untrained")
    >>> frames = np.random.default_rng(0).normal(size=(200, 9, 9)).astype("float32")
    >>> movie = xr.DataArray(frames, {"time": np.arange(200) / 100}, ("time", "y", "x"))
    >>> quick = {"expansion": 2, "moments": 0, "mode_seeds": 0, "progress": False}
    >>> found = nc.analyse_retina(net, movie, method=nc.methods.ActGrad(), **quick)
    >>> found.correlation["layer2"].sizes
    Frozen({'mode': 4, 'cell': 4})
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    wanted = list(net.select_layers(layers))
    fit_target = _target_rule(target, net.outputs)
    method = method or IntegratedGradients(steps=RETINA_STEPS)
    folder = None if out is None else existing_folder(out)
    movie = timed(movie, net.frame_rate)
    stimulus = stimulus_of(movie)
    moments = whole("moments", moments, 0, hint="moments=0 leaves the fields out")
    again = whole("mode_seeds", mode_seeds, 0, hint="mode_seeds=0 leaves their stability out")
    _require_usable(net, interneurons)
    where: dict[str, Any] = {"device": device, "progress": progress}
    # made before anything is computed, so that a wrong setting or device costs no time
    fits = {layer: SparseModes(expansion=expansion, seed=seed, **where) for layer in wanted}
    rates = respond(net, stimulus, batch_size=batch_size or 64, **where)
    rates = with_types(rates, recorded := recorded_rates(movie, rates))
    fitted = fit_target(rates)
    place = None if folder is None else folder / CONTRIBUTIONS
    tree = contributions(
        net, stimulus, target=fitted, method=method, layers=wanted, baseline=_baseline(net),
        out=place, batch_size=batch_size, **where,
    )  # fmt: skip
    tree = _in_memory(tree)
    modes = {layer: fit.fit(tree[layer]) for layer, fit in fits.items()}
    begun = beside(partial(_refitted, tree, modes, rates, seed, again), tensors=True)
    analysis = RetinaAnalysis(
        net.name,
        stimulus,
        rates,
        recorded,
        fitted,
        tree,
        modes,
        **_dynamics(net, stimulus, rates, modes, moments=moments, seed=seed, **where),
        interneurons=_interneurons(net, movie, interneurons, modes, fitted, seed=seed, **where),
        simulated=simulated_parts(net, movie),
        **_maps(net, stimulus, modes, fitted, method, **where),
        **_beside(movie, rates, recorded, interneurons),
        scores=scores,
        **_tension(net, stimulus, rates, tree.data_vars[v.TARGET], **where),
        pictures=picture_movies(net, stimulus, rates, tree, **where) if pictures else None,
        **_told(begun()),
    )
    if folder is not None:
        analysis.save(folder, skip=(CONTRIBUTIONS,))  # which are there already
    return analysis


def _refitted(
    tree: xr.DataTree,
    modes: Mapping[str, SparseModes],
    rates: xr.DataArray,
    seed: int,
    fits: int,  # with further seeds, that say which modes come back
) -> dict[str, Any]:
    """Clusters of cells, and which modes come back, or why not: what does not need the network."""
    seeds = [seed + i for i in range(fits)]
    again = stability_by_layer(tree, modes, seeds, progress=False) if fits > 1 else {}
    return {**_clusters(modes, rates, seed), "mode_stability": again}


def _told(found: dict[str, Any]) -> dict[str, Any]:
    """Say what could not be done; all else is still worth having."""
    for layer, came in found["unclustered"].items():  # one or two cells
        logger.warning("the cells are not clustered by %s: %s", layer, came)
    again: dict[str, xr.Dataset | InputError] = found["mode_stability"]
    for layer, result in again.items():
        if isinstance(result, InputError):
            logger.warning("the modes of %s are not fitted again: %s", layer, result.came)
    kept = {k: x for k, x in again.items() if isinstance(x, xr.Dataset)}
    return {**found, "mode_stability": kept}


def _beside(
    movie: Movie,
    rates: xr.DataArray,
    recorded: xr.DataArray | None,
    interneurons: xr.Dataset | xr.DataTree | None,
) -> dict[str, Any]:
    """What is known without the model: what interneurons saw, and the ceiling of the cells."""
    return {
        "shown": None if interneurons is None else stimulus_of(interneurons),
        "ceiling": None if recorded is None else _ceiling(movie, rates),
    }


def _ceiling(movie: Movie, rates: xr.DataArray) -> xr.Dataset | None:
    """Highest correlation that the repeats allow, and what the rates explain, with intervals."""
    repeats = recorded_repeats(movie, rates)
    if repeats is None:
        return None
    dims, bounds = (v.BOUND, v.CELL), {v.BOUND: np.array(v.BOUNDS)}
    ends = ceiling_interval(repeats.values)
    return xr.Dataset(
        {
            "ceiling": labels.labelled(repeat_ceiling(repeats.values), (v.CELL,), name="ceiling"),
            "ceiling_interval": labels.labelled(ends, dims, bounds, name="ceiling_interval"),
            **explained(
                repeats.values,
                repeats.mean(v.REPEAT).values,
                rates.transpose(v.TIME, v.CELL).values,
                comment="rates not smoothed",
            ),
        }
    )


def _require_usable(net: Network, interneurons: xr.Dataset | xr.DataTree | None) -> None:
    """Refuse at the start what would be refused at the end."""
    if interneurons is not None:
        RecordedInterneurons.of(net, interneurons)


def _baseline(net: Network) -> Literal["mean"] | None:
    """The mean frame for a network that takes raw frames, whose zeros are black; else grey."""
    raw = any(isinstance(part, Standardisation) for part in net.module.modules())
    return "mean" if raw else None


def _dynamics(
    net: Network,
    stimulus: xr.DataArray,
    rates: xr.DataArray,
    modes: Mapping[str, SparseModes],
    *,
    moments: int,
    **options: Any,
) -> dict[str, Any]:
    """Follow the fields; where that cannot be done, say why."""
    if not moments:
        return {"dynamics": None}
    try:
        found = follow_fields(net, stimulus, rates, modes, moments=moments, **options)
    except InputError as error:  # no mode is ever active: all else is still worth having
        logger.warning("the fields are not followed: %s", error.came)
        return {"dynamics": None, "unfollowed": error.came}
    return {"dynamics": found}


def _maps(
    net: Network,
    stimulus: xr.DataArray,
    modes: Mapping[str, SparseModes],
    target: Target,
    method: Method,
    **where: Any,
) -> dict[str, Any]:
    where["baseline"] = _baseline(net)
    found, unmapped = map_movie(net, stimulus, modes, target, method, **where)
    return {"maps": found, "unmapped": unmapped}


def _tension(net: Network, *given: xr.DataArray, **where: Any) -> dict[str, Any]:
    where["baseline"] = _baseline(net) or "zeros"  # a grey screen, as of the contributions
    found, untense = cell_tension(net, *given, **where)
    return {"tension": found, "untense": untense}


def _interneurons(
    net: Network,
    movie: Movie,
    interneurons: xr.Dataset | xr.DataTree | None,
    modes: Mapping[str, SparseModes],
    target: Target,
    **options: Any,
) -> xr.DataTree | None:
    """Compare interneurons that were recorded with the movie, or with another stimulus."""
    if interneurons is not None:
        found = compare_interneurons(
            net, interneurons, list(modes), modes, target=target, chance=SHIFTS, **options
        )
        return _told_simulated(found, interneurons)
    if isinstance(movie, xr.DataArray) or not {*v.VOLTAGES} & {*map(str, movie.data_vars)}:
        return None
    loadings = {layer: m.loadings for layer, m in modes.items()}
    try:
        found = compare_interneurons(net, movie, list(modes), loadings, chance=SHIFTS, **options)
    except InputError as error:  # a movie too short for it; nobody asked for its interneurons
        logger.warning("the interneurons are not compared: %s", error.came)
        return None
    return _told_simulated(found, movie)


def _told_simulated(found: xr.DataTree, recording: Movie) -> xr.DataTree:
    """Say which part it was, how it was shown, and whether it is simulated."""
    if is_simulated(recording):
        found.attrs["simulated"] = 1
    found.attrs["shown"] = what_was_shown(recording)
    return found


def _clusters(modes: Mapping[str, SparseModes], rates: xr.DataArray, seed: int) -> dict[str, Any]:
    """Correlate loadings with rates, cluster the cells by that, and compare the clusterings."""
    # by ranks, as plain correlations are dominated by a few events with very high rates
    correlation = {k: correlate(m.loadings, rates, transform="rank") for k, m in modes.items()}
    clusters, unclustered = dict[str, xr.Dataset](), dict[str, str]()
    stability = dict[str, xr.Dataset]()
    for layer, found in modes.items():
        try:
            clusters[layer] = cluster_cells(
                correlation[layer], seed=seed, standardise=True, references=REFERENCES
            )
            count = int(clusters[layer]["n_clusters"])
            stability[layer] = _stability(found.loadings, rates, count, seed)
        except InputError as error:
            unclustered[layer] = error.came
    return {
        "correlation": correlation,
        "clusters": clusters,
        "unclustered": unclustered,
        "stability": stability,
        "agreement": _agreement(clusters, rates),
    }


def _stability(loadings: xr.DataArray, rates: xr.DataArray, count: int, seed: int) -> xr.Dataset:
    """How often the clusters come back on resampled time, in blocks of at most two seconds."""
    times = rates[v.TIME].values
    block = min(BLOCK, float(times[-1] - times[0]) / 10)
    return cluster_stability(loadings, rates, count, resamples=RESAMPLES, block=block, seed=seed)


def _agreement(clusters: Mapping[str, xr.Dataset], rates: xr.DataArray) -> xr.DataArray:
    """Adjusted Rand index of every pair of clusterings, the true types among them, and its p."""
    found: dict[str, xr.DataArray] = {layer: c["cluster"] for layer, c in clusters.items()}
    if found and "cell_type" in rates.coords:
        found["cell_type"] = rates["cell_type"]
    pairs = [
        cluster_agreement(a, b, permutations=PERMUTATIONS)
        for a, b in product(found.values(), repeat=2)
    ]
    names, square = np.array(list(found), dtype=str), (len(found), len(found))
    dims = ("clustering", "other_clustering")
    chance = np.reshape([float(pair["p_value"]) for pair in pairs], square)
    np.fill_diagonal(chance, np.nan)  # that a clustering is itself says nothing
    p_value = labels.labelled(chance, dims, name="p_value").variable
    return labels.labelled(
        np.reshape([float(pair) for pair in pairs], square),
        dims,
        {**dict.fromkeys(dims, names), "p_value": p_value},
        name="adjusted_rand_index",
    )


def _target_rule(
    target: str | Target, cells: tuple[str, ...] | None
) -> Callable[[xr.DataArray], Target]:
    """How to get the target once the rates are known; wrong names are refused before that."""
    if isinstance(target, str) and target in FITTED_TARGETS:
        return FITTED_TARGETS[target].fit
    require_one(target)
    if isinstance(target, Target):
        chosen = target
    elif target == "sum":
        chosen = Sum()
    elif cells is None or target in cells:
        chosen = Output(target)
    else:
        raise unknown_name("target", target, [*FITTED_TARGETS, "sum", *cells])
    return lambda _rates: chosen


def _in_memory(tree: xr.DataTree) -> xr.DataTree:
    """Read a tree that a run left in its file, and close the file."""
    loaded = tree.load()
    tree.close()
    return loaded
