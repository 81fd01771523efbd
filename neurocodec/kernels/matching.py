"""Which modes of two dictionaries are the same, and what several dictionaries agree on.

A dictionary is an array (modes, channels), of any number of modes in any order. `match_modes` pairs
those of two; on it rest the consensus of several (`consensus_modes`) and the part of the modes of
one fit that another fit finds again (`replication`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from neurocodec.errors import InputError

UNMATCHED: Final = -1
"""Index of the match of a mode that has none."""

_ROUNDS: Final = 100
"""Times that a consensus is made anew, at most."""
_STILL: Final = 1e-9
"""A consensus is stable where no mode turns by more than this (1 - cosine)."""
_AT_ONCE: Final = 256
"""Modes that rows are projected on at once."""


def unit_rows(modes: ArrayLike) -> NDArray[np.float64]:
    """Modes (modes, channels) divided by their norms; a mode that is zero stays zero."""
    rows = np.asarray(modes, dtype=np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise InputError(
            came=f"a dictionary of shape {rows.shape}, {np.isfinite(rows).sum()} values finite",
            expected="(modes, channels), all finite",
        )
    peak = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows = rows / np.where(peak > 0, peak, 1.0)  # so that squares neither vanish nor overflow
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norm > 0, norm, 1.0))


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Cosine of every mode of `a` with every mode of `b`; 0 with a mode that is zero."""
    left, right = unit_rows(a), unit_rows(b)
    if left.shape[1] != right.shape[1]:
        raise InputError(
            came=f"dictionaries of {left.shape[1]} and {right.shape[1]} channels",
            expected="the same channels in both",
        )
    product: NDArray[np.float64] = left @ right.T
    return np.clip(product, -1.0, 1.0)


def match_modes(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Row of `b` that is each mode of `a`, and their cosine: pairs with the largest sum of them."""
    similarity = cosine_similarity(a, b)
    # Hungarian method: no mode of b is used twice; norms do not matter, signs do. Where nothing is
    # left the cosine is 0, so that means count what was not found.
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    index = np.full(len(similarity), UNMATCHED, dtype=np.intp)
    cosine = np.zeros(len(similarity))
    index[rows] = columns
    cosine[rows] = similarity[rows, columns]
    return index, cosine


def nearest_cosine(modes: ArrayLike) -> NDArray[np.float64]:
    """Cosine of each mode with the closest other one of its dictionary; NaN if there is none."""
    similarity = cosine_similarity(modes, modes)
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def distinct_modes(modes: ArrayLike, cosine: float = 0.99) -> NDArray[np.bool_]:
    """True for one of all modes that are nearly copies of each other; never for a zero."""
    similar = cosine_similarity(modes, modes) >= cosine
    norms = np.linalg.norm(np.asarray(modes, dtype=np.float64), axis=1)
    free, kept = norms > 0, np.zeros(len(norms), dtype=bool)
    # the strongest is kept first, then each next one that no kept one resembles
    for mode in np.argsort(-norms, kind="stable"):
        if free[mode]:
            kept[mode] = True
            free &= ~similar[mode]
    return kept


@dataclass(frozen=True)
class Consensus:
    """What several dictionaries agree on."""

    modes: NDArray[np.float64]  # (modes, channels), of norm 1
    index: NDArray[np.intp]  # (dictionaries, modes): the row that is this mode, -1 for none
    cosine: NDArray[np.float64]  # of that row with the mode of all *other* dictionaries; 0 for none


def consensus_modes(dictionaries: Sequence[NDArray[Any]]) -> Consensus:
    """Modes that several dictionaries (modes, channels) share, and how well each has them."""
    units = [unit_rows(d) for d in dictionaries]
    if len(units) < 2 or not all(len(u) for u in units):
        raise InputError(
            came=f"dictionaries of {[len(u) for u in units]} modes",
            expected="at least two, each of at least one mode",
        )
    # Starts at the dictionary that the others match best. Each mode becomes the mean of its
    # matches, of norm 1 and weighted by their cosines, so that a dictionary which lacks a mode
    # hardly blurs it; and again, until nothing moves. With two dictionaries this is their match.
    modes = units[_most_central(units)]
    for _ in range(_ROUNDS):
        previous, modes = modes, _mean_of_matches(units, modes)
        if (1.0 - (previous * modes).sum(axis=1)).max() < _STILL:
            break
    index = np.stack([match_modes(modes, u)[0] for u in units])
    atoms = _matched(units, index)
    return Consensus(modes, index, _cosine_with_others(atoms, modes))


def _most_central(units: Sequence[NDArray[np.float64]]) -> int:
    """Position of the dictionary with the largest sum of matched cosines with all others."""
    total = np.zeros(len(units))
    for i, a in enumerate(units):
        for j, b in enumerate(units[:i]):
            total[[i, j]] += match_modes(a, b)[1].sum()
    return int(total.argmax())


def _matched(units: Sequence[NDArray[np.float64]], index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Matches (dictionaries, modes, channels); zero where there is none."""
    taken = [
        np.where(i[:, None] == UNMATCHED, 0.0, u[i]) for u, i in zip(units, index, strict=True)
    ]
    return np.stack(taken)


def _weighted(atoms: NDArray[np.float64], modes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matches times their cosine with the consensus, where it is positive."""
    return np.asarray(atoms * np.maximum((atoms * modes).sum(axis=2), 0.0)[:, :, None])


def _mean_of_matches(
    units: Sequence[NDArray[np.float64]], modes: NDArray[np.float64]
) -> NDArray[np.float64]:
    index = np.stack([match_modes(modes, u)[0] for u in units])
    mean = unit_rows(_weighted(_matched(units, index), modes).sum(axis=0))
    return np.where(mean.any(axis=1, keepdims=True), mean, modes)


def _cosine_with_others(
    atoms: NDArray[np.float64], modes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cosine of each match with the weighted mean of the other dictionaries' matches."""
    parts = _weighted(atoms, modes)
    others = parts.sum(axis=0) - parts
    norm = np.linalg.norm(others, axis=2)
    product = (atoms * others).sum(axis=2)
    cosine = np.divide(product, norm, out=np.zeros_like(norm), where=norm > 1e-12)
    return np.asarray(cosine.clip(-1.0, 1.0))


def replication(atoms: Sequence[NDArray[Any]], cosine: float) -> NDArray[np.float64]:
    """Part of the modes of one fit that another fit has (fit, other fit); 0 without modes."""
    share = np.eye(len(atoms))
    for i, j in permutations(range(len(atoms)), 2):
        share[i, j] = _share(atoms[i], atoms[j], cosine)
    return share


def found_share(
    atoms: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]], cosine: float
) -> float:
    """Part of the modes of one group of fits that fits of another have, mean over pairs."""
    return float(np.mean([_share(a, b, cosine) for a in atoms for b in others]))


def _share(a: NDArray[Any], b: NDArray[Any], cosine: float) -> float:
    """Part of the modes of `a` that `b` has; 0 where one has none."""
    return float((match_modes(a, b)[1] >= cosine).mean()) if len(a) and len(b) else 0.0


def variance_ratio(modes: ArrayLike, rows: ArrayLike) -> NDArray[np.float64]:
    """Variance of rows (sample, channel) along each mode, over that of independent channels.

    var(sum_c d_c x_c) / sum_c d_c^2 var(x_c); 1 for a mode of one channel, NaN for constant ones.
    """
    units, centred = unit_rows(modes), np.asarray(rows, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    together = [(centred @ part.T).var(axis=0) for part in _parts(units)]
    alone = units**2 @ centred.var(axis=0)
    ratio = np.full(len(units), np.nan)
    np.divide(np.concatenate(together), alone, out=ratio, where=alone > 0)
    return ratio


def _parts(modes: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """So many modes at once that their loadings of all rows stay small."""
    return [modes[i : i + _AT_ONCE] for i in range(0, len(modes), _AT_ONCE)] or [modes]


def mean_off_diagonal(square: NDArray[np.float64]) -> float:
    """Mean of (fit, other fit) over pairs of different fits; NaN where there is one fit."""
    pairs = square[~np.eye(len(square), dtype=bool)]
    return float(pairs.mean()) if pairs.size else float("nan")
