"""Clusters of directions by splitting: the largest cluster in two, until there are enough."""

from __future__ import annotations

import heapq
from typing import Final

import numpy as np
from numpy.typing import NDArray

from neurocodec.kernels.spherical import Clusters, Values

ROUNDS: Final = 50
"""In which the two halves of a cluster settle, at most."""
AT_ONCE: Final = 2**23
"""Numbers that are held once more, at most, while rows are put into another order."""
_SAME: Final = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-13}
"""Distances (1 - cosine) that rounding makes between copies."""


def bisecting(rows: Values, clusters: int, *, seed: int, overwrite: bool = False) -> Clusters:
    """Split the cluster of most rows of length 1 by spherical 2-means, again and again.

    Fewer clusters come back where all that are left hold copies of one direction. `nearest` is the
    cluster that a row came into by the splits, which another centre may be nearer to. The rows are
    copied, unless they may be put into another order.
    """
    random = np.random.default_rng(seed)
    rows, place = (
        rows if overwrite else rows.copy(),
        np.arange(len(rows)),
    )  # rows of a cluster lie together
    waiting = [(-len(rows), 0, len(rows))]  # (-size, start, stop), the largest first
    done = list[tuple[int, int]]()
    rounds = 0
    while waiting and len(waiting) + len(done) < clusters:
        _, start, stop = heapq.heappop(waiting)
        some = slice(start, stop)
        # of finite rows of length 1 every product is finite; BLAS may raise the flag all the same,
        # of what lies beside them in its buffers (numpy/numpy#24067)
        with np.errstate(invalid="ignore"):
            side, taken = _halves(rows[some], random)
        rounds += taken
        if side is None:
            done.append((start, stop))
            continue
        order = np.argsort(side, kind="stable")
        place[some] = place[some][order]
        _arrange(rows[some], order)
        middle = stop - int(side.sum())
        for part in ((start, middle), (middle, stop)):
            heapq.heappush(waiting, (part[0] - part[1], *part))
    spans = sorted([*done, *((start, stop) for _, start, stop in waiting)])
    return _gathered(rows, place, spans, rounds)


def _halves(rows: Values, random: np.random.Generator) -> tuple[NDArray[np.bool_] | None, int]:
    """Which rows are on the second side; None where all are copies. With the rounds it took."""
    first = rows[random.integers(len(rows))]
    distance = np.maximum(1 - rows @ first, 0).astype(np.float64)
    distance[distance < _SAME[rows.dtype]] = 0
    total = np.cumsum(distance)
    if total[-1] == 0:
        return None, 0
    second = rows[np.searchsorted(total, random.random() * total[-1], side="right")]
    everything = rows.sum(0)
    side = rows @ (second - first) > 0
    for taken in range(1, ROUNDS + 1):
        there = side.astype(rows.dtype) @ rows
        here = everything - there
        before, side = side, rows @ (_unit(there) - _unit(here)) > 0
        if side.all() or not side.any():  # sums that point nowhere
            return before, taken
        if np.array_equal(before, side):
            break
    return side, taken


def _arrange(rows: Values, order: NDArray[np.intp]) -> None:
    """Put rows into an order, some channels after the other where they are many."""
    step = max(1, AT_ONCE // len(rows))
    for start in range(0, rows.shape[1], step):
        some = slice(start, start + step)
        rows[:, some] = rows[order, some]


def _unit(row: Values) -> Values:
    size = np.linalg.norm(row)
    return row / size if size > 0 else row


def _gathered(
    rows: Values, place: NDArray[np.intp], spans: list[tuple[int, int]], rounds: int
) -> Clusters:
    """Centres of clusters whose rows lie together, and where each row belongs."""
    centers = np.stack([_unit(rows[start:stop].sum(0)) for start, stop in spans])
    nearest, cosine = np.empty(len(rows), np.intp), np.empty(len(rows), rows.dtype)
    for cluster, (start, stop) in enumerate(spans):
        nearest[place[start:stop]] = cluster
        cosine[place[start:stop]] = rows[start:stop] @ centers[cluster]
    return Clusters(centers, nearest, cosine, rounds)
