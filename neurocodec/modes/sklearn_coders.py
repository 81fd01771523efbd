"""Loadings of scikit-learn's decompositions from plain arrays, so that files hold no pickles."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self, TypeVar

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
from neurocodec.modes.coders import STRENGTH, Arrays, Coder, Matrix

Found = TypeVar("Found")
Method = Literal["pca", "nmf", "dictionary_learning", "ica", "kmeans"]

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
    """PCA and ICA: loadings = (rows - offset) times projection.

    Parameters
    ----------
    strength
        As in `neurocodec.modes.coders.Coder`.
    atoms
        Modes by features.
    mean
        Row that has loadings of 0.
    projection
        Features by modes.

    Examples
    --------
    >>> one = np.ones(1, np.float32)
    >>> coder = LinearCoder(one, one[:, None], 2 * one, one[:, None])
    >>> coder.encode(np.array([[5.0]], np.float32)).tolist(), coder.decode(one[:, None]).tolist()
    ([[3.0]], [[3.0]])
    """

    atoms: Matrix
    mean: Matrix
    projection: Matrix

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
    def offset(self) -> Matrix:
        """The mean row."""
        return self.mean

    def weak_loadings(self, rows: Matrix) -> Matrix:
        """Loadings before they are divided by `strength`."""
        return np.asarray((rows - self.mean) @ self.projection)

    def weak_atoms(self) -> Matrix:
        """Modes by features."""
        return self.atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Atoms, mean row, projection, strengths."""
        found = {"atoms": self.atoms, "mean": self.mean, "projection": self.projection}
        return {**found, STRENGTH: self.strength}


@dataclass(frozen=True)
class SolvingCoder(Coder):
    """Methods whose loadings are solved for, given the atoms.

    Parameters
    ----------
    strength
        As in `neurocodec.modes.coders.Coder`.
    atoms
        Modes by features.
    method
        "nmf", "dictionary_learning" or "kmeans".
    settings
        Keyword arguments of the estimator.

    Examples
    --------
    >>> coder = SolvingCoder(np.ones(2, np.float32), np.eye(2, dtype=np.float32), "kmeans", {})
    >>> coder.encode(np.array([[3.0, 1.0]], np.float32)).tolist()
    [[1.0, 0.0]]
    """

    atoms: Matrix
    method: str
    settings: Mapping[str, Any]

    def weak_loadings(self, rows: Matrix) -> Matrix:
        """Loadings before they are divided by `strength`."""
        if not len(rows):
            return np.zeros((0, len(self.atoms)), dtype=np.float32)
        solve = _SOLVERS[self.method]
        # scikit-learn's solvers miss their tolerances in float32
        x, atoms = rows.astype(float), self.atoms.astype(float)
        return _single(computed(self.method, self.settings, lambda: solve(x, atoms, self.settings)))

    def weak_atoms(self) -> Matrix:
        """Modes by features."""
        return self.atoms

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Atoms and strengths."""
        return {"atoms": self.atoms, STRENGTH: self.strength}


def coder_of(method: Method, estimator: Any, settings: Mapping[str, Any]) -> Coder:
    """Make a coder of a fitted estimator.

    Parameters
    ----------
    method
        Name of the method.
    estimator
        Fitted.
    settings
        Keyword arguments that the user gave.

    Examples
    --------
    >>> rows = np.random.default_rng(0).random((20, 3))
    >>> coder_of("pca", PCA(2).fit(rows), {}).modes
    2
    """
    if method in ("pca", "ica"):
        modes = len(estimator.components_)
        return LinearCoder.of(estimator, modes, estimator.n_features_in_)
    atoms = estimator.cluster_centers_ if method == "kmeans" else estimator.components_
    return SolvingCoder(_ones(len(atoms)), _single(atoms), method, whole_settings(method, settings))


def coder_from(method: Method, arrays: Arrays, settings: Mapping[str, Any]) -> Coder:
    """Make a coder of what its `arrays` gave.

    Parameters
    ----------
    method
        Name of the method.
    arrays
        By name.
    settings
        Keyword arguments that the user gave.

    Examples
    --------
    >>> coder_from("nmf", {"strength": np.ones(1), "atoms": np.ones((1, 2))}, {}).modes
    1
    """
    if method in ("pca", "ica"):
        return LinearCoder(**arrays)
    return SolvingCoder(**arrays, method=method, settings=whole_settings(method, settings))


def computed(method: str, settings: Mapping[str, Any], compute: Callable[[], Found]) -> Found:
    """Let scikit-learn compute: its errors and warnings become ours, NumPy's state stays.

    Parameters
    ----------
    method
        Named in messages.
    settings
        Keyword arguments of the estimator, named in the error.
    compute
        What is to be computed.

    Raises
    ------
    InputError
        Where scikit-learn refuses a setting, or the rows with these settings.

    Warns
    -----
    NeurocodecWarning
        Where a solver stopped before it converged: one in place of scikit-learn's many.

    Examples
    --------
    >>> computed("pca", {"tol": -1}, lambda: PCA(tol=-1).fit(np.eye(2)))
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: 'pca' of scikit-learn with {'tol': -1}
      expected: The 'tol' parameter of PCA must be a float in the range [0.0, inf). Got -1 instead.
    """
    with _random_state_kept(), warnings.catch_warnings(record=True) as caught:
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
    """Rank of rows about their mean, each column at standard deviation 1.

    Parameters
    ----------
    rows
        Samples by features that all vary; what float32 cannot tell apart is dependent.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((20, 2))
    >>> independent_columns(np.c_[x, x.sum(axis=1)])
    2
    """
    if not rows.size:
        return 0
    power = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(rows, rowvar=False)))
    return int((power > _RANK**2 * power.max()).sum())


def whole_settings(method: Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of the estimator, also those at scikit-learn's default.

    Parameters
    ----------
    method
        Name of the method.
    settings
        Keyword arguments that the user gave.

    Examples
    --------
    >>> whole_settings("nmf", {"tol": 0.1})["max_iter"]
    500
    """
    make, defaults = ESTIMATORS[method]
    return dict(make(**{**defaults, **settings}).get_params())


def _factorize(rows: Matrix, atoms: Matrix, settings: Mapping[str, Any]) -> NDArray[Any]:
    given = {name: settings[name] for name in _FACTORIZATION}
    found = non_negative_factorization(
        rows, H=atoms, n_components=len(atoms), init=None, update_H=False, **given
    )
    return np.asarray(found[0])


def _lasso(rows: Matrix, atoms: Matrix, settings: Mapping[str, Any]) -> NDArray[Any]:
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


def _nearest(rows: Matrix, atoms: Matrix, settings: Mapping[str, Any]) -> NDArray[Any]:
    del settings
    return np.asarray(np.eye(len(atoms))[pairwise_distances_argmin(rows, atoms)])


_SOLVERS: Final[Mapping[str, Callable[[Matrix, Matrix, Mapping[str, Any]], NDArray[Any]]]] = {
    "nmf": _factorize,
    "dictionary_learning": _lasso,
    "kmeans": _nearest,
}


def _single(values: NDArray[Any]) -> Matrix:
    return np.ascontiguousarray(values, dtype=np.float32)


def _ones(modes: int) -> Matrix:
    return np.ones(modes, dtype=np.float32)
