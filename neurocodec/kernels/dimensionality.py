"""How many dimensions a cloud of rows has, from the variances along its principal axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def variances(rows: ArrayLike) -> Array:
    """Variances along the principal axes of rows, times their number, the largest first.

    Eigenvalues of X X' or X' X of the centred rows X, whichever is the smaller matrix.

    Parameters
    ----------
    rows
        (..., rows, columns); the leading axes are clouds of their own. Rows with a NaN are left
        out of a single cloud.

    Returns
    -------
    numpy.ndarray
        (..., min(rows, columns)), not negative.

    Examples
    --------
    >>> variances([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]]).tolist()
    [4.0, 4.0]
    """
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim == 2:
        x = x[np.isfinite(x).all(axis=1)]
    x = x - x.mean(axis=-2, keepdims=True)
    turned = np.swapaxes(x, -1, -2)
    return eigenvalues(x @ turned if x.shape[-2] <= x.shape[-1] else turned @ x)


def eigenvalues(products: ArrayLike) -> Array:
    """Eigenvalues of symmetric matrices, the largest first, rounding below 0 set to 0.

    Parameters
    ----------
    products
        (..., n, n).

    Examples
    --------
    >>> eigenvalues([[2.0, 0.0], [0.0, 5.0]]).tolist()
    [5.0, 2.0]
    """
    return np.maximum(np.linalg.eigvalsh(np.asarray(products, dtype=np.float64))[..., ::-1], 0.0)


def components(values: ArrayLike, share: float) -> Array:
    """Number of principal components that together have a share of the variance.

    Parameters
    ----------
    values
        (..., variances), the largest first.
    share
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray
        The smallest k with sum of the first k >= share of the sum; NaN where all are 0.

    Examples
    --------
    >>> components([[6.0, 3.0, 1.0], [1.0, 0.0, 0.0]], 0.9).tolist()
    [2.0, 1.0]
    """
    v = np.asarray(values, dtype=np.float64)
    total = v.sum(axis=-1)
    reached = np.cumsum(v, axis=-1) >= (share * total * (1 - 1e-12))[..., None]
    return np.where(total > 0, reached.argmax(axis=-1) + 1.0, np.nan)


def participation_ratio(values: ArrayLike) -> Array:
    """Participation ratio of variances l: (sum l)^2 / sum l^2.

    Gao et al. (2017), A theory of multineuronal dimensionality, doi:10.1101/214262, eq. 5: n for
    n equal variances, 1 for a single one.

    Parameters
    ----------
    values
        (..., variances).

    Examples
    --------
    >>> participation_ratio([[1.0, 1.0, 1.0], [4.0, 0.0, 0.0]]).tolist()
    [3.0, 1.0]
    """
    v = np.asarray(values, dtype=np.float64)
    peak = v.max(axis=-1, keepdims=True, initial=0.0)
    v = v / np.where(peak > 0, peak, np.nan)  # squares of very small variances are 0
    return np.asarray(v.sum(axis=-1) ** 2 / (v**2).sum(axis=-1))


def describe(values: ArrayLike, share: float) -> Array:
    """`components` and `participation_ratio` of variances.

    Parameters
    ----------
    values
        (..., variances), the largest first.
    share
        As `components` takes it.

    Returns
    -------
    numpy.ndarray
        (..., 2).

    Examples
    --------
    >>> describe([1.0, 1.0], 0.95).tolist()
    [2.0, 2.0]
    """
    return np.stack([components(values, share), participation_ratio(values)], axis=-1)
