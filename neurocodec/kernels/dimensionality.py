"""How many dimensions a cloud of rows has, from the variances along its principal axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def variances(rows: ArrayLike) -> NDArray[np.float64]:
    """Variances along principal axes of clouds (..., rows, columns), times rows, largest first."""
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim == 2:
        # of a single cloud, rows with a NaN are left out
        x = x[np.isfinite(x).all(axis=1)]
    x = x - x.mean(axis=-2, keepdims=True)
    # eigenvalues of X X' or X' X of the centred rows X, whichever is the smaller matrix
    turned = np.swapaxes(x, -1, -2)
    return eigenvalues(x @ turned if x.shape[-2] <= x.shape[-1] else turned @ x)


def eigenvalues(products: ArrayLike) -> NDArray[np.float64]:
    """Eigenvalues of symmetric matrices (..., n, n), the largest first, none below 0."""
    return np.maximum(np.linalg.eigvalsh(np.asarray(products, dtype=np.float64))[..., ::-1], 0.0)


def components(values: ArrayLike, share: float) -> NDArray[np.float64]:
    """Smallest number of variances, the largest first, that have a share; NaN where all are 0."""
    v = np.asarray(values, dtype=np.float64)
    total = v.sum(axis=-1)
    reached = np.cumsum(v, axis=-1) >= (share * total * (1 - 1e-12))[..., None]
    return np.where(total > 0, reached.argmax(axis=-1) + 1.0, np.nan)


def participation_ratio(values: ArrayLike) -> NDArray[np.float64]:
    """Participation ratio (sum l)^2 / sum l^2 of variances l (..., variances)."""
    # Gao et al. (2017), A theory of multineuronal dimensionality, doi:10.1101/214262, eq. 5: n for
    # n equal variances, 1 for a single one
    v = np.asarray(values, dtype=np.float64)
    peak = v.max(axis=-1, keepdims=True, initial=0.0)
    v = v / np.where(peak > 0, peak, np.nan)  # squares of very small variances are 0
    return np.asarray(v.sum(axis=-1) ** 2 / (v**2).sum(axis=-1))


def describe(values: ArrayLike, share: float) -> NDArray[np.float64]:
    """`components` and `participation_ratio` of variances, the largest first, as (..., 2)."""
    return np.stack([components(values, share), participation_ratio(values)], axis=-1)
