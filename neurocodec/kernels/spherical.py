"""Clusters of directions: k-means on the unit sphere, by the cosine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

BLOCK = 2**22
"""Numbers of cosines that are held at once."""


class Clusters(NamedTuple):
    """Centres of length 1, and which of them is nearest to each row."""

    centers: Values  # (cluster, channel)
    nearest: NDArray[np.intp]  # (row,)
    cosine: Values  # (row,), with the nearest
    rounds: int


def unit_rows(rows: Values) -> Values:
    """Rows of length 1; none of them may be 0."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def spherical_kmeans(rows: Values, clusters: int, *, seed: int, most: int = 100) -> Clusters:
    """Cluster rows of length 1 so that the sum of cosines with their centres is a local maximum.

    Centres start as k-means++ draws them; a centre that loses all its rows goes to the row that is
    farthest from its own.
    """
    centers = _started(rows, clusters, np.random.default_rng(seed))
    nearest, cosine = nearest_center(rows, centers)
    done = 0
    while done < most:
        done += 1
        sums = _sums(rows, nearest, clusters)
        far = iter(np.argsort(cosine, kind="stable"))
        for empty in np.flatnonzero(np.bincount(nearest, minlength=clusters) == 0):
            sums[empty] = rows[next(far)]
        size = np.linalg.norm(sums, axis=1, keepdims=True)
        centers = np.divide(sums, size, out=centers, where=size > 0)
        before = nearest
        nearest, cosine = nearest_center(rows, centers)
        if np.array_equal(before, nearest):
            break
    return Clusters(centers, nearest, cosine, done)


def _started(rows: Values, clusters: int, random: np.random.Generator) -> Values:
    """Draw rows as centres, each by its distance from the nearest of those before (k-means++)."""
    chosen = [int(random.integers(len(rows)))]
    distance = np.full(len(rows), np.inf)
    while len(chosen) < clusters:
        distance = np.minimum(distance, np.maximum(1 - rows @ rows[chosen[-1]], 0))
        distance[chosen[-1]] = 0  # what rounding leaves of it
        total = np.cumsum(distance)
        chosen.append(int(np.searchsorted(total, random.random() * total[-1], side="right")))
    return np.array(rows[chosen])


def nearest_center(rows: Values, centers: Values) -> tuple[NDArray[np.intp], Values]:
    """The nearest centre of each row, and their cosine; all of length 1."""
    step = max(1, BLOCK // len(centers))
    nearest, cosine = np.empty(len(rows), np.intp), np.empty(len(rows), rows.dtype)
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        found = rows[some] @ centers.T
        nearest[some] = found.argmax(1)
        cosine[some] = np.take_along_axis(found, nearest[some, None], 1)[:, 0]
    return nearest, cosine


def _sums(rows: Values, nearest: NDArray[np.intp], clusters: int) -> Values:
    order = np.argsort(nearest, kind="stable")
    counts = np.bincount(nearest, minlength=clusters)
    sums = np.zeros((clusters, rows.shape[1]), rows.dtype)
    filled = counts > 0
    starts = (np.cumsum(counts) - counts)[filled]
    sums[filled] = np.add.reduceat(rows[order], starts, axis=0)
    return sums
