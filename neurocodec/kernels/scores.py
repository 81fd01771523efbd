"""How well a reconstruction explains data: coefficients of determination."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurocodec.errors import InputError

CONSTANT: Final = 1e-12
"""A feature is constant where its variance is at most this part of its mean square: what rounding
of float32 makes of equal values is a hundred times less, and no part of R2 should be about that."""


def r2_features(data: ArrayLike, reconstruction: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Coefficient of determination of each feature against that feature's own mean.

    R2_j = 1 - sum_i (x_ij - y_ij)^2 / sum_i (x_ij - mean_j)^2.

    Parameters
    ----------
    data
        The data x, (samples, features) for `axis=0`.
    reconstruction
        The reconstruction y, of the same shape.
    axis
        The axis of the samples.

    Returns
    -------
    numpy.ndarray
        One value per feature, 1 at best; NaN where the feature is constant.

    Raises
    ------
    InputError
        Where the shapes differ.

    Examples
    --------
    >>> r2_features([[0.0, 1.0], [2.0, 3.0]], [[0.0, 2.0], [2.0, 2.0]]).tolist()
    [1.0, 0.0]
    """
    residual, total = _sums_of_squares(data, reconstruction, axis)
    return _one_minus_ratio(residual, total)


def r2(data: ArrayLike, reconstruction: ArrayLike, axis: int = 0) -> float:
    """Mean of `r2_features` over the features that vary.

    Parameters
    ----------
    data, reconstruction, axis
        As in `r2_features`.

    Returns
    -------
    float
        NaN where no feature varies.

    Examples
    --------
    >>> r2([[0.0, 1.0], [2.0, 3.0]], [[0.0, 2.0], [2.0, 2.0]])
    0.5
    """
    features = r2_features(data, reconstruction, axis)
    vary = ~np.isnan(features)
    return float(features[vary].mean()) if vary.any() else float("nan")


def r2_pooled(data: ArrayLike, reconstruction: ArrayLike) -> float:
    """Coefficient of determination of all entries against their one grand mean.

    R2 = 1 - sum_ij (x_ij - y_ij)^2 / sum_ij (x_ij - mean)^2. Differences between the means of
    features count as explained here, so that this is at least as lenient as `r2` tends to be.

    Parameters
    ----------
    data, reconstruction
        Arrays of the same shape.

    Returns
    -------
    float
        NaN where the data are constant.

    Examples
    --------
    >>> r2_pooled([[0.0, 1.0], [2.0, 3.0]], [[0.0, 2.0], [2.0, 2.0]])
    0.6
    """
    x, y = (np.asarray(v, dtype=np.float64).ravel() for v in (data, reconstruction))
    residual, total = _sums_of_squares(x, y, 0)
    return float(_one_minus_ratio(residual, total))


def _sums_of_squares(
    data: ArrayLike, reconstruction: ArrayLike, axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual and total sums of squares; the total of a constant feature is zero."""
    x, y = (np.asarray(v, dtype=np.float64) for v in (data, reconstruction))
    if x.shape != y.shape:
        raise InputError(
            came=f"data of shape {x.shape} and a reconstruction of shape {y.shape}",
            expected="the same shape",
        )
    total = ((x - x.mean(axis=axis, keepdims=True)) ** 2).sum(axis=axis)
    varies = total > CONSTANT * (x**2).sum(axis=axis)
    return ((x - y) ** 2).sum(axis=axis), np.where(varies, total, 0.0)


def _one_minus_ratio(
    residual: NDArray[np.float64], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(1.0 - residual / np.where(total > 0, total, np.nan))
