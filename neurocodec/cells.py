"""Cells, recorded or modelled: how they go with modes, which are alike, which are the same."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels import correlation

UNASSIGNED: Final = -1
"""Cluster of a cell without a pattern (its correlations are NaN, as where it never responds)."""

_LARGEST_K: Final = 10
_STARTS: Final = 10
"""Starts of k-means, of which the best is kept."""


def correlate(a: xr.DataArray, b: xr.DataArray, dim: str | None = None) -> xr.DataArray:
    """Pearson correlation of every column of `a` with every column of `b`.

    Loadings (time, mode) with firing rates (time, cell) give (mode, cell); loadings (stimulus,
    mode) with class masks (stimulus, category) give (mode, category).

    Parameters
    ----------
    a, b
        Labelled arrays with the same samples; their other dims must differ.
    dim
        Dimension of the samples; `time` or `stimulus`, whichever there is, where None.

    Returns
    -------
    xarray.DataArray
        `correlation` with the other dims of `a`, then of `b`, and their coordinates; NaN where a
        column is constant or holds a NaN.

    Raises
    ------
    InputError
        Where the samples differ (nothing is joined), or another dim is in both.

    Examples
    --------
    >>> loadings = xr.DataArray([[0.0], [1.0], [2.0]], dims=("time", "mode"))
    >>> rates = xr.DataArray([[5.0, 1.0], [6.0, 0.0], [7.0, -1.0]], dims=("time", "cell"))
    >>> correlate(loadings, rates).round(3).values.tolist()
    [[1.0, -1.0]]
    """
    dim = dim or labels.sample_dim(a)
    labels.require_same(a, b, dim, "the arrays to correlate")
    _require_disjoint(a, b, dim)
    left, right = (array.transpose(dim, ...) for array in (a, b))
    values = correlation.correlate(_columns(left), _columns(right))
    dims = (*map(str, left.dims[1:]), *map(str, right.dims[1:]))
    coords = {**_other_coords(left, dim), **_other_coords(right, dim)}
    result = labels.labelled(
        values.reshape(left.shape[1:] + right.shape[1:]), dims, coords, name="correlation"
    )
    return labels.stamp(result, "nc.correlate", dim=dim, samples=a.sizes[dim])


def _require_disjoint(a: xr.DataArray, b: xr.DataArray, dim: str) -> None:
    shared = (set(a.dims) & set(b.dims)) - {dim}
    if shared:
        name = min(map(str, shared))
        raise InputError(
            came=f"two arrays that both have the dim {name!r}",
            expected=f"no shared dim but {dim!r}, because the result has all the others",
            hint=f"b.rename({name}='other_{name}')",
        )


def _columns(array: xr.DataArray) -> NDArray[np.float64]:
    return np.asarray(array.values, dtype=np.float64).reshape(array.shape[0], -1)


def _other_coords(array: xr.DataArray, dim: str) -> dict[str, xr.Variable]:
    return {str(k): c.variable for k, c in array.coords.items() if c.dims and dim not in c.dims}


def cluster_cells(
    corr: xr.DataArray,
    k: int | Literal["silhouette"] = "silhouette",
    k_max: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Cluster cells by their pattern, such as their correlation with every mode.

    k-means (scikit-learn) on the columns; the number of clusters is the one with the highest
    mean silhouette. Modes without a correlation with any cell (dead ones) are left out, and
    cells without a pattern are cluster -1.

    Parameters
    ----------
    corr
        Patterns (mode, cell), or `cell` and any one other dim.
    k
        Number of clusters, or "silhouette" to choose it.
    k_max
        Largest number that is tried; where None, 10, or what the cells allow.
    seed
        Seed of k-means.

    Returns
    -------
    xarray.Dataset
        `cluster(cell)`, numbered from 0 by falling size; `silhouette(k)`; `n_clusters`. The
        coordinates of the cells are kept.

    Raises
    ------
    InputError
        Where there are fewer than 3 different patterns, or `k` is not possible with them.

    Examples
    --------
    >>> corr = xr.DataArray([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.8, 0.9]], dims=("mode", "cell"))
    >>> found = cluster_cells(corr)
    >>> int(found.n_clusters), found.cluster.values.tolist()
    (2, [0, 0, 1, 1])
    """
    patterns, known = _patterns(corr)
    counts = _tried(patterns, k, k_max)
    fits = {n: _k_means(patterns, n, seed) for n in counts}
    curve = np.array([silhouette_score(patterns, fits[n]) for n in counts])
    best = counts[int(curve.argmax())] if k == "silhouette" else k
    cluster = np.full(corr.sizes[v.CELL], UNASSIGNED)
    cluster[known] = fits[best]
    found = xr.Dataset(
        {
            "cluster": labels.labelled(cluster, (v.CELL,), _cell_coords(corr), name="cluster"),
            "silhouette": labels.labelled(curve, ("k",), {"k": counts}, name="silhouette"),
            "n_clusters": labels.labelled(best, (), name="n_clusters"),
        }
    )
    return labels.stamp(found, "nc.cluster_cells", k=k, seed=seed, data=labels.fingerprint(corr))


def _patterns(corr: xr.DataArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Patterns of the cells that have one, without features that no cell has."""
    if not isinstance(corr, xr.DataArray) or v.CELL not in corr.dims or corr.ndim != 2:
        labels.require_dims(corr, (v.MODE, v.CELL), "patterns of cells")
    values = np.asarray(corr.transpose(v.CELL, ...).values, dtype=np.float64)
    known, used = (np.asarray(~np.isnan(values).all(axis=axis)) for axis in (1, 0))
    labels.require_finite(corr.transpose(v.CELL, ...)[known, used], "patterns of cells")
    return values[known][:, used], known


def _tried(
    patterns: NDArray[np.float64], k: int | Literal["silhouette"], k_max: int | None
) -> list[int]:
    """Numbers of clusters that have a silhouette: from 2 to one less than the patterns."""
    different = len(np.unique(patterns, axis=0)) if patterns.size else 0
    most = min(different, len(patterns) - 1)
    if len(patterns) < 3 or different < 2:
        raise InputError(
            came=f"{len(patterns)} cells with {different} different patterns",
            expected="at least 3 cells with a pattern, 2 of them different",
            hint="more cells, or modes that are active",
        )
    if k != "silhouette" and not (isinstance(k, int) and 2 <= k <= most):
        raise InputError(
            came=f"k={k!r} for {len(patterns)} cells with {different} different patterns",
            expected=f"'silhouette' or a whole number from 2 to {most}",
            hint="k='silhouette'",
        )
    if k_max is not None and k_max < 2:
        raise InputError(came=f"k_max={k_max!r}", expected="a whole number of at least 2")
    largest = min(most, _LARGEST_K if k_max is None else k_max)
    return sorted({*range(2, largest + 1), *([k] if isinstance(k, int) else [])})


def _k_means(patterns: NDArray[np.float64], k: int, seed: int) -> NDArray[np.int64]:
    """Clusters from 0 by falling size, and by first cell among equals."""
    fitted = KMeans(n_clusters=k, n_init=_STARTS, random_state=seed).fit(patterns).labels_
    names, first, sizes = np.unique(fitted, return_index=True, return_counts=True)
    order = names[np.lexsort((first, -sizes))]
    return np.asarray(np.argsort(order)[np.searchsorted(names, fitted)], dtype=np.int64)


def _cell_coords(data: xr.DataArray) -> dict[str, xr.Variable]:
    return {str(k): c.variable for k, c in data.coords.items() if c.dims == (v.CELL,)}


def cluster_agreement(a: xr.DataArray | xr.Dataset, b: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Adjusted Rand index of two clusterings of the same cells (Hubert and Arabie 1985).

    1 where they are the same up to names, about 0 by chance. Cells that one of them leaves
    unassigned (cluster -1) are left out.

    Parameters
    ----------
    a, b
        Results of `cluster_cells`, for instance of two layers, or any labels (cell), such as
        the coordinate `cell_type`.

    Returns
    -------
    xarray.DataArray
        Scalar `adjusted_rand_index`; the attribute `cells` says how many were compared.

    Raises
    ------
    InputError
        Where the cells differ (nothing is joined), or fewer than 2 are assigned in both.

    Examples
    --------
    >>> types = xr.DataArray(["ON", "ON", "OFF"], dims="cell")
    >>> float(cluster_agreement(xr.DataArray([1, 1, 0], dims="cell"), types))
    1.0
    """
    left, right = _clusters(a), _clusters(b)
    labels.require_same(left, right, v.CELL, "the clusterings")
    known = _assigned(left) & _assigned(right)
    if known.sum() < 2:
        raise InputError(came=f"{known.sum()} cells assigned in both", expected="at least 2")
    value = adjusted_rand_score(left.values[known].astype(str), right.values[known].astype(str))
    result = labels.labelled(float(value), (), name="adjusted_rand_index", cells=int(known.sum()))
    return labels.stamp(result, "nc.cluster_agreement")


def _clusters(data: xr.DataArray | xr.Dataset) -> xr.DataArray:
    if isinstance(data, xr.Dataset) and "cluster" in data:
        data = data["cluster"]
    return labels.require_dims(data, (v.CELL,), "a clustering")  # type: ignore[arg-type]


def _assigned(clusters: xr.DataArray) -> NDArray[np.bool_]:
    values = clusters.values
    if values.dtype.kind not in "iuf":
        return np.ones(values.shape, dtype=bool)
    return np.asarray((values != UNASSIGNED) & ~np.isnan(values.astype(np.float64)))
