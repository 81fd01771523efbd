"""Whether clusters of cells come back when time is drawn again, and their names on the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from neurocodec import arguments, clock, labels
from neurocodec import vocabulary as v
from neurocodec.cells.clustering import (
    UNASSIGNED,
    UNASSIGNED_TYPE,
    ClusterMethod,
    cell_patterns,
    cluster_cells,
    clustering_of,
    divide,
)
from neurocodec.cells.correlate import Transform, correlate
from neurocodec.errors import InputError, unknown_name
from neurocodec.rows.matrix import coords_of

_OTHER: Final = "other_cell"
Cells = TypeVar("Cells", xr.DataArray, xr.Dataset, xr.DataTree)


def cluster_stability(
    loadings: xr.DataArray,
    rates: xr.DataArray,
    k: int | Literal["silhouette"] = "silhouette",
    *,
    resamples: int = 50,
    block: float = 2.0,
    method: ClusterMethod = "kmeans",
    transform: Transform | None = "rank",
    standardise: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """Cluster the cells on resampled time again and again, and say which clusters come back.

    Moving-block bootstrap (Kuensch 1989): blocks of a few seconds are drawn with replacement, the
    correlation of loadings with rates is computed on them, and the cells are clustered by it,
    into as many clusters as on all of the time.

    Parameters
    ----------
    loadings
        (time, mode).
    rates
        (time, cell) at the same times, in Hz.
    k
        As in `cluster_cells`, for the clusters on all of the time.
    resamples
        How many times the cells are clustered again.
    block
        Length of a block, in seconds (in samples where there are no times); longer than an event.
    method
        As in `cluster_cells`.
    transform
        As in `correlate`.
    standardise
        As in `cluster_cells`.
    seed
        Of the method and of the draws.

    Returns
    -------
    xarray.Dataset
        `cluster` (cell), on all of the time; `co_clustering` (cell, other_cell), the part of the
        resamples in which two cells are together; `stability` (cell), the mean over resamples of
        the Jaccard index of the cells that are with the cell then and on all of the time (Hennig
        2007); `adjusted_rand_index` (resample) between the two clusterings; `n_clusters`. Cells
        without a pattern in a resample are alone in it.

    Raises
    ------
    InputError
        Where times differ, a block does not fit, there is no resample, or the cells cannot be
        clustered.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> time = {"time": np.arange(400) / 100}
    >>> loadings = xr.DataArray(random.random((400, 2)), time, ("time", "mode"))
    >>> rates = loadings.isel(mode=[0, 0, 1, 1]).rename(mode="cell") + 0.1 * random.random((400, 4))
    >>> found = cluster_stability(loadings, rates, resamples=5, block=0.5)
    >>> found.cluster.values.tolist(), found.stability.values.tolist()
    ([0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    resamples = arguments.whole("resamples", resamples, hint="resamples=50")
    dim = labels.sample_dim(loadings)
    loadings, rates = loadings.transpose(dim, ...), rates.transpose(dim, ...)
    corr = correlate(loadings, rates, transform=transform)
    full = cluster_cells(corr, k, seed=seed, method=method, standardise=standardise)
    size, length = len(loadings), _block(loadings, dim, block)
    count = int(full["n_clusters"])
    runs = []
    for i in range(resamples):
        rows = _blocks(size, length, np.random.default_rng([seed, i]))
        drawn = {dim: xr.DataArray(rows, dims=dim)}
        again = correlate(
            loadings.isel(drawn).drop_vars(dim, errors="ignore"),
            rates.isel(drawn).drop_vars(dim, errors="ignore"),
            transform=transform,
        )
        runs.append(_clustered(again, count, seed, method, standardise=standardise))
    result = _summary(full, np.array(runs).reshape(resamples, rates.sizes[v.CELL]))
    facts = {"k": k, "resamples": resamples, "block": block, "method": method, "seed": seed}
    return labels.stamp(
        result, "nc.cluster_stability", **facts, transform=transform, standardise=standardise
    )


def _block(data: xr.DataArray, dim: str, block: float) -> int:
    """Length of a block in samples."""
    block = arguments.number("block", block, "a length in seconds, above 0", hint="block=2.0")
    step = 1.0
    if dim in data.coords and dim == v.TIME and len(data) > 1:
        step = clock.step_of(clock.seconds(data[dim].variable).values)
    length = round(block / step)
    if not 1 <= length <= len(data) // 2:
        raise InputError(
            came=f"blocks of {block:g} ({length} samples) of {len(data)} samples",
            expected=f"from {step:g} to {len(data) // 2 * step:g}",
            hint=f"block={max(1, len(data) // 10) * step:g}",
        )
    return length


def _blocks(size: int, length: int, random: np.random.Generator) -> NDArray[np.intp]:
    starts = random.integers(size - length, size=-(-size // length), endpoint=True)
    return np.asarray((starts[:, None] + np.arange(length)).ravel()[:size])


def _clustered(
    corr: xr.DataArray, count: int, seed: int, method: ClusterMethod, *, standardise: bool
) -> NDArray[np.int64]:
    """Clusters, fewer where there are fewer different patterns."""
    patterns, known = cell_patterns(corr, standardise=standardise)
    cluster = np.full(len(known), UNASSIGNED)
    if known.any():
        most = len(np.unique(patterns, axis=0))
        cluster[known] = divide(patterns, min(count, most), seed, method)
    return cluster


def _summary(full: xr.Dataset, runs: NDArray[np.int64]) -> xr.Dataset:
    whole = full["cluster"].values
    known = whole != UNASSIGNED
    together = np.stack([_together(run) for run in runs])
    jaccard = _jaccard(together, _together(whole))
    stability = np.where(known, jaccard.mean(axis=0), np.nan)
    agreement = [adjusted_rand_score(whole[known], _singled(run)[known]) for run in runs]
    cell = coords_of(full["cluster"], v.CELL)
    names = {_OTHER: (_OTHER, cell[v.CELL].values)} if v.CELL in cell else {}
    return xr.Dataset(
        {
            "cluster": full["cluster"],
            "co_clustering": labels.labelled(
                together.mean(axis=0), (v.CELL, _OTHER), {**cell, **names}, name="co_clustering"
            ),
            "stability": labels.labelled(
                stability,
                (v.CELL,),
                cell,
                name="stability",
                long_name="mean Jaccard index of a cell's cluster in resampled time",
            ),
            "adjusted_rand_index": labels.labelled(
                agreement, ("resample",), name="adjusted_rand_index"
            ),
            "n_clusters": full["n_clusters"],
        }
    )


def _singled(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels with which every unassigned cell is a cluster of its own."""
    alone = UNASSIGNED - np.arange(len(cluster))
    return np.where(cluster == UNASSIGNED, alone, cluster)


def _together(cluster: NDArray[np.int64]) -> NDArray[np.bool_]:
    same = cluster[:, None] == cluster
    same &= (cluster != UNASSIGNED)[:, None]
    np.fill_diagonal(same, val=True)
    return np.asarray(same)


def _jaccard(runs: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray((runs & whole).sum(axis=-1) / (runs | whole).sum(axis=-1))


def label_cells(
    data: Cells,
    clusters: xr.Dataset | xr.DataArray,
    names: Mapping[int, str] | Sequence[str] | None = None,
) -> Cells:
    """Write clusters back onto cells, as the coordinate `cell_type`.

    Parameters
    ----------
    data
        Anything with the dim `cell`: rates, fields, a recording (of a DataTree every node that
        has the dim).
    clusters
        As `nc.cluster_cells` returns them, of the same cells.
    names
        Names of the clusters by number; "cluster 0", ... where None. Cells that no cluster has
        are "unassigned".

    Returns
    -------
    same type as `data`
        A copy with the coordinate `cell_type` (cell).

    Raises
    ------
    InputError
        Where the cells differ, there is no dim `cell`, or a cluster has no name.

    Examples
    --------
    >>> rates = xr.DataArray([[5.0, 1.0, 2.0]], dims=("time", "cell"))
    >>> found = xr.DataArray([1, 0, 0], dims="cell", name="cluster")
    >>> label_cells(rates, found, ["OFF", "ON"]).cell_type.values.tolist()
    ['ON', 'OFF', 'OFF']
    """
    cluster = clustering_of(clusters)
    types = np.array([_named(int(c), names) for c in cluster.values], dtype=str)
    if isinstance(data, xr.DataTree):
        return _label_tree(data, cluster, types)
    _require_cells(data, cluster)
    return data.assign_coords(cell_type=(v.CELL, types))


def _named(cluster: int, names: Mapping[int, str] | Sequence[str] | None) -> str:
    if cluster == UNASSIGNED:
        return UNASSIGNED_TYPE
    if names is None:
        return f"cluster {cluster}"
    known = dict(enumerate(names)) if not isinstance(names, Mapping) else dict(names)
    if cluster not in known:
        raise unknown_name("name of cluster", cluster, known)
    return str(known[cluster])


def _require_cells(data: xr.DataArray | xr.Dataset, cluster: xr.DataArray) -> None:
    if v.CELL not in data.dims:
        raise InputError(
            came=f"data with dims {tuple(map(str, data.dims))}",
            expected="the dim 'cell'",
            hint="data.rename(old_name='cell')",
        )
    held = data if isinstance(data, xr.DataArray) else _as_cells(data)
    labels.require_same(held, cluster, v.CELL, "the data and the clusters")


def _as_cells(data: xr.Dataset) -> xr.DataArray:
    """Cells of a Dataset, as one array."""
    coords = {v.CELL: data[v.CELL].values} if v.CELL in data.coords else None
    return xr.DataArray(np.zeros(data.sizes[v.CELL]), coords, (v.CELL,))


def _label_tree(data: xr.DataTree, cluster: xr.DataArray, types: NDArray[np.str_]) -> xr.DataTree:
    nodes = {node.path: node.to_dataset(inherit=False) for node in data.subtree}
    found = [path for path, node in nodes.items() if v.CELL in node.dims]
    if not found:
        raise InputError(came="a DataTree without the dim 'cell'", expected="a node that has it")
    for path in found:
        _require_cells(nodes[path], cluster)
        nodes[path] = nodes[path].assign_coords(cell_type=(v.CELL, types))
    return xr.DataTree.from_dict(nodes, name=data.name)
