"""The whole analysis of a retina model in one call: from a movie to modes and clusters of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels
from neurocodec.cells import cluster_agreement, cluster_cells, correlate
from neurocodec.contribution import contributions
from neurocodec.errors import InputError, unknown_name
from neurocodec.findings import CONTRIBUTIONS, RetinaAnalysis
from neurocodec.modes import SparseModes
from neurocodec.network import Network
from neurocodec.nn.attribution import Method
from neurocodec.nn.target import Target
from neurocodec.nn.targets import Mahalanobis, Output, Sum, Surprisal
from neurocodec.recording import Movie, recorded_rates, simulated_parts, stimulus_of, with_types
from neurocodec.samples import respond
from neurocodec.storage.folders import existing_folder

logger = logging.getLogger(__name__)

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
    expansion: float = 10,
    seed: int = 0,
    batch_size: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> RetinaAnalysis:
    """Analyse a retina model: responses, contributions, modes, clusters of cells (CODEC sec. 7).

    Parameters
    ----------
    net
        A network that sees a movie.
    movie
        The movie (time, y, x), or a Dataset with it as `stimulus`. `firing_rate` (time, cell) or
        `spike_count` (repeat, time, cell) in the Dataset are compared with the model's rates
        where the cells' names are the model's.
    layers
        Aliases; all of the network's where None.
    target
        "surprisal" or "mahalanobis" of the population response, "sum", the name of a cell, or
        one of `nc.targets`.
    method
        One of `nc.methods`; ``IntegratedGradients(steps=20)`` where None.
    expansion
        Modes per channel.
    seed
        Of the modes and the clusters.
    batch_size
        Samples computed together; None chooses.
    device
        Where to compute; None stays where the network is.
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
    >>> from neurocodec.nn.retina import RetinaCNN, RetinaConfig
    >>> from neurocodec.zoo import retina_network
    >>> small = RetinaConfig(cells=4, history=4, size=(9, 9), channels=(2, 2), kernels=(3, 3))
    >>> net = retina_network(RetinaCNN(small).eval(), name="untrained")
    >>> frames = np.random.default_rng(0).normal(size=(200, 9, 9)).astype("float32")
    >>> movie = xr.DataArray(frames, {"time": np.arange(200) / 100}, ("time", "y", "x"))
    >>> found = nc.analyse_retina(net, movie, expansion=2, progress=False)
    >>> found.correlation["layer2"].sizes
    Frozen({'mode': 4, 'cell': 4})
    """
    wanted = list(net.select_layers(layers))
    fit_target = _target_rule(target, net.outputs)
    folder = None if out is None else existing_folder(out)
    stimulus = stimulus_of(movie)
    where: dict[str, Any] = {"device": device, "progress": progress}
    # made before anything is computed, so that a wrong setting or device costs no time
    fits = {layer: SparseModes(expansion=expansion, seed=seed, **where) for layer in wanted}
    rates = respond(net, stimulus, batch_size=batch_size or 64, **where)
    recorded = recorded_rates(movie, rates)
    rates = with_types(rates, recorded)
    fitted = fit_target(rates)
    path = None if folder is None else folder / CONTRIBUTIONS
    tree = contributions(
        net,
        stimulus,
        target=fitted,
        method=method,
        layers=wanted,
        out=path,
        batch_size=batch_size,
        **where,
    )
    tree = _in_memory(tree)
    modes = {layer: fit.fit(tree[layer]) for layer, fit in fits.items()}
    analysis = RetinaAnalysis(
        net.name,
        stimulus,
        rates,
        recorded,
        fitted,
        tree,
        modes,
        **_clusters(modes, rates, seed),
        simulated=simulated_parts(net, stimulus),
    )
    if folder is not None:
        analysis.save(folder, skip=(CONTRIBUTIONS,))  # which are there already
    return analysis


def _clusters(modes: Mapping[str, SparseModes], rates: xr.DataArray, seed: int) -> dict[str, Any]:
    """Correlate loadings with rates, cluster the cells by that, and compare the clusterings."""
    correlation = {layer: correlate(m.loadings, rates) for layer, m in modes.items()}
    clusters, unclustered = dict[str, xr.Dataset](), dict[str, str]()
    for layer, patterns in correlation.items():
        try:
            clusters[layer] = cluster_cells(patterns, seed=seed)
        except InputError as error:  # one or two cells: all else is still worth having
            unclustered[layer] = error.came
            logger.warning("the cells are not clustered by %s: %s", layer, error.came)
    return {
        "correlation": correlation,
        "clusters": clusters,
        "unclustered": unclustered,
        "agreement": _agreement(clusters, rates),
    }


def _agreement(clusters: Mapping[str, xr.Dataset], rates: xr.DataArray) -> xr.DataArray:
    """Adjusted Rand index of every pair of clusterings, the true types among them."""
    found: dict[str, xr.DataArray] = {layer: c["cluster"] for layer, c in clusters.items()}
    if found and "cell_type" in rates.coords:
        found["cell_type"] = rates["cell_type"]
    pairs = [float(cluster_agreement(a, b)) for a, b in product(found.values(), repeat=2)]
    names = np.array(list(found), dtype=str)
    return labels.labelled(
        np.reshape(pairs, (len(found), len(found))),
        ("clustering", "other_clustering"),
        {"clustering": names, "other_clustering": names},
        name="adjusted_rand_index",
    )


def _target_rule(
    target: str | Target, cells: tuple[str, ...] | None
) -> Callable[[xr.DataArray], Target]:
    """How to get the target once the rates are known; wrong names are refused before that."""
    if isinstance(target, str) and target in FITTED_TARGETS:
        return FITTED_TARGETS[target].fit
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
