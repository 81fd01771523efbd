"""Clusters of cells by their pattern of modes, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.kernels.resampling import gaussian_rows
from neurocodec.rows.matrix import coords_of

ClusterMethod = Literal["kmeans", "agglomerative", "gaussian mixture", "spectral"]
Clusters = NDArray[np.int64]

UNASSIGNED: Final = -1
"""Cluster of a cell without a pattern (its correlations are NaN, as where it never responds)."""
UNASSIGNED_TYPE: Final = "unassigned"
"""What `nc.label_cells` calls such a cell."""

EVIDENCE: Final = 0.05
"""p-value from which on nothing says that there is more than one type of cells."""

_NONE, _WEAK = 0.25, 0.5
"""Silhouettes below which a cell is not in its cluster, or hardly."""
_LARGEST_K: Final = 10
_STARTS: Final = 10
"""Starts of a method that depends on its start, of which the best is kept."""
_WIDTH: Final = 0.5
"""Width of the Gaussian affinity of spectral clustering in median distances of cells."""


def cluster_cells(
    corr: xr.DataArray,
    k: int | Literal["silhouette"] = "silhouette",
    k_max: int | None = None,
    seed: int = 0,
    *,
    method: ClusterMethod = "kmeans",
    standardise: bool = False,
    references: int = 0,
) -> xr.Dataset:
    """Cluster cells by their pattern, such as their correlation with every mode.

    The number of clusters is the one with the highest mean silhouette (Rousseeuw 1987). Modes
    without a correlation with any cell (dead ones) are left out, and cells without a pattern are
    cluster -1. Rank correlations (``nc.correlate(loadings, rates, transform="rank")``) with
    ``standardise=True`` tell similar types apart more surely than plain correlations, which a few
    events and a few modes dominate; `nc.analyse_retina` and `nc.cluster_stability` use them.

    A silhouette exists from two clusters on: also cells that are all alike are divided. Whether
    the division is more than chance, `references` says: as many sets of patterns are drawn from
    one Gaussian with the mean and covariance of the cells, and clustered alike. The covariance is
    made by the types themselves where there are some, so that this is a strict test.

    Parameters
    ----------
    corr
        Patterns (mode, cell), or `cell` and any one other dim.
    k
        Number of clusters, or "silhouette" to choose it.
    k_max
        Largest number that is tried; where None, 10, or what the cells allow.
    seed
        Seed of the method, and of the references.
    method
        Of scikit-learn: "kmeans" (CODEC fig. 8C), "agglomerative" (Ward), "gaussian mixture"
        (spherical, one variance per cluster), "spectral" (Gaussian affinity, half of the median
        distance wide).
    standardise
        Whether every mode is scaled to mean 0 and standard deviation 1 over the cells, so that
        all count alike; modes that go with no cell then add noise.
    references
        Sets of patterns of one Gaussian; 20 or more for a p-value of 0.05.

    Returns
    -------
    xarray.Dataset
        `cluster(cell)`, numbered from 0 by falling size; `silhouette(k)`; `n_clusters`;
        `pattern`, what was clustered, as it came or standardised, with the dims of `corr` and NaN
        for what was left out; `cell_silhouette(cell)`, below 0 where a cell is nearer to another
        cluster than to its own, as an outlier is that was put where it does not belong, and 0
        where it is alone; with references `p_value` = (1 + references whose highest silhouette is
        at least as high) / (1 + references). The coordinates of the cells are kept.

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
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    arguments.one_of("method", method, _METHODS)
    references = arguments.whole("references", references, 0, hint="references=20")
    patterns, known = cell_patterns(corr, standardise=standardise)
    counts = _tried(patterns, k, k_max)
    own = ("cluster", "silhouette", "n_clusters", "pattern", "cell_silhouette", "p_value", "k")
    labels.require_free_names(coords_of(corr, v.CELL), own, "the cells")
    fits = {n: divide(patterns, n, seed, method) for n in counts}
    curve = np.array([silhouette_score(patterns, fits[n]) for n in counts])
    tried = ("k", counts, {"units": v.DIMENSIONLESS, "long_name": "number of clusters"})
    best = counts[int(curve.argmax())] if k == "silhouette" else int(k)
    cluster = np.full(corr.sizes[v.CELL], UNASSIGNED)
    cluster[known] = fits[best]
    found = {
        "cluster": labels.labelled(cluster, (v.CELL,), coords_of(corr, v.CELL), name="cluster"),
        "silhouette": labels.labelled(curve, ("k",), {"k": tried}, name="silhouette"),
        "n_clusters": labels.labelled(best, (), name="n_clusters"),
        "pattern": _placed(corr, patterns),
        "cell_silhouette": _of_cells(corr, silhouette_samples(patterns, fits[best]), known),
    }
    if references:
        above = sum(
            _highest_silhouette(gaussian_rows(patterns, [seed, i]), counts, seed, method)
            >= curve.max()
            for i in range(references)
        )
        chance = (1 + above) / (1 + references)
        found["p_value"] = labels.labelled(chance, (), name="p_value")
    facts = {"k": k, "k_max": k_max, "seed": seed, "method": method, "standardise": standardise}
    facts["references"] = references
    data = labels.fingerprint(corr)
    return labels.stamp(xr.Dataset(found), "nc.cluster_cells", **facts, data=data)


def _placed(corr: xr.DataArray, patterns: NDArray[np.float64]) -> xr.DataArray:
    """Patterns (cells, features) that were clustered, at their places in what came."""
    turned = corr.transpose(v.CELL, ...)
    missing = np.isnan(np.asarray(turned.values, dtype=np.float64))
    known, used = (~missing.all(axis=axis) for axis in (1, 0))
    values = np.full(turned.shape, np.nan)
    values[np.ix_(known, used)] = patterns
    coords = {str(k): c.variable for k, c in corr.coords.items() if c.dims}
    placed = labels.labelled(values, [*map(str, turned.dims)], coords, name="pattern")
    return placed.transpose(*corr.dims)


def _of_cells(
    corr: xr.DataArray, values: NDArray[np.float64], known: NDArray[np.bool_]
) -> xr.DataArray:
    """Silhouette of every cell; NaN of those without a pattern."""
    found = np.full(len(known), np.nan)
    found[known] = values
    return labels.labelled(found, (v.CELL,), coords_of(corr, v.CELL), name="cell_silhouette")


def is_one_type(clusters: xr.Dataset) -> bool:
    """Whether nothing says that there is more than one type; False where nobody asked."""
    return "p_value" in clusters and float(clusters["p_value"]) >= EVIDENCE


def misplaced_cells(clusters: xr.Dataset) -> xr.DataArray:
    """Silhouettes of the cells that are hardly nearer to their own cluster than to another."""
    # no substantial structure below 0.25, a weak one below 0.5 (Kaufman and Rousseeuw 1990): these
    # where they are outliers among the cells, three robust standard deviations below the median
    found = clusters["cell_silhouette"]
    middle = np.nanmedian(found.values)
    spread = 1.4826 * np.nanmedian(np.abs(found.values - middle))
    weak = (found.values < _WEAK) & (found.values < middle - 3 * spread)
    return found[np.flatnonzero(weak | (found.values < _NONE))]


def _highest_silhouette(
    patterns: NDArray[np.float64], counts: Sequence[int], seed: int, method: ClusterMethod
) -> float:
    fits = (divide(patterns, n, seed, method) for n in counts)
    return max(float(silhouette_score(patterns, fit)) for fit in fits)


def cell_patterns(
    corr: xr.DataArray, *, standardise: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Patterns (cells, features) of cells that have one, scaled or not; which cells have one."""
    if not isinstance(corr, xr.DataArray) or v.CELL not in corr.dims or corr.ndim != 2:
        labels.require_dims(corr, (v.MODE, v.CELL), "patterns of cells")
    values = np.asarray(corr.transpose(v.CELL, ...).values, dtype=np.float64)
    # cells without a pattern, and features that no cell has, are left out
    known, used = (np.asarray(~np.isnan(values).all(axis=axis)) for axis in (1, 0))
    labels.require_finite(corr.transpose(v.CELL, ...)[known, used], "patterns of cells")
    patterns = values[known][:, used]
    return StandardScaler().fit_transform(patterns) if standardise else patterns, known


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
    if k != "silhouette" and not (arguments.is_whole(k) and 2 <= k <= most):
        raise InputError(
            came=f"k={k!r} for {len(patterns)} cells with {different} different patterns",
            expected=f"'silhouette' or a whole number from 2 to {most}",
            hint="k='silhouette'",
        )
    k_max = arguments.whole_or_none("k_max", k_max, 2)
    largest = min(most, _LARGEST_K if k_max is None else k_max)
    return sorted({*range(2, largest + 1), *([] if k == "silhouette" else [int(k)])})


def divide(patterns: NDArray[np.float64], k: int, seed: int, method: ClusterMethod) -> Clusters:
    """Clusters of patterns (cells, features) from 0 by falling size, then by first cell."""
    fitted = _METHODS[method](patterns, k, seed)
    names, first, sizes = np.unique(fitted, return_index=True, return_counts=True)
    order = names[np.lexsort((first, -sizes))]
    return np.asarray(np.argsort(order)[np.searchsorted(names, fitted)], dtype=np.int64)


def _k_means(patterns: NDArray[np.float64], k: int, seed: int) -> Clusters:
    found = KMeans(n_clusters=k, n_init=_STARTS, random_state=seed).fit_predict(patterns)
    return np.asarray(found)


def _ward(patterns: NDArray[np.float64], k: int, _seed: int) -> Clusters:
    return np.asarray(AgglomerativeClustering(n_clusters=k).fit_predict(patterns))


def _mixture(patterns: NDArray[np.float64], k: int, seed: int) -> Clusters:
    """Of a mixture that leaves a component without cells, k-means gives the clusters it has."""
    model = GaussianMixture(
        k, covariance_type="spherical", n_init=_STARTS, max_iter=500, random_state=seed
    )
    found = np.asarray(model.fit_predict(patterns))
    return found if len(np.unique(found)) == k else _k_means(patterns, k, seed)


def _spectral(patterns: NDArray[np.float64], k: int, seed: int) -> Clusters:
    distance = np.linalg.norm(patterns[:, None] - patterns, axis=-1)
    width = _WIDTH * np.median(distance[np.triu_indices(len(patterns), 1)])
    affinity = np.exp(-((distance / (width or 1.0)) ** 2) / 2)
    model = SpectralClustering(
        k, affinity="precomputed", n_init=_STARTS, random_state=seed, assign_labels="kmeans"
    )
    return np.asarray(model.fit_predict(affinity))


_METHODS: Final[Mapping[str, Callable[[NDArray[np.float64], int, int], Clusters]]] = {
    "kmeans": _k_means,
    "agglomerative": _ward,
    "gaussian mixture": _mixture,
    "spectral": _spectral,
}


def cluster_agreement(
    a: xr.DataArray | xr.Dataset,
    b: xr.DataArray | xr.Dataset,
    *,
    permutations: int = 0,
    seed: int = 0,
) -> xr.DataArray:
    """Adjusted Rand index of two clusterings of the same cells (Hubert and Arabie 1985).

    1 where they are the same up to names, about 0 by chance. Cells that one of them leaves
    unassigned (cluster -1, or the type "unassigned" of `nc.label_cells`) are left out.

    Parameters
    ----------
    a, b
        Results of `cluster_cells`, for instance of two layers or seeds, or any labels (cell),
        such as the coordinate `cell_type`.
    permutations
        Times that the cells of one are shuffled to see what chance gives.
    seed
        Of the permutations.

    Returns
    -------
    xarray.DataArray
        Scalar `adjusted_rand_index`; the attribute `cells` says how many were compared. With
        permutations the coordinate `p_value` = (1 + permutations that agree at least as well) /
        (1 + permutations).

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
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    left, right = clustering_of(a), clustering_of(b)
    permutations = arguments.whole("permutations", permutations, 0, hint="permutations=1000")
    labels.require_same(left, right, v.CELL, "the clusterings")
    known = _assigned(left) & _assigned(right)
    if known.sum() < 2:
        raise InputError(came=f"{known.sum()} cells assigned in both", expected="at least 2")
    one, other = (np.unique(c.values[known], return_inverse=True)[1] for c in (left, right))
    value = float(adjusted_rand_score(one, other))
    result = labels.labelled(value, (), name="adjusted_rand_index", cells=int(known.sum()))
    if permutations:
        above = _as_alike(one, other, permutations, seed)
        chance = labels.labelled((1 + above) / (1 + permutations), (), name="p_value")
        result = result.assign_coords(p_value=chance)
    return labels.stamp(result, "nc.cluster_agreement", permutations=permutations, seed=seed)


def _as_alike(one: Clusters, other: Clusters, permutations: int, seed: int) -> int:
    """Permutations of the cells that agree at least as well."""
    # with the sizes of all clusters fixed, the index grows with the sum of squares of the table
    # that counts how many cells are in cluster i of the one and j of the other
    random = np.random.default_rng(seed)
    left, right = (np.eye(c.max() + 1)[c] for c in (one, other))
    observed = np.sum((left.T @ right) ** 2)
    drawn = (random.permutation(left).T @ right for _ in range(permutations))
    return sum(bool(np.sum(table**2) >= observed) for table in drawn)


def clustering_of(data: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Clusters (cell) of a result of `cluster_cells`, or the labels that came."""
    if isinstance(data, xr.Dataset) and "cluster" in data:
        data = data["cluster"]
    return labels.require_dims(data, (v.CELL,), "a clustering")  # type: ignore[arg-type]


def _assigned(clusters: xr.DataArray) -> NDArray[np.bool_]:
    values = clusters.values
    if values.dtype.kind not in "iuf":
        return np.asarray(values.astype(str) != UNASSIGNED_TYPE)
    return np.asarray((values != UNASSIGNED) & ~np.isnan(values.astype(np.float64)))
