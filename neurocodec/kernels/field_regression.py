"""Regression of fields on a few variables, from the inner products of the fields alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-10
"""Variance of fields below this part of their energy is rounding."""


def separable_gram(
    temporal: NDArray[np.float64],  # (fields, components, lags)
    spatial: NDArray[np.float64],  # (fields, components, pixels)
) -> NDArray[np.float64]:
    """Inner products (fields, fields) of fields that are sums of separable components."""
    fields, components, _ = temporal.shape
    in_time, in_space = (
        _gram(part.reshape(fields * components, -1)) for part in (temporal, spatial)
    )
    # <f_t, f_s> = sum over components c, d of <temporal_tc, temporal_sd> <spatial_tc, spatial_sd>:
    # no field is ever built
    blocks = (in_time * in_space).reshape(fields, components, fields, components)
    return np.asarray(blocks.sum(axis=(1, 3)))


def _gram(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows @ rows.T)


def normalised_gram(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner products of the same fields scaled to norm 1; a field of zeros stays zero."""
    norm = np.sqrt(np.maximum(gram.diagonal(), 0.0))
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
    return np.asarray(inverse[:, None] * gram * inverse)


def explained_variance(
    gram: NDArray[np.float64],  # (fields, fields), in order of time
    regressors: NDArray[np.float64],  # (fields, regressors)
    ridge: float,
    folds: int,
) -> float:
    """Part of the variance of fields that ridge regression explains in blocks held out."""
    # f(x) = mean + x (X'X + lambda I)^-1 X' F, X the regressors and F the fields, both centred on
    # the training fields, lambda `ridge` times the mean sum of squares of a regressor (0: least
    # squares of minimal norm). What is left, |f - f(x)|^2, needs K = F F' only. R2 = 1 - sum of
    # squares left / sum of squares around the training mean; NaN where all fields are the same.
    left = total = 0.0
    for held in np.array_split(np.arange(len(gram)), folds):
        train = np.setdiff1d(np.arange(len(gram)), held)
        parts = _held_out(gram, regressors, train, held, ridge)
        left, total = left + parts[0], total + parts[1]
    return 1.0 - left / total if total > _FLAT * float(gram.trace()) else float("nan")


def _held_out(
    gram: NDArray[np.float64],
    x: NDArray[np.float64],
    train: NDArray[np.intp],
    held: NDArray[np.intp],
    ridge: float,
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


def _inverse(squares: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """(X'X + lambda I)^-1; regressors that are constant while training get no weight."""
    penalty = ridge * squares.trace() / len(squares)
    penalised = squares + penalty * np.eye(len(squares))
    return np.asarray(np.linalg.pinv(penalised, rcond=1e-10, hermitian=True))
