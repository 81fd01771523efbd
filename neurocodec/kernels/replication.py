"""How many modes of one fit another fit has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurocodec.kernels.matching import match_modes


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
