"""The whole analysis of a retina model in one call: from a movie to modes and clusters of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.cells import cluster_agreement, cluster_cells, correlate
from neurocodec.completeness import completeness
from neurocodec.contribution import contributions
from neurocodec.errors import InputError, StorageError, unknown_name
from neurocodec.modes import SparseModes
from neurocodec.network import Network
from neurocodec.nn.attribution import Method
from neurocodec.nn.target import Target
from neurocodec.nn.targets import Mahalanobis, Output, Sum, Surprisal
from neurocodec.recording import Movie, recorded_rates, simulated_parts, stimulus_of, with_types
from neurocodec.samples import respond

logger = logging.getLogger(__name__)

CONTRIBUTIONS: Final = "contributions.nc"
RESPONSES: Final = "responses.nc"
CELLS: Final = "cells.nc"

FITTED_TARGETS: Final[Mapping[str, type[Mahalanobis]]] = {
    "surprisal": Surprisal,
    "mahalanobis": Mahalanobis,
}
"""Targets that are fitted to the model's firing rates, by name."""


@dataclass(frozen=True)
class RetinaAnalysis:
    """What `analyse_retina` finds.

    Parameters
    ----------
    model
        Name of the network.
    stimulus
        The movie that was shown (time, y, x).
    rates
        Firing rates of the model's cells (time, cell), in Hz; coord `cell_type` where known.
    recorded
        Recorded rates of the same cells at the same times, where the movie came with them.
    target
        The scalar that was explained.
    tree
        Contributions, as `nc.contributions` returns them.
    modes
        Modes of the excitatory contributions of each layer.
    correlation
        Correlation (mode, cell) of each layer's loadings with the firing rates.
    clusters
        Clusters of the cells by their correlation with the modes of each layer.
    unclustered
        Layers whose cells could not be clustered, and why.
    agreement
        Adjusted Rand index between the clusterings, and with `cell_type` where known.
    simulated
        What of all this is simulated: "model", "movie", both or nothing.
    """

    model: str
    stimulus: xr.DataArray
    rates: xr.DataArray
    recorded: xr.DataArray | None
    target: Target
    tree: xr.DataTree
    modes: Mapping[str, SparseModes]
    correlation: Mapping[str, xr.DataArray]
    clusters: Mapping[str, xr.Dataset]
    unclustered: Mapping[str, str]
    agreement: xr.DataArray
    simulated: tuple[str, ...]

    @property
    def layers(self) -> list[str]:
        """Names of the layers, in the network's order."""
        return list(self.tree.children)

    @property
    def completeness(self) -> xr.DataArray:
        """Relative completeness error (layer, quantile) of the contributions."""
        return completeness(self.tree)

    def responses(self) -> xr.Dataset:
        """Firing rates of the model, recorded ones, and how they correlate cell by cell."""
        data = self.rates.to_dataset()
        if self.recorded is not None:
            match = xr.corr(self.rates, self.recorded, dim=v.TIME)
            data["recorded_firing_rate"] = self.recorded
            data["correlation"] = labels.labelled(match.values, (v.CELL,), name="correlation")
        return labels.stamp(data, "nc.analyse_retina", rates=labels.provenance(self.rates))

    def cells(self) -> xr.DataTree:
        """Correlations and clusters of the cells layer by layer, and agreement at the root."""
        nodes = {"/": xr.Dataset({"adjusted_rand_index": self.agreement})}
        for layer, correlation in self.correlation.items():
            found = {"correlation": correlation, **self.clusters.get(layer, {})}
            nodes[f"/{layer}"] = xr.Dataset(found)
        tree = xr.DataTree.from_dict(nodes)
        return labels.stamp(tree, "nc.analyse_retina", contributions=labels.provenance(self.tree))

    def save(self, folder: str | Path) -> list[Path]:
        """Write every result to a folder: contributions, responses, modes and cells.

        Parameters
        ----------
        folder
            Made where it does not exist; results of an earlier analysis are replaced.

        Returns
        -------
        list of pathlib.Path
            The files.

        Raises
        ------
        StorageError
            Where a file cannot be written.
        """
        return _save({CONTRIBUTIONS: self.tree, **self._derived()}, existing_folder(folder))

    @property
    def files(self) -> list[str]:
        """Names of the files that `save` writes."""
        return [CONTRIBUTIONS, *self._derived()]

    def _derived(self) -> dict[str, Any]:
        """File name -> what is made from the contributions."""
        modes = {f"modes-{layer}.nc": found for layer, found in self.modes.items()}
        return {RESPONSES: self.responses(), **modes, CELLS: self.cells()}


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
        _save(analysis._derived(), folder)  # noqa: SLF001 - the contributions are there already
    return analysis


def _save(results: Mapping[str, Any], folder: Path) -> list[Path]:
    for name, result in results.items():
        storage.save(result, folder / name)
    return [folder / name for name in results]


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


def existing_folder(path: str | Path) -> Path:
    """Make a folder where there is none.

    Parameters
    ----------
    path
        Of the folder; its parents are made too.

    Raises
    ------
    StorageError
        Where something else is there, or it may not be made.

    Examples
    --------
    >>> existing_folder(".").is_dir()
    True
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            came=f"the folder {str(folder)!r}, which cannot be made: {error.strerror}",
            expected="a folder that can be written to",
            hint="another folder",
        ) from error
    return folder
