"""Decompositions of scikit-learn beside which sparse modes are measured.

All are non-negative, get the rows in standard deviations, and the number of modes that was
planted. Dictionary learning is shown at the penalty, of those tried, at which most modes come
back: see `ALPHAS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import NMF, DictionaryLearning, MiniBatchDictionaryLearning

Matrix = NDArray[Any]

ALPHAS = {"batch": (0.5, 1.0), "mini-batch": (0.2, 0.5, 1.0)}
"""L1 penalties on the codes, in standard deviations of the rows; 1 is scikit-learn's default."""


@dataclass(frozen=True)
class Baseline:
    """A fitted decomposition of scikit-learn.

    Parameters
    ----------
    model
        The estimator.
    scale
        What the rows were divided by.
    """

    model: Any
    scale: float

    @property
    def dictionary(self) -> Matrix:
        """Modes (mode, channel) in the units of the data."""
        return np.asarray(self.scale * self.model.components_)

    def loadings(self, rows: Matrix) -> Matrix:
        """Loadings (rows, modes)."""
        return np.asarray(self.model.transform(rows / self.scale))


def _fitted(model: Any, rows: Matrix) -> Baseline:
    scale = float(rows.std())
    return Baseline(model.fit(rows / scale), scale)


def dictionary_learning(rows: Matrix, modes: int, seed: int, *, alpha: float) -> Baseline:
    """`DictionaryLearning`, 100 passes."""
    model = DictionaryLearning(
        modes,
        alpha=alpha,
        max_iter=100,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_alpha=alpha,
        positive_code=True,
        positive_dict=True,
        random_state=seed,
    )
    return _fitted(model, rows)


def online_dictionary_learning(rows: Matrix, modes: int, seed: int, *, alpha: float) -> Baseline:
    """`MiniBatchDictionaryLearning` with its own stopping rule."""
    model = MiniBatchDictionaryLearning(
        modes,
        alpha=alpha,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_alpha=alpha,
        positive_code=True,
        positive_dict=True,
        random_state=seed,
    )
    return _fitted(model, rows)


def nmf(rows: Matrix, modes: int, seed: int) -> Baseline:
    """`NMF` from a random start, at most 500 passes."""
    return _fitted(NMF(modes, init="random", max_iter=500, random_state=seed), rows)


BASELINES: dict[str, Callable[[Matrix, int, int], Baseline]] = {
    **{
        f"DictionaryLearning, alpha {a:g}": partial(dictionary_learning, alpha=a)
        for a in ALPHAS["batch"]
    },
    **{
        f"MiniBatchDictionaryLearning, alpha {a:g}": partial(online_dictionary_learning, alpha=a)
        for a in ALPHAS["mini-batch"]
    },
    "NMF": nmf,
}
"""Name -> function of rows, number of modes and seed."""
