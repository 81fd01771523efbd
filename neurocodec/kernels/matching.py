"""Which modes of two dictionaries are the same, and what several dictionaries agree on."""

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
_STILL: Final = 1e-9
"""A consensus is stable where no mode turns by more than this (1 - cosine)."""

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]


def unit_rows(modes: ArrayLike) -> Matrix:
    """Modes divided by their norms; a mode that is zero stays zero.

    Parameters
    ----------
    modes
        (modes, channels).

    Raises
    ------
    InputError
        Where there are not two dimensions, or values are NaN or infinite.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
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


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Matrix:
    """Cosine of every mode of `a` with every mode of `b`; 0 with a mode that is zero.

    Parameters
    ----------
    a, b
        (modes, channels), with the same channels.

    Raises
    ------
    InputError
        Where the numbers of channels differ.

    Examples
    --------
    >>> cosine_similarity([[2.0, 0.0]], [[1.0, 0.0], [0.0, 5.0]]).tolist()
    [[1.0, 0.0]]
    """
    left, right = unit_rows(a), unit_rows(b)
    if left.shape[1] != right.shape[1]:
        raise InputError(
            came=f"dictionaries of {left.shape[1]} and {right.shape[1]} channels",
            expected="the same channels in both",
        )
    product: Matrix = left @ right.T
    return np.clip(product, -1.0, 1.0)


def match_modes(a: ArrayLike, b: ArrayLike) -> tuple[Indices, Matrix]:
    """Pair each mode of `a` with one of `b` so that the sum of their cosines is largest.

    The Hungarian method: no mode of `b` is used twice. Norms do not matter, signs do.

    Parameters
    ----------
    a, b
        (modes, channels), with the same channels.

    Returns
    -------
    index : numpy.ndarray
        For each mode of `a`, the row of `b`; -1 where `b` has fewer modes and none is left.
    cosine : numpy.ndarray
        Their cosine; 0 where nothing is left, so that means count what was not found.

    Raises
    ------
    InputError
        Where the numbers of channels differ, or values are NaN or infinite.

    Examples
    --------
    >>> index, cosine = match_modes([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.0, 9.0], [2.0, 0.0]])
    >>> index.tolist(), cosine.tolist()
    ([1, 0, -1], [1.0, 1.0, 0.0])
    """
    similarity = cosine_similarity(a, b)
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    index = np.full(len(similarity), UNMATCHED, dtype=np.intp)
    cosine = np.zeros(len(similarity))
    index[rows] = columns
    cosine[rows] = similarity[rows, columns]
    return index, cosine


def nearest_cosine(modes: ArrayLike) -> Matrix:
    """Cosine of each mode with the closest other mode of the same dictionary.

    Parameters
    ----------
    modes
        (modes, channels).

    Returns
    -------
    numpy.ndarray
        One per mode; NaN where there is no other.

    Raises
    ------
    InputError
        Where there are not two dimensions, or values are NaN or infinite.

    Examples
    --------
    >>> nearest_cosine([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]).tolist()
    [0.0, 1.0, 1.0]
    """
    similarity = cosine_similarity(modes, modes)
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def distinct_modes(modes: ArrayLike, cosine: float = 0.99) -> NDArray[np.bool_]:
    """Choose one of all modes that are nearly copies of each other.

    The strongest mode (largest norm) is kept first, then each next one that no kept mode
    resembles.

    Parameters
    ----------
    modes
        (modes, channels).
    cosine
        Modes are nearly copies of each other from here on.

    Returns
    -------
    numpy.ndarray
        True for the modes kept; a mode that is zero is not.

    Raises
    ------
    InputError
        Where there are not two dimensions, or values are NaN or infinite.

    Examples
    --------
    >>> distinct_modes([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]).tolist()
    [True, False, True]
    """
    similar = cosine_similarity(modes, modes) >= cosine
    norms = np.linalg.norm(np.asarray(modes, dtype=np.float64), axis=1)
    free, kept = norms > 0, np.zeros(len(norms), dtype=bool)
    for mode in np.argsort(-norms, kind="stable"):
        if free[mode]:
            kept[mode] = True
            free &= ~similar[mode]
    return kept


@dataclass(frozen=True)
class Consensus:
    """What several dictionaries agree on.

    Parameters
    ----------
    modes
        (modes, channels), of norm 1.
    index
        (dictionaries, modes): the row of each dictionary that is this mode, -1 for none.
    cosine
        (dictionaries, modes): cosine of that row with the mode of all *other* dictionaries, so
        that no dictionary is compared with itself; 0 for none.
    """

    modes: Matrix
    index: Indices
    cosine: Matrix


def consensus_modes(dictionaries: Sequence[NDArray[Any]]) -> Consensus:
    """Modes that several dictionaries share, and how well each has them.

    Starts at the dictionary that the others match best. All are matched to the consensus
    (`match_modes`); each of its modes becomes the mean of the matches, of norm 1 and weighted by
    their cosines, so that a dictionary which lacks a mode hardly blurs it; and again, until
    nothing moves. With two dictionaries this is their match.

    Parameters
    ----------
    dictionaries
        Two or more of shape (modes, channels), with the same channels; modes in any order, of
        any number.

    Raises
    ------
    InputError
        Where there are fewer than two, the numbers of channels differ, or one has no modes.

    Examples
    --------
    >>> a = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> consensus_modes([a, 3 * a[::-1]]).index.tolist()
    [[0, 1], [1, 0]]
    """
    units = [unit_rows(d) for d in dictionaries]
    if len(units) < 2 or not all(len(u) for u in units):
        raise InputError(
            came=f"dictionaries of {[len(u) for u in units]} modes",
            expected="at least two, each of at least one mode",
        )
    modes = units[_most_central(units)]
    for _ in range(_ROUNDS):
        previous, modes = modes, _mean_of_matches(units, modes)
        if (1.0 - (previous * modes).sum(axis=1)).max() < _STILL:
            break
    index = np.stack([match_modes(modes, u)[0] for u in units])
    atoms = _matched(units, index)
    return Consensus(modes, index, _cosine_with_others(atoms, modes))


def _most_central(units: Sequence[Matrix]) -> int:
    """Position of the dictionary with the largest sum of matched cosines with all others."""
    total = np.zeros(len(units))
    for i, a in enumerate(units):
        for j, b in enumerate(units[:i]):
            total[[i, j]] += match_modes(a, b)[1].sum()
    return int(total.argmax())


def _matched(units: Sequence[Matrix], index: Indices) -> Matrix:
    """Matches (dictionaries, modes, channels); zero where there is none."""
    taken = [
        np.where(i[:, None] == UNMATCHED, 0.0, u[i]) for u, i in zip(units, index, strict=True)
    ]
    return np.stack(taken)


def _weighted(atoms: Matrix, modes: Matrix) -> Matrix:
    """Matches times their cosine with the consensus, where it is positive."""
    return np.asarray(atoms * np.maximum((atoms * modes).sum(axis=2), 0.0)[:, :, None])


def _mean_of_matches(units: Sequence[Matrix], modes: Matrix) -> Matrix:
    index = np.stack([match_modes(modes, u)[0] for u in units])
    mean = unit_rows(_weighted(_matched(units, index), modes).sum(axis=0))
    return np.where(mean.any(axis=1, keepdims=True), mean, modes)


def _cosine_with_others(atoms: Matrix, modes: Matrix) -> Matrix:
    """Cosine of each match with the weighted mean of the other dictionaries' matches."""
    parts = _weighted(atoms, modes)
    others = parts.sum(axis=0) - parts
    norm = np.linalg.norm(others, axis=2)
    product = (atoms * others).sum(axis=2)
    cosine = np.divide(product, norm, out=np.zeros_like(norm), where=norm > 1e-12)
    return np.asarray(cosine.clip(-1.0, 1.0))


def replication(atoms: Sequence[NDArray[Any]], cosine: float) -> NDArray[np.float64]:
    """Part of the modes of one fit that another fit has, for each two fits.

    Parameters
    ----------
    atoms
        Modes by features, of each fit.
    cosine
        Matched modes count as the same from here on.

    Returns
    -------
    numpy.ndarray
        (fit, other fit); 1 on the diagonal, 0 for a fit without modes.

    Examples
    --------
    >>> replication([np.eye(2), np.array([[0.0, 3.0]])], 0.9).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    share = np.eye(len(atoms))
    for i, j in permutations(range(len(atoms)), 2):
        share[i, j] = _share(atoms[i], atoms[j], cosine)
    return share


def found_share(
    atoms: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]], cosine: float
) -> float:
    """Part of the modes of one group of fits that a fit of another group has, mean over pairs.

    Parameters
    ----------
    atoms, others
        Modes by features, of each fit of either group.
    cosine
        Matched modes count as the same from here on.

    Examples
    --------
    >>> found_share([np.eye(2)], [np.array([[0.0, 3.0]]), np.zeros((0, 2))], 0.9)
    0.25
    """
    return float(np.mean([_share(a, b, cosine) for a in atoms for b in others]))


def _share(a: NDArray[Any], b: NDArray[Any], cosine: float) -> float:
    """Part of the modes of `a` that `b` has; 0 where one has none."""
    return float((match_modes(a, b)[1] >= cosine).mean()) if len(a) and len(b) else 0.0


def mean_off_diagonal(square: NDArray[np.float64]) -> float:
    """Mean over all pairs of different fits; NaN where there is one fit.

    Parameters
    ----------
    square
        (fit, other fit).

    Examples
    --------
    >>> mean_off_diagonal(np.array([[1.0, 0.5], [0.25, 1.0]]))
    0.375
    """
    pairs = square[~np.eye(len(square), dtype=bool)]
    return float(pairs.mean()) if pairs.size else float("nan")
