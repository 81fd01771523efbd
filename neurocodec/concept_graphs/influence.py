"""How much of an answer goes through each node of a graph of layers, over paths of all lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Influence(NamedTuple):
    """What goes through the sources of each pair of layers, the last pair first.

    Of each sample the sources of a layer share what its followed targets have, so that what ends
    in first sources, in residuals and in sources that are not followed sums to 1.
    """

    nodes: list[Floats]  # (sample, source)
    edges: list[Floats]  # (sample, target, source)


def influence(
    contributions: Sequence[Floats],  # (sample, target, source), of one target the last pair first
    followed: Sequence[NDArray[np.intp]],  # of each pair but the last: its targets among sources
) -> Influence:
    """Follow an answer back through layers: each target is shared among its sources by size.

    w (A + A^2 + ...) of circuit-tracer (Ameisen et al. 2025), with A the sizes of edges over the
    sum of those into a target, and w 1 for the answer; as layers are in order it is one product a
    pair of layers.
    """
    weight = np.ones((len(contributions[0]), 1)) if contributions else np.zeros((0, 1))
    found = Influence([], [])
    for k, signed in enumerate(contributions):
        edges = shares(signed) * weight[:, :, None]
        found.edges.append(edges)
        found.nodes.append(edges.sum(1))
        if k < len(followed):
            weight = found.nodes[k][:, followed[k]]
    return found


def shares(signed: Floats) -> Floats:
    """Sizes of edges over the sum of those into each target; 0 where nothing goes in."""
    size = np.abs(np.asarray(signed, np.float64))
    # by the largest first, as sizes may be so small or large that their sum is not a number
    most = size.max(-1, keepdims=True, initial=0.0)
    size = size / np.where(most > 0, most, 1.0)
    total = size.sum(-1, keepdims=True)
    return np.asarray(size / np.where(total > 0, total, 1.0))


def carrying(values: Floats, keep: float) -> NDArray[np.bool_]:
    """The fewest nodes that carry so much of the sum; those equal to the last of them too."""
    flat = np.asarray(values, np.float64).ravel()
    total = flat.sum()
    if total <= 0:
        return np.zeros(np.shape(values), dtype=bool)
    order = np.sort(flat)[::-1]
    # sums of shares miss 1 by rounding
    enough = np.searchsorted(np.cumsum(order) / total, keep - 1e-12)
    least = order[min(int(enough), len(order) - 1)]
    return np.asarray((np.asarray(values) >= least) & (np.asarray(values) > 0))
