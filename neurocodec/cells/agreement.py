"""Whether two clusterings of the same cells agree, and more than by chance."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.cells.clustering import UNASSIGNED, UNASSIGNED_TYPE, Labels
from neurocodec.errors import InputError


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
    left, right = clustering_of(a), clustering_of(b)
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


def _as_alike(one: Labels, other: Labels, permutations: int, seed: int) -> int:
    """Permutations of the cells that agree at least as well.

    With the sizes of all clusters fixed, the index grows with the sum of squares of the table
    that counts how many cells are in cluster i of the one and j of the other.
    """
    random = np.random.default_rng(seed)
    left, right = (np.eye(c.max() + 1)[c] for c in (one, other))
    observed = np.sum((left.T @ right) ** 2)
    drawn = (random.permutation(left).T @ right for _ in range(permutations))
    return sum(bool(np.sum(table**2) >= observed) for table in drawn)


def clustering_of(data: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Labels (cell) of a result of `cluster_cells`, or the labels that came.

    Parameters
    ----------
    data
        Clusters, or any labels of cells.

    Examples
    --------
    >>> clustering_of(xr.DataArray([0, 1], dims="cell")).values.tolist()
    [0, 1]
    """
    if isinstance(data, xr.Dataset) and "cluster" in data:
        data = data["cluster"]
    return labels.require_dims(data, (v.CELL,), "a clustering")  # type: ignore[arg-type]


def _assigned(clusters: xr.DataArray) -> NDArray[np.bool_]:
    values = clusters.values
    if values.dtype.kind not in "iuf":
        return np.asarray(values.astype(str) != UNASSIGNED_TYPE)
    return np.asarray((values != UNASSIGNED) & ~np.isnan(values.astype(np.float64)))
