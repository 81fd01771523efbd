"""Unit vectors for the directions of rows: by clusters, of the rows themselves, at random."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError, warn
from neurocodec.kernels.bisecting import bisecting
from neurocodec.kernels.spherical import nearest_center, spherical_kmeans

By: TypeAlias = Literal["bisecting", "kmeans", "exemplars", "random"]
_OF_ROWS: Final = ("bisecting", "kmeans", "exemplars")
"""Methods that have at most as many vectors as there are different rows."""


class Found(NamedTuple):
    """Unit vectors, and the rows of each: of its cluster, or those that are nearest to it."""

    vectors: NDArray[np.float32]  # (mode, channel)
    size: NDArray[np.intp]  # (mode,), rows
    cosine: NDArray[np.float64]  # (mode,), mean cosine with these


def directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1, written over the rows that came; those that are 0 are left out."""
    size = np.sqrt(np.einsum("rc,rc->r", rows, rows))  # with no copy of the rows
    if not size.all():
        alive = size > 0
        warn(
            f"{int((~alive).sum())} of {len(rows)} vectors are the offset itself and have no"
            " direction: left out"
        )
        rows, size = rows[alive], size[alive]
    rows /= size[:, None]
    return rows


def found(rows: NDArray[np.float32], count: int, by: By, seed: int) -> Found:
    """So many unit vectors for rows of length 1, which may be put into another order."""
    random, clusters = np.random.default_rng(seed), None
    if by in _OF_ROWS:
        first = _different(rows)
        _require_enough(len(first), count, len(rows))
    if by == "random":
        drawn = random.normal(size=(count, rows.shape[1]))
        vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    elif by == "exemplars":
        vectors = rows[np.sort(random.permutation(first)[:count])]
    else:
        clusters = (
            spherical_kmeans(rows, count, seed=seed)
            if by == "kmeans"
            else bisecting(rows, count, seed=seed, overwrite=True)
        )
        vectors = np.asarray(clusters.centers, np.float32)
        _require_enough(len(vectors), count, len(rows))
    own = (clusters.nearest, clusters.cosine) if clusters else nearest_center(rows, vectors)
    nearest, cosine = own
    size = np.bincount(nearest, minlength=len(vectors))
    mean = np.bincount(nearest, cosine, len(vectors)) / np.maximum(size, 1)
    return Found(vectors, size, np.where(size > 0, mean, np.nan))


def _different(rows: NDArray[np.float32]) -> NDArray[np.intp]:
    """Place of the first of all rows that are the same."""
    known = dict[bytes, int]()
    for place, row in enumerate(np.ascontiguousarray(rows)):
        known.setdefault(blake2b(row.data, digest_size=16).digest(), place)
    return np.array([*known.values()], np.intp)


def _require_enough(different: int, count: int, total: int) -> None:
    if different < count:
        raise InputError(
            came=f"{count} concept vectors of {total} vectors, {different} of them different",
            expected="no more than there are different ones",
            hint=f"nc.ConceptVectors(vectors={different}), or vectors of more positions:"
            " nc.point_vectors(..., per_image=4)"
            if different
            else "vectors that differ from their mean",
        )
