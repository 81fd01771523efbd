"""Codes by the Lasso, which the paper takes: scikit-learn's path of least angles."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram

from neurocodec.kernels.pursuit import EMPTY, Codes


def lasso(rows: NDArray[Any], atoms: NDArray[Any], active: int) -> Codes:
    """Codes of each row at the penalty from which on it has more than `active` vectors."""
    atoms = np.asarray(atoms, np.float64)
    gram = atoms @ atoms.T
    values = np.zeros((len(rows), active))
    indices = np.full((len(rows), active), EMPTY, np.int32)
    for place, row in enumerate(np.asarray(rows, np.float64)):
        found = _last(atoms @ row, gram, active)
        own = np.flatnonzero(found)
        own = own[np.argsort(-np.abs(found[own]), kind="stable")]
        values[place, : len(own)], indices[place, : len(own)] = found[own], own
    return Codes(values, indices)


def _last(products: NDArray[np.float64], gram: NDArray[np.float64], active: int) -> Any:
    """Weights before the first step of the path that would make more of them."""
    steps, most = active + 1, 8 * (active + 1)
    if not products.any():
        return np.zeros(len(gram))
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of vectors that are near-copies
            penalties, _, path = lars_path_gram(
                Xy=products, Gram=gram, n_samples=1, max_iter=steps, method="lasso", copy_Gram=True
            )
        counts = (path != 0).sum(0)
        more = np.flatnonzero(counts > active)
        ended = len(penalties) <= steps or penalties[-1] <= 0 or steps >= most
        if len(more) or ended:
            return path[:, more[0] - 1 if len(more) else -1]
        steps += 1 + active - int(counts[-1])  # vectors that were left again took steps, too
