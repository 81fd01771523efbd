"""How well a reconstruction explains data: coefficients of determination."""

from __future__ import annotations

from typing import Any, Final

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


Vector = NDArray[np.float64]


class Moments:
    """Count, mean, sum of squared deviations and range of each feature, over blocks of rows.

    Blocks are joined as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115,
    which loses no digits where the mean is large.

    Parameters
    ----------
    features
        Length of a row.

    Attributes
    ----------
    count : int
        Number of rows.
    mean, squares, low, high : numpy.ndarray
        Of each feature: mean, sum of squared deviations from it, smallest and largest value.

    Examples
    --------
    >>> moments = Moments(2)
    >>> moments.add([[0.0, 5.0]])
    >>> moments.add([[2.0, 5.0]])
    >>> moments.mean.tolist(), moments.squares.tolist(), moments.varies.tolist()
    ([1.0, 5.0], [2.0, 0.0], [True, False])
    """

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean = np.zeros(features)
        self.squares = np.zeros(features)
        self.low = np.full(features, np.inf)
        self.high = np.full(features, -np.inf)

    def add(self, rows: ArrayLike) -> None:
        """Take further rows, (rows, features)."""
        x = np.asarray(rows, dtype=np.float64)
        if not len(x):
            return
        total = self.count + len(x)
        mean = x.mean(axis=0)
        step = mean - self.mean
        self.squares += ((x - mean) ** 2).sum(axis=0) + step**2 * (self.count * len(x) / total)
        self.mean += step * (len(x) / total)
        self.count = total
        self.low = np.minimum(self.low, x.min(axis=0))
        self.high = np.maximum(self.high, x.max(axis=0))

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether a feature varies by more than rounding, see `neurocodec.kernels.scores`."""
        energy = self.squares + self.count * self.mean**2
        return np.asarray(self.squares > CONSTANT * energy)

    @property
    def pooled_squares(self) -> float:
        """Sum of squared deviations of all entries from their one grand mean."""
        if not self.count or self.high.max() == self.low.min():
            return 0.0
        between = ((self.mean - self.mean.mean()) ** 2).sum()
        return float(self.squares.sum() + self.count * between)

    @property
    def pooled_deviation(self) -> float:
        """Standard deviation over all entries."""
        return float(np.sqrt(self.pooled_squares / max(self.count * self.mean.size, 1)))


class ReconstructionScores:
    """Coefficients of determination as in `neurocodec.kernels.scores`, over blocks of rows.

    Parameters
    ----------
    features
        Length of a row.

    Examples
    --------
    >>> found = ReconstructionScores(2)
    >>> found.add(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 2.0], [2.0, 2.0]]))
    >>> found.r2_features.tolist(), found.r2, found.r2_pooled
    ([1.0, 0.0], 0.5, 0.6)
    """

    def __init__(self, features: int) -> None:
        self.data = Moments(features)
        self._residual = np.zeros(features)

    def add(self, rows: NDArray[Any], made: NDArray[Any]) -> None:
        """Take further rows and what was made of them, (rows, features) each."""
        self.data.add(rows)
        self._residual += ((rows - made).astype(np.float64) ** 2).sum(axis=0)

    @property
    def r2_features(self) -> Vector:
        """R2 of each feature against its own mean; NaN where it is constant."""
        total = np.where(self.data.varies, self.data.squares, 0.0)
        return np.asarray(_explained(self._residual, total))

    @property
    def r2(self) -> float:
        """Mean of `r2_features` over the features that vary; NaN where none does."""
        varies = self.data.varies
        return float(self.r2_features[varies].mean()) if varies.any() else float("nan")

    @property
    def r2_pooled(self) -> float:
        """R2 of all entries against their one grand mean; NaN where they are all the same."""
        return float(_explained(self._residual.sum(), np.float64(self.data.pooled_squares)))


def _explained(residual: Any, total: Any) -> Any:
    return 1.0 - residual / np.where(total > 0, total, np.nan)


class LeftOut:
    """How much larger the squared residual gets without each mode, over blocks of rows.

    With x the rows, z the loadings, D the dictionary and e = x - z D, setting the loading of
    mode k to zero, all others as they are, adds to the squared residual::

        sum_i |e_i + z_ik D_k|^2 - |e_i|^2 = 2 D_k . sum_i z_ik e_i + |D_k|^2 sum_i z_ik^2

    Parameters
    ----------
    modes, features
        Shape of the dictionary.

    Examples
    --------
    >>> found = LeftOut(1, 2)
    >>> found.add(np.array([[0.0, 0.5]]), np.array([[2.0]]))
    >>> found.increase(np.array([[1.0, 0.0]])).tolist()  # |(2, 0.5)|^2 - |(0, 0.5)|^2
    [4.0]
    """

    def __init__(self, modes: int, features: int) -> None:
        self._cross = np.zeros((modes, features))
        self._power = np.zeros(modes)

    def add(self, residual: NDArray[Any], loadings: NDArray[Any]) -> None:
        """Take the residual e (rows, features) and loadings z (rows, modes) of further rows."""
        self._cross += loadings.T @ residual
        self._power += (loadings.astype(np.float64) ** 2).sum(axis=0)

    def increase(self, dictionary: NDArray[Any]) -> Vector:
        """Increase of the squared residual without each mode of D (modes, features)."""
        atoms = np.asarray(dictionary, dtype=np.float64)
        squares = (atoms**2).sum(axis=1)
        return np.asarray(2.0 * (self._cross * atoms).sum(axis=1) + self._power * squares)
