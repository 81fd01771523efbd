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
    return float(explained_variances(gram[None], regressors[None], ridge, folds)[0, 0])


def explained_variances(
    grams: NDArray[np.float64],  # (cells, fields, fields), in order of time
    regressors: NDArray[np.float64],  # (draws, fields, regressors)
    ridge: float,
    folds: int,
) -> NDArray[np.float64]:
    """The same (cells, draws) of several cells, by several draws of regressors that they share."""
    # f(x) = mean + x (X'X + lambda I)^-1 X' F, X the regressors and F the fields, both centred on
    # the training fields, lambda `ridge` times the mean sum of squares of a regressor (0: least
    # squares of minimal norm). What is left of a held-out field is a weighted sum of all fields,
    # R F, whose weights R no field decides: |R F|^2 needs K = F F' only. R2 = 1 - sum of squares
    # left / sum of squares around the training mean; NaN where all fields are the same.
    left, total = np.zeros((len(grams), len(regressors))), np.zeros(len(grams))
    every = np.arange(grams.shape[1])
    for held in np.array_split(every, folds):
        train = np.setdiff1d(every, held)
        plain = np.zeros((len(held), len(every)))
        plain[np.arange(len(held)), held] = 1
        plain[:, train] -= 1 / len(train)
        weights = np.stack([plain - _prediction(x, train, held, ridge) for x in regressors])
        for i, gram in enumerate(grams):
            total[i] += np.sum((plain @ gram) * plain)
            left[i] += np.sum((weights @ gram) * weights, axis=(1, 2))
    energy = np.einsum("ctt->c", grams)
    known = np.broadcast_to((total > _FLAT * energy)[:, None], left.shape)
    part = np.divide(left, total[:, None], out=np.full_like(left, np.nan), where=known)
    return 1.0 - part


def _prediction(
    x: NDArray[np.float64], train: NDArray[np.intp], held: NDArray[np.intp], ridge: float
) -> NDArray[np.float64]:
    """Weight (held, fields) of every field in what regressors predict beyond the mean."""
    mean = x[train].mean(axis=0)
    fitted, new = x[train] - mean, x[held] - mean
    found = np.zeros((len(held), len(x)))
    found[:, train] = new @ _inverse(fitted.T @ fitted, ridge) @ fitted.T
    return found


def _inverse(squares: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """(X'X + lambda I)^-1; regressors that are constant while training get no weight."""
    penalty = ridge * squares.trace() / len(squares)
    penalised = squares + penalty * np.eye(len(squares))
    return np.asarray(np.linalg.pinv(penalised, rcond=1e-10, hermitian=True))
