"""Loadings of scikit-learn's decompositions from plain arrays, so that files hold no pickles."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import (
    NMF,
    PCA,
    FastICA,
    MiniBatchDictionaryLearning,
    non_negative_factorization,
    sparse_encode,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import pairwise_distances_argmin

from neurocodec.errors import InputError, warn
from neurocodec.modes.coders import STRENGTH, Coder
from neurocodec.nn.settings import one_at_a_time

Found = TypeVar("Found")
Estimator = Literal["pca", "nmf", "dictionary_learning", "ica", "kmeans"]
Solver: TypeAlias = Callable[
    [NDArray[np.float64], NDArray[np.float64], Mapping[str, Any]], NDArray[Any]
]
"""Loadings (rows, modes) of rows (rows, features) and atoms (modes, features), with settings."""

ESTIMATORS: Final[Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]]] = {
    "pca": (PCA, {}),
    "nmf": (NMF, {"init": "nndsvda", "max_iter": 500}),
    "dictionary_learning": (
        MiniBatchDictionaryLearning,
        {
            "alpha": 0.5,
            "fit_algorithm": "cd",
            "transform_algorithm": "lasso_cd",
            "positive_code": True,
            "positive_dict": True,
        },
    ),
    "ica": (FastICA, {"whiten": "unit-variance", "max_iter": 1000}),
    "kmeans": (KMeans, {"n_init": 4}),
}
"""Class and settings of each method, where they are not scikit-learn's own."""

_FACTORIZATION: Final = ("tol", "max_iter", "alpha_W", "l1_ratio", "solver", "beta_loss")
_RANK: Final = 1e-6
"""Part of the largest singular value below which one is rounding of float32."""


@dataclass(frozen=True)
class LinearCoder(Coder):
    """PCA and ICA: loadings = (rows - mean) times projection."""

    atoms: NDArray[np.float32]  # modes by features
    mean: NDArray[np.float32]  # the row that has loadings of 0
    projection: NDArray[np.float32]  # features by modes

    @classmethod
    def of(cls, estimator: Any, modes: int, features: int) -> Self:
        """Read the two linear maps of a fitted estimator off what it does with unit vectors."""
        mean = estimator.inverse_transform(np.zeros((1, modes)))
        atoms = estimator.inverse_transform(np.eye(modes)) - mean
        projection = estimator.transform(mean + np.eye(features)) - estimator.transform(mean)
        return cls(_ones(modes), _single(atoms), _single(mean[0]), _single(projection))

    def widened(self, varies: NDArray[np.bool_], row: NDArray[np.float64]) -> Self:
        """Add the features that were left out: zero in every mode, and in `mean` as in `row`."""
        atoms = np.zeros((len(self.atoms), len(varies)), dtype=np.float32)
        projection, mean = atoms.T.copy(), row.astype(np.float32)
        atoms[:, varies], projection[varies], mean[varies] = self.atoms, self.projection, self.mean
        return replace(self, atoms=atoms, mean=mean, projection=projection)

    @property
    def offset(self) -> NDArray[np.float32]:
        """The mean row."""
        return self.mean

    def weak_loadings(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings before they are divided by `strength`."""
        return np.asarray((rows - self.mean) @ self.projection)

    def weak_atoms(self) -> NDArray[np.float32]:
        """Modes by features."""
        return self.atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Atoms, mean row, projection, strengths."""
        found = {"atoms": self.atoms, "mean": self.mean, "projection": self.projection}
        return {**found, STRENGTH: self.strength}


@dataclass(frozen=True)
class SolvingCoder(Coder):
    """Methods whose loadings are solved for, given the atoms: NMF, dictionary learning, k-means."""

    atoms: NDArray[np.float32]  # modes by features
    method: str
    settings: Mapping[str, Any]  # of the estimator, all of them

    def weak_loadings(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings before they are divided by `strength`."""
        if not len(rows):
            return np.zeros((0, len(self.atoms)), dtype=np.float32)
        solve = _SOLVERS[self.method]
        # scikit-learn's solvers miss their tolerances in float32
        x, atoms = rows.astype(float), self.atoms.astype(float)
        return _single(computed(self.method, self.settings, lambda: solve(x, atoms, self.settings)))

    def weak_atoms(self) -> NDArray[np.float32]:
        """Modes by features."""
        return self.atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Atoms and strengths."""
        return {"atoms": self.atoms, STRENGTH: self.strength}


def coder_of(method: Estimator, estimator: Any, settings: Mapping[str, Any]) -> Coder:
    """Make a coder of a fitted estimator, with the keyword arguments that the user gave."""
    if method in ("pca", "ica"):
        modes = len(estimator.components_)
        return LinearCoder.of(estimator, modes, estimator.n_features_in_)
    atoms = estimator.cluster_centers_ if method == "kmeans" else estimator.components_
    return SolvingCoder(_ones(len(atoms)), _single(atoms), method, whole_settings(method, settings))


def coder_from(
    method: Estimator, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]
) -> Coder:
    """Make a coder of what its `arrays` gave."""
    if method in ("pca", "ica"):
        return LinearCoder(**arrays)
    return SolvingCoder(**arrays, method=method, settings=whole_settings(method, settings))


def computed(method: str, settings: Mapping[str, Any], compute: Callable[[], Found]) -> Found:
    """Let scikit-learn compute: its errors and warnings become ours, NumPy's state stays."""
    with one_at_a_time, _random_state_kept(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = compute()
        except (ValueError, TypeError) as error:
            came = f"{method!r} of scikit-learn with {dict(settings) or 'its own settings'}"
            raise InputError(came=came, expected=str(error)) from error
    _report(method, caught)
    return found


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Give NumPy's global state back: ``lasso_cd`` draws from it, though its result needs none."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002  nothing is drawn from it here
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _report(method: str, caught: list[warnings.WarningMessage]) -> None:
    for one in caught:
        if not issubclass(one.category, ConvergenceWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    found = [str(one.message) for one in caught if issubclass(one.category, ConvergenceWarning)]
    if found:
        warn(f"{method!r} stopped before it converged: {found[0]}")


def independent_columns(rows: NDArray[np.float64]) -> int:
    """Rank of rows about their mean, each column, which must vary, at standard deviation 1."""
    if not rows.size:
        return 0
    power = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(rows, rowvar=False)))
    return int((power > _RANK**2 * power.max()).sum())


def whole_settings(method: Estimator, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of the estimator, also those at scikit-learn's default."""
    make, defaults = ESTIMATORS[method]
    return dict(make(**{**defaults, **settings}).get_params())


def _factorize(
    rows: NDArray[np.float64], atoms: NDArray[np.float64], settings: Mapping[str, Any]
) -> NDArray[Any]:
    given = {name: settings[name] for name in _FACTORIZATION}
    found = non_negative_factorization(
        rows, H=atoms, n_components=len(atoms), init=None, update_H=False, **given
    )
    return np.asarray(found[0])


def _lasso(
    rows: NDArray[np.float64], atoms: NDArray[np.float64], settings: Mapping[str, Any]
) -> NDArray[Any]:
    alpha = settings["transform_alpha"]
    found = sparse_encode(
        rows,
        atoms,
        algorithm=settings["transform_algorithm"],
        n_nonzero_coefs=settings["transform_n_nonzero_coefs"],
        alpha=settings["alpha"] if alpha is None else alpha,
        max_iter=settings["transform_max_iter"],
        positive=settings["positive_code"],
    )
    return np.asarray(found)


def _nearest(
    rows: NDArray[np.float64], atoms: NDArray[np.float64], settings: Mapping[str, Any]
) -> NDArray[Any]:
    del settings
    return np.asarray(np.eye(len(atoms))[pairwise_distances_argmin(rows, atoms)])


_SOLVERS: Final[Mapping[str, Solver]] = {
    "nmf": _factorize,
    "dictionary_learning": _lasso,
    "kmeans": _nearest,
}


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _ones(modes: int) -> NDArray[np.float32]:
    return np.ones(modes, dtype=np.float32)
