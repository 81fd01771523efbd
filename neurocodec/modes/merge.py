"""Modes that are near-copies of each other, taken for one."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.rows.matrix import coords_of, require_loadings


def merge_modes(
    loadings: xr.DataArray, dictionary: xr.DataArray, *, cosine: float = 0.95
) -> xr.DataArray:
    """Take modes that are near-copies of each other for one mode.

    Many modes for few channels are near-copies, of which several are active at once; then hardly
    ever is "one mode" active alone. Modes are joined by average linkage (scipy) on the cosine of
    their channels, and a group goes by the name of its most used mode r: its loading is
    sum_m loading_m |d_m| / |d_r|, so that the group adds about loading x d_r to the data.

    Parameters
    ----------
    loadings
        (time, mode) or (stimulus, mode).
    dictionary
        (mode, channel), or with further dims.
    cosine
        Mean cosine between groups from which on they are one, above 0; 1 joins nothing but exact
        copies.

    Returns
    -------
    xarray.DataArray
        `loading` (time, mode) of fewer modes, with the coords `copies` (mode), how many modes are
        in the group, and `members` (mode), their names. Modes whose loading is always 0 are left
        out; a mode without any channel is a group by itself.

    Raises
    ------
    InputError
        Where the modes of the two differ, no mode is ever active, or the cosine is out of range.

    Examples
    --------
    >>> loadings = xr.DataArray([[1.0, 0.5, 0.0], [0.0, 0.0, 2.0]], dims=("time", "mode"))
    >>> dictionary = xr.DataArray([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]], dims=("mode", "channel"))
    >>> merged = merge_modes(loadings, dictionary)
    >>> merged.members.values.tolist(), merged.round(2).values.tolist()
    (['0 1', '2'], [[2.0, 0.0], [0.0, 2.0]])
    """
    arguments.cosine(cosine)
    values, loadings = require_loadings(loadings)
    labels.require_same(loadings, dictionary, v.MODE, "loadings and dictionary")
    used = np.flatnonzero((values != 0).any(axis=0))
    if not len(used):
        raise InputError(came="loadings that are all 0", expected="a mode that is active")
    atoms = np.asarray(dictionary.transpose(v.MODE, ...).values, dtype=np.float64)
    atoms = atoms.reshape(len(atoms), -1)[used]
    norm = np.linalg.norm(atoms, axis=1)
    group = _near_copies(atoms, norm, cosine)
    values, names = values[:, used], loadings[v.MODE].values[used]
    members = [np.flatnonzero(group == g) for g in dict.fromkeys(group.tolist())]
    mean = np.abs(values).mean(axis=0)
    heads = np.array([m[np.argmax(mean[m])] for m in members])
    sizes = np.where(norm > 0, norm, 1.0)
    columns = [values[:, m] @ (sizes[m] / sizes[h]) for m, h in zip(members, heads, strict=True)]
    dim = labels.sample_dim(loadings)
    coords = {
        **coords_of(loadings, dim),
        v.MODE: names[heads],
        "copies": (v.MODE, [len(m) for m in members], {"units": v.DIMENSIONLESS}),
        "members": (v.MODE, [" ".join(map(str, names[m])) for m in members]),
    }
    merged = labels.labelled(np.stack(columns, axis=1), (dim, v.MODE), coords, name="loading")
    return labels.stamp(merged, "nc.merge_modes", cosine=cosine)


def _near_copies(
    atoms: NDArray[np.float64], norm: NDArray[np.float64], cosine: float
) -> NDArray[np.int64]:
    if len(atoms) < 2:
        return np.zeros(len(atoms), dtype=np.int64)
    unit = atoms / np.where(norm > 0, norm, 1.0)[:, None]
    distance = squareform(np.clip(1.0 - unit @ unit.T, 0.0, None), checks=False)
    tree = linkage(distance, method="average")
    return np.asarray(fcluster(tree, 1.0 - cosine + 1e-12, criterion="distance"), dtype=np.int64)
