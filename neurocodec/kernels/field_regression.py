"""Regression of fields on a few variables, from the inner products of the fields alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def separable_gram(temporal: Matrix, spatial: Matrix) -> Matrix:
    """Inner products of all pairs of fields that are sums of separable components.

    <f_t, f_s> = sum over components c, d of <temporal_tc, temporal_sd> <spatial_tc, spatial_sd>,
    so that no field is ever built.

    Parameters
    ----------
    temporal
        (fields, components, lags).
    spatial
        (fields, components, pixels).

    Returns
    -------
    numpy.ndarray
        (fields, fields).

    Examples
    --------
    >>> temporal, spatial = np.array([[[1.0]], [[2.0]]]), np.array([[[3.0, 0.0]], [[1.0, 1.0]]])
    >>> separable_gram(temporal, spatial).tolist()
    [[9.0, 6.0], [6.0, 8.0]]
    """
    fields, components, _ = temporal.shape
    in_time, in_space = (
        _gram(part.reshape(fields * components, -1)) for part in (temporal, spatial)
    )
    blocks = (in_time * in_space).reshape(fields, components, fields, components)
    return np.asarray(blocks.sum(axis=(1, 3)))


def _gram(rows: Matrix) -> Matrix:
    return np.asarray(rows @ rows.T)


def normalised_gram(gram: Matrix) -> Matrix:
    """Inner products of the same fields scaled to norm 1; a field of zeros stays zero.

    Parameters
    ----------
    gram
        (fields, fields).

    Examples
    --------
    >>> normalised_gram(np.array([[4.0, 2.0], [2.0, 4.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    norm = np.sqrt(np.maximum(gram.diagonal(), 0.0))
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
    return np.asarray(inverse[:, None] * gram * inverse)


def explained_variance(gram: Matrix, regressors: Matrix, ridge: float, folds: int) -> float:
    """Cross-validated part of the variance of fields that a ridge regression explains.

    With K the inner products of the fields and X the regressors, both centred on the training
    fields, f(x) = mean + x (X'X + lambda I)^-1 X' F, where lambda is `ridge` times the mean sum of
    squares of a regressor. What is left, |f - f(x)|^2, needs K only. R2 = 1 - sum of squares left
    / sum of squares around the mean of the training fields, both summed over blocks held out.

    Parameters
    ----------
    gram
        (fields, fields), in order of time.
    regressors
        (fields, regressors).
    ridge
        Penalty; 0 is least squares of minimal norm.
    folds
        Blocks of time, each held out once.

    Returns
    -------
    float
        At most 1; below 0 where the prediction is worse than the mean; NaN where all fields are
        the same.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> round(explained_variance(x @ x.T, x, ridge=0.0, folds=4), 6)
    1.0
    """
    left = total = 0.0
    for held in np.array_split(np.arange(len(gram)), folds):
        train = np.setdiff1d(np.arange(len(gram)), held)
        parts = _held_out(gram, regressors, train, held, ridge)
        left, total = left + parts[0], total + parts[1]
    return 1.0 - left / total if total > _FLAT * float(gram.trace()) else float("nan")


_FLAT = 1e-10
"""Variance of fields below this part of their energy is rounding."""


def _held_out(
    gram: Matrix, x: Matrix, train: NDArray[np.intp], held: NDArray[np.intp], ridge: float
) -> tuple[float, float]:
    """Sum of squares that is left, and around the mean of the training fields."""
    mean = x[train].mean(axis=0)
    fitted, new = x[train] - mean, x[held] - mean
    weights = new @ _inverse(fitted.T @ fitted, ridge)
    among, across = gram[np.ix_(train, train)], gram[np.ix_(held, train)]
    centre = among.mean(axis=0)
    total = gram.diagonal()[held].sum() - 2 * across.mean(axis=1).sum() + len(held) * centre.mean()
    # rows: held-out fields less the training mean, columns: the regressors' weighted sums of fields
    cross = (across - centre) @ fitted
    inner = fitted.T @ among @ fitted
    left = total - 2 * np.sum(weights * cross) + np.sum((weights @ inner) * weights)
    return float(left), float(total)


def _inverse(squares: Matrix, ridge: float) -> Matrix:
    """(X'X + lambda I)^-1; regressors that are constant while training get no weight."""
    penalty = ridge * squares.trace() / len(squares)
    penalised = squares + penalty * np.eye(len(squares))
    return np.asarray(np.linalg.pinv(penalised, rcond=1e-10, hermitian=True))
